"""The running and the last jobs, as each page tells them at its foot."""

from starlette.requests import Request

from skinnybox.fleet.jobs import Condition, Job
from skinnybox.fleet.tokens import Role
from skinnybox.gate.principal import Principal
from skinnybox.web import looking

_SHOWN = 5


def jobs_of(request: Request, who: Principal) -> list[Job]:
    """Those that run first, then the newest."""
    found = [job for job in reversed(looking.looks(request).jobs()) if is_theirs(request, who, job)]
    return sorted(found, key=lambda job: job.condition is not Condition.RUNNING)[:_SHOWN]


def is_theirs(request: Request, who: Principal, job: Job) -> bool:
    """Whoever reaches one fleet sees what is done to its machines only; who may come in is the admins'
    affair."""
    if job.verb.startswith("token") and who.role < Role.ADMIN:
        return False
    if who.fleet is None:
        return True
    return bool(job.subjects) and set(job.subjects) <= set(_names(request, who))


def _names(request: Request, who: Principal) -> list[str]:
    state = request.scope["state"]
    if "names" not in state:
        state["names"] = [machine.name for machine in looking.machines(request, who)]
    found: list[str] = state["names"]
    return found
