"""Archives of machines for who asks over a network, and machines of archives that they send."""

from collections.abc import Callable, Iterator

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from skinnybox.errors import UsageError
from skinnybox.fleet import bound
from skinnybox.fleet.change import Changes
from skinnybox.fleet.exporting import Export
from skinnybox.fleet.received import MOST, Sent
from skinnybox.fleet.restoring import Restore
from skinnybox.gate import reach
from skinnybox.gate.downloads import download
from skinnybox.gate.forms import Form
from skinnybox.gate.principal import Principal
from skinnybox.gate.readings import awaited
from skinnybox.gate.served import fleet_of
from skinnybox.gate.uploads import Inbox, taken
from skinnybox.model import check_name
from skinnybox.operation import Operation

MEDIA = "application/zstd"
ARCHIVE, SINCE = "archive", "since"
"""What files are called in a form."""


async def exported(
    request: Request, who: Principal, name: str, *, data: bool, form: Form | None = None
) -> Response:
    """Of a machine that they reach, and of no other that is called so by then; where a form has an earlier
    archive, what has changed since that. NotFound, and what `export` raises before it writes anything."""
    fleet, inbox = fleet_of(request), Inbox()
    has_earlier = form is not None and form.has_files
    machine = await run_in_threadpool(reach.machine, fleet, who, name)
    identity = machine.instance.uuid

    def write(output: int, operation: Operation) -> object:
        since = _only(inbox.archives(operation)) if has_earlier else None
        awaited([identity], operation)
        wanted = Export(file=None, output=output, data=data, since=since)
        with bound.to({name: identity}):
            return fleet.deltas.export(name, wanted, operation)

    async def send_on() -> None:
        if form is not None:
            await inbox.fill(form, SINCE, most=1)

    return await download(
        request, fleet.background, who.actor, "export", name,
        lambda output, operation: inbox.work(lambda op: write(output, op), operation),
        file=f"{name}.tar.zst", media=MEDIA, meanwhile=send_on if has_earlier else None,
    )  # fmt: skip


def _only(archives: Iterator[Sent]) -> Sent:
    for each in archives:
        return each
    raise UsageError("the earlier archive was not sent")


async def restored(
    request: Request, who: Principal, form: Form, name: str, *, overlay: int | None, new_identity: bool
) -> int:
    """The number of the job that makes a machine of the archives in a form, once all are here and nothing of
    what they say of themselves stands against it; what does is raised. For who reaches one fleet it is of
    that."""
    check_name(name)
    fleet = fleet_of(request)
    changes = Changes() if who.fleet is None else Changes(fleet=who.fleet)

    def make(operation: Operation, archives: Iterator[Sent], accepted: Callable[[], None]) -> object:
        wanted = Restore(
            sources=archives, overlay=overlay, new_identity=new_identity, changes=changes, accepted=accepted
        )
        return [fleet.deltas.restore(name, wanted, operation)]

    return await taken(
        request, fleet.background, who.actor, "create", name, form, make, file=ARCHIVE, most=MOST
    )
