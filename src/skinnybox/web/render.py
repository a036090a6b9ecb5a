"""Pages made of templates, and parts of them where only a part is asked for.

A page has all that a browser needs, and works without scripts. The scripts ask for the same address again,
with a header that names the block of the template that they put into the page (htmx: HX-Target).
"""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from skinnybox import __version__
from skinnybox.fleet.tokens import Role
from skinnybox.gate import session
from skinnybox.gate.principal import NotAllowed, NotSignedIn, Principal, principal
from skinnybox.web import flash, static_files, strip, theme, words
from skinnybox.web.addresses import with_query as with_query

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing that stands in a page itself is run, and nothing comes from elsewhere: what a guest smuggles into a
page is text."""
_PIECES = 60
"""Parts of a template that are sent together."""
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
    "x-ua-compatible": "IE=edge",
    "vary": "HX-Request, Cookie",
}


@cache
def environment() -> Environment:
    made = Environment(
        loader=PackageLoader("skinnybox.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    made.filters.update(words.FILTERS)
    made.globals.update(
        static=static_files.address, percent=words.percent, version=__version__, with_query=with_query,
    )  # fmt: skip
    made.globals["parts"] = made.get_template("_parts.html").module
    return made


def page(request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
    """The whole page; for whoever is not signed in as well."""
    said = flash.said(request)
    context = {**_everywhere(request), **values, "said": said}
    text = environment().get_template(template).render(context)
    response = HTMLResponse(text, status_code=status, headers=HEADERS)
    if not is_part(request):
        session.renew(request, response)
    if said:
        flash.forget(request, response)
    return response


def streamed(request: Request, template: str, **values: Any) -> Response:
    """A page whose frame is on its way before what takes long is made: a callable among the values, which the
    template calls when it is there. What goes wrong in it breaks the page off, so it only shows what is known
    already."""
    said = flash.said(request)
    context = {**_everywhere(request), **values, "said": said}
    stream = environment().get_template(template).stream(context)
    stream.enable_buffering(_PIECES)
    response = StreamingResponse(stream, media_type="text/html; charset=utf-8", headers=HEADERS)
    session.renew(request, response)
    if said:
        flash.forget(request, response)
    return response


def part(request: Request, template: str, block: str, **values: Any) -> Response:
    """One block of a template, as it stands in the page."""
    return HTMLResponse(block_text(request, template, block, **values), headers=HEADERS)


def block_text(request: Request, template: str, block: str, **values: Any) -> str:
    found = environment().get_template(template)
    context = found.new_context({**_everywhere(request), **values, "said": None})
    return "".join(found.blocks[block](context))


def is_part(request: Request, target: str | None = None) -> bool:
    """Whether a script asks, and, with `target`, for the element of this id."""
    asked = request.headers.get("hx-request") == "true"
    return asked and (target is None or request.headers.get("hx-target") == target)


def moved(request: Request, address: str, said: str | None = None) -> Response:
    """After what changed something: to where that is seen. `said` is shown there, once."""
    response = RedirectResponse(address, status_code=303, headers=HEADERS)
    if said:
        flash.keep(request, response, said)
    return response


def wants_page(request: Request) -> bool:
    """Whether it is a browser's page that asks, so that errors are pages too."""
    if request.url.path.startswith("/api/"):
        return False
    return "text/html" in request.headers.get("accept", "") or is_part(request)


def visitor(request: Request) -> Principal | None:
    try:
        return principal(request)
    except (NotSignedIn, NotAllowed):
        return None


def _everywhere(request: Request) -> dict[str, Any]:
    """What the frame of each page says."""
    who = visitor(request)
    return {
        "who": who,
        "csrf": session.csrf(request),
        "theme": theme.chosen(request),
        "path": request.url.path,
        "jobs": strip.jobs_of(request, who) if who else [],
        "may_operate": who is not None and who.role >= Role.OPERATOR,
        "may_administer": who is not None and who.role >= Role.ADMIN,
        "signed_in": session.session(request) is not None,
    }
