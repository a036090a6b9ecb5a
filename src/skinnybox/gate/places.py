"""Where things lie on the server is nothing for viewers: what went wrong is told them without it.

Messages are made for who runs the server, and name files by their whole paths. Of these a viewer is told the
last part, which says what it is of, and not where; unless it stands in what they asked for themselves.
"""

import re
from dataclasses import replace
from urllib.parse import unquote

from starlette.requests import HTTPConnection

from skinnybox.errors import SkinnyboxError
from skinnybox.fleet.jobs import Job
from skinnybox.fleet.tokens import Role
from skinnybox.fleet.view import MachineView
from skinnybox.gate.principal import Principal

_PATH = re.compile(r"(?<![\w./:-])/(?:[^/\s'\"`,;()<>]+/)+(?P<last>[^/\s'\"`,;:()<>]*)")


def cut(text: str, said: str = "") -> str:
    """`said` is what they said themselves: paths in it stay."""
    return _PATH.sub(lambda found: found[0] if found[0] in said else f"…/{found['last']}", text)


def sees(who: Principal | None) -> bool:
    """Whether they may know where things lie. Who has not signed in may not."""
    return who is not None and who.role > Role.VIEWER


def error(connection: HTTPConnection, found: SkinnyboxError) -> SkinnyboxError:
    """As whoever asks may be told of it; it keeps its kind."""
    if sees(connection.scope.get("state", {}).get("principal")):
        return found
    said = unquote(str(connection.url))
    found.message = cut(found.message, said)
    found.hint = found.hint and cut(found.hint, said)
    return found


def job(who: Principal, found: Job) -> Job:
    if sees(who):
        return found
    step = found.step and {
        key: cut(each) if isinstance(each, str) else each for key, each in found.step.items()
    }
    results = tuple(replace(each, error=each.error and cut(each.error)) for each in found.results)
    return replace(
        found, error=found.error and cut(found.error), log=cut(found.log), step=step, results=results
    )


def machine(who: Principal, found: MachineView) -> MachineView:
    if sees(who):
        return found
    if found.trouble is not None:
        found = replace(found, trouble=replace(found.trouble, why=cut(found.trouble.why)))
    if found.status is not None and found.status.reason:
        found = replace(found, status=replace(found.status, reason=cut(found.status.reason)))
    return found
