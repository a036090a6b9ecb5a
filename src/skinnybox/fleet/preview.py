"""What a creation would make, told before anything happens: names, addresses, and the space it takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skinnybox.errors import SkinnyboxError
from skinnybox.fleet.create import Batch, alike, instances, left, separate, suits
from skinnybox.fleet.names import expand
from skinnybox.fleet.specification import Specification, check_space, completed, needed
from skinnybox.fleet.stacks import stack
from skinnybox.model import Stack

if TYPE_CHECKING:
    from skinnybox.fleet.context import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One machine. `addresses` are those of its first card; none: its network gives it one."""

    name: str
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """`skipped` exist already and stay as they are. Bytes: `need` what the reserved disks of all of them
    take, `promised` the disks' sizes whatever they take, `free` what the store has. `refusal` is why nothing
    of it could be made just now, though each of them can be told."""

    master: str
    machines: tuple[Planned, ...]
    skipped: tuple[str, ...]
    need: int
    promised: int
    free: int
    refusal: SkinnyboxError | None = None

    @property
    def left(self) -> int:
        return max(0, self.free - self.need)


def preview(
    context: "Context",
    patterns: Sequence[str],
    master: str,
    specification: Specification,
    skip_existing: bool,
) -> Preview:
    """See Fleet.preview."""
    names, specification = expand(patterns), completed(specification, context.features)
    each = separate(context, names, specification, skip_existing)
    return _preview(context, master, specification, names, each)


def preview_batch(context: "Context", batch: Batch, skip_existing: bool) -> Preview:
    """See Fleet.preview_batch."""
    each = left(context, batch, skip_existing)
    return _preview(context, batch.master, alike(context, batch), list(batch.each), each)


def _preview(
    context: "Context", master: str, specification: Specification, names: Sequence[str],
    each: dict[str, Specification],
) -> Preview:  # fmt: skip
    host = context.host
    with context.masters.kept(master) as found, context.kept_layers(specification.layers, found) as layers:
        suits(context, found, specification)
        disks = [disk for own in each.values() for disk in own.disks]
        return Preview(
            master=found.reference,
            machines=tuple(_planned(name, own) for name, own in each.items()),
            skipped=tuple(name for name in names if name not in each),
            need=needed(host, disks),
            promised=sum(disk.size for disk in disks),
            free=host.space((), ()).free,
            refusal=_refusal(context, stack(found, specification.dax, context.features, layers), each),
        )


def _planned(name: str, own: Specification) -> Planned:
    return Planned(name=name, addresses=own.static_network.addresses if own.static_network else ())


def _refusal(context: "Context", base: Stack, each: dict[str, Specification]) -> SkinnyboxError | None:
    """What `create` would say of these machines, once it has nothing against them by themselves."""
    try:
        wanted = instances(context, base, each, context.known_public_key)
        context.catalog.refuse_taken(wanted)
        check_space(context.host, (disk for new in wanted for disk in new.disks.values()))
    except SkinnyboxError as error:
        return error
    return None
