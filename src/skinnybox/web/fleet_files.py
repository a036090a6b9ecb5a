"""Fleet files: pasted or sent, what they would do as a table, and doing it."""

import hashlib
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import Response

from skinnybox.errors import Conflict, SkinnyboxError, UsageError
from skinnybox.fleet.plan.actions import DANGEROUS, Action, Choices, Verb
from skinnybox.fleet.plan.apply import Plan
from skinnybox.fleet.plan.descriptions import count, describe, summary
from skinnybox.fleet.power import Starting
from skinnybox.fleet.spec.reading import Sent
from skinnybox.gate import limits
from skinnybox.gate.principal import NotAllowed, Operator, Principal
from skinnybox.gate.served import fleet_of
from skinnybox.operation import Operation
from skinnybox.printable import printable
from skinnybox.web import render
from skinnybox.web.begun import begun
from skinnybox.web.forms import Posted, listed, text

router = APIRouter(max_body_size=limits.DOCUMENT_BODY)
TEMPLATE = "fleet_files.html"
SHOWN = 500
"""Actions that are told one by one."""
_CALLED = {"--adopt": "Adopt", "--prune": "Prune", "--rebase": "Rebase", "--replay": "Replay"}
EXAMPLE = """\
version: 1
fleet: widgets
defaults: {master: NAME, memory: 512M}
machines:
  web-{01..04}: {state: running}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the form says. `agreed` names the losses that were read and agreed to."""

    content: str = ""
    prune: bool = False
    adopt: bool = False
    rebase: bool = False
    replay: bool = False
    recreate: str = ""
    reset: str = ""
    agreed: str = ""

    @property
    def sent(self) -> Sent:
        return Sent(content=self.content.encode())

    @property
    def choices(self) -> Choices:
        return Choices(
            prune=self.prune, adopt=self.adopt, rebase=self.rebase, replay=self.replay,
            recreate=frozenset(self.recreate.split()), reset=frozenset(self.reset.split()),
        )  # fmt: skip


@router.get("/files")
def ask(request: Request, who: Operator) -> Response:
    return _page(request, who, Asked())


@router.post("/files")
def plan_or_apply(request: Request, form: Posted, who: Operator) -> Response:
    """With the button `apply` it is begun, unless something would be lost that nobody agreed to yet."""
    try:
        asked = _asked(form)
    except UsageError as error:
        return _page(request, who, Asked(), wrong=error, status=422)
    _refuse_adopting(who, asked)
    try:
        plan = fleet_of(request).files.plan(asked.sent, asked.choices)
    except SkinnyboxError as error:
        return _page(request, who, asked, wrong=error, status=422)
    _refuse_others(who, plan)
    doing = text(form, "do") == "apply" and plan.refusal is None and bool(plan.actions)
    if doing and asked.agreed == losses(plan):
        return _apply(request, who, asked, plan)
    return _page(request, who, asked, plan=plan, ask_first=doing)


def losses(plan: Plan) -> str:
    """Of what a plan would lose a mark that another loss has not; empty where it is nothing."""
    lost = sorted(f"{action.verb} {action.name}" for action in plan.actions if action.verb in DANGEROUS)
    return hashlib.sha256("\n".join(lost).encode()).hexdigest() if lost else ""


def _refuse_adopting(who: Principal, asked: Asked) -> None:
    if who.fleet is not None and asked.adopt:
        raise NotAllowed(f"{who.name} reaches the fleet {who.fleet} only, and adopts no other's machines")


def _refuse_others(who: Principal, plan: Plan) -> None:
    """Who reaches one fleet says what that one is to be, and no other."""
    if who.fleet not in (None, plan.fleet):
        raise NotAllowed(f"{who.name} reaches the fleet {who.fleet} only, and this is of another")


def _apply(request: Request, who: Principal, asked: Asked, plan: Plan) -> Response:
    fleet, agreed = fleet_of(request), losses(plan)

    def agree(found: Plan) -> None:
        _refuse_others(who, found)
        if losses(found) != agreed:
            raise Conflict(
                "what would be lost is no longer what was agreed to", hint="look at the plan again"
            )

    def act(operation: Operation) -> object:
        return fleet.files.apply(asked.sent, asked.choices, Starting(), agree, operation)

    names = list(dict.fromkeys(action.name for action in plan.actions))
    return begun(request, who, "apply", names, act)


def _asked(form: FormData) -> Asked:
    """A file that was sent wins over what stands in the field. UsageError for one that is no text."""
    content, upload = form.get("content"), form.get("file")
    said = content if isinstance(content, str) else ""
    if isinstance(upload, UploadFile) and upload.filename:
        try:
            said = upload.file.read().decode()
        except UnicodeDecodeError as error:
            raise UsageError(f"the file is no text: byte {error.start} is not UTF-8") from error
    return Asked(
        content=said.replace("\r\n", "\n"),
        prune=form.get("prune") is not None,
        adopt=form.get("adopt") is not None,
        rebase=any(form.get(key) is not None for key in ("rebase", "replay")),
        replay=form.get("replay") is not None,
        recreate=" ".join(listed(form, "recreate")),
        reset=" ".join(listed(form, "reset")),
        agreed=text(form, "agreed"),
    )


def told(action: Action, who: Principal) -> list[str]:
    """What it does and why, in lines; choices are called as the page calls them. Whose a machine of the same
    name is, is nothing for who reaches one fleet only."""
    if who.fleet is not None and action.instance is not None and action.instance.fleet != who.fleet:
        return ["this name is taken: choose another"]
    making = action.verb in ("create", "recreate") and action.wanted is not None
    said = [summary(action.wanted)] if making and action.wanted else map(describe, action.differences)
    lines = [line for line in (*said, action.reason, action.hint, action.note) if line]
    for option, name in _CALLED.items():
        lines = [line.replace(option, name) for line in lines]
    return lines


def _looked(action: Action) -> str:
    """Where it is told what a rebase would mean for it; empty for what is none."""
    if action.verb is not Verb.REBASE or action.wanted is None:
        return ""
    return "/rebase?" + urlencode({"names": action.name, "onto": action.wanted.stack.reference})


def _page(
    request: Request, who: Principal, asked: Asked, *, plan: Plan | None = None,
    wrong: SkinnyboxError | None = None, ask_first: bool = False, status: int = 200,
) -> Response:  # fmt: skip
    mistakes = "\n".join(map(printable, wrong.message.split("\n"))) if wrong else ""
    lost = [action for action in plan.actions if action.verb in DANGEROUS] if plan else []
    return render.page(
        request, TEMPLATE, status=status, asked=asked, plan=plan, wrong=wrong, mistakes=mistakes, shown=SHOWN,
        count=count, told=partial(told, who=who), lost=lost, losses=losses(plan) if plan else "",
        ask_first=ask_first, example=EXAMPLE, looked=_looked,
    )  # fmt: skip
