"""The second disk of machines: made with them or given to them later, and put back only when that is said."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from uuid import UUID

from skinnybox.errors import Blocked, Conflict, Corrupt, NotFound, SkinnyboxError, Unsupported
from skinnybox.hosts.base import Contents, Features, Host
from skinnybox.model import DiskKind, Instance, Overlay, Snapshot
from skinnybox.model.datadisk import data_disk
from skinnybox.model.encryption import check_encryption
from skinnybox.operation import Operation
from skinnybox.overlays.seed import data_message
from skinnybox.sizes import format_size
from skinnybox.values import replace

if TYPE_CHECKING:
    from skinnybox.fleet.lease import Held

_NOBODY = UUID(int=0)
_WITHOUT = "leave --data (in a fleet file: data) out"


def refuse_host(features: Features) -> None:
    """Unsupported where its machines have none."""
    if not features.data:
        raise Unsupported("machines of this host have no data disk", hint=_WITHOUT)


def make(host: Host, instance: Instance, operation: Operation) -> None:
    """The one it is to have, fresh. Conflict when there is one already."""
    host.create_overlay(instance, Contents(base=data_message(instance)), operation, DiskKind.DATA)


@contextmanager
def ensured(
    host: Host, held: "Held", wanted: Instance, operation: Operation, beside: Sequence[Overlay] = ()
) -> Iterator[None]:
    """In the block there is what `wanted` has and the machine has not. NoSpace, with nothing made, where it
    does not fit together with what is to lie `beside` the other disks for a moment. When the block fails,
    what this call made goes again, but when the host may know of it by then: a record that names a disk which
    is gone is worse."""
    made = _make_missing(host, held.instance, wanted, operation, beside)
    tellings = held.tellings
    try:
        yield
    except BaseException:
        if made and held.tellings == tellings:
            # What stopped us is what the user must hear; left there, it is as if we had been killed.
            with suppress(SkinnyboxError):
                host.discard_data(wanted)
        raise


def _make_missing(
    host: Host, before: Instance, wanted: Instance, operation: Operation, beside: Sequence[Overlay]
) -> bool:
    """Whether this call made it. What one left that was killed before it could write that down is taken as it
    is when it has the size that is wanted."""
    from skinnybox.fleet.specification import check_space  # which asks here what a host can do

    if wanted.data is None or before.data is not None:
        return False
    check_encryption(wanted.encrypt, wanted.overlay, wanted.data)
    refuse_host(host.features)
    with suppress(NotFound):
        size = host.overlay_size(wanted, DiskKind.DATA)
        if size == wanted.data.size:
            return False
        _clear(host, wanted, size, operation)
    check_space(host, (wanted.data, *beside))
    make(host, wanted, operation)
    return True


def _clear(host: Host, instance: Instance, size: int, operation: Operation) -> None:
    """Take away what lies where the data disk is to be, of a size that nobody asks for any more. Conflict
    when there may be data on it: a record that was put back from a backup knows nothing of them."""
    if is_unused(host, instance, operation):
        host.discard_data(instance)
        return
    raise Conflict(
        f"there is a data disk of {instance.name} already, of {format_size(size)}, that its record does not"
        " know, and a machine has used it",
        hint=f"skinnybox set {instance.name} --data {size} takes it",
    )


def is_unused(host: Host, instance: Instance, operation: Operation) -> bool:
    """Whether nothing ever booted with the data disk that lies there. NotFound without one."""
    from skinnybox.overlays import inspect  # which brings the reader of ext4

    with host.open_overlay(instance, operation, DiskKind.DATA) as disk:
        try:
            return inspect.is_untouched(disk)
        except (Corrupt, Unsupported):
            return False


def given(now: Instance, size: int | None, folders: Sequence[str]) -> Instance:
    """The machine with a data disk of `size` bytes, and with these folders on it beside those it has.
    Conflict where it has one of another size, NotFound where it has none and no size is said."""
    has = now.data
    if has is None:
        if size is None:
            raise NotFound(f"{now.name} has no data disk", hint="--data SIZE gives it one")
        return replace(now, data=data_disk(size, folders, now.overlay.allocation))
    if size is not None and data_disk(size, has.folders).size != has.size:
        raise Conflict(
            f"{now.name} has a data disk of {format_size(has.size)}",
            hint=f"skinnybox grow {now.name} SIZE --data",
        )
    return replace(now, data=data_disk(has.size, (*has.folders, *folders), has.allocation))


def refuse_snapshot(instance: Instance, snapshot: Snapshot) -> None:
    """Blocked where the data of the snapshot cannot take the place of those there are."""
    then = snapshot.instance.data
    if not snapshot.data or then is None:
        raise Blocked(
            f"there are no data in the snapshot {snapshot.label!r} of {instance.name}",
            hint="`snapshot create --data` keeps them; without --with-data only the system is put back",
        )
    if instance.data is None or then.size > instance.data.size:
        raise Blocked(
            f"the data disk in the snapshot {snapshot.label!r} has {format_size(then.size)}, that of"
            f" {instance.name} less",
            hint=f"skinnybox grow {instance.name} {then.size} --data",
        )


def stand_in(host: Host, instance: Instance, operation: Operation) -> bool:
    """Where the data disk is lost, put one in its place that is nobody's: were it the machine's own, and we
    killed before the data are in place, the next start would take it for them. Whether it was lost."""
    try:
        host.overlay_size(instance, DiskKind.DATA)
    except NotFound:
        nobodys = Contents(base=data_message(replace(instance, uuid=_NOBODY)))
        host.create_overlay(instance, nobodys, operation, DiskKind.DATA)
        return True
    return False
