"""What is known when the catalog is judged, and what it is to hold then."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from skinnybox.fleet.catalog.rows import RawRow
from skinnybox.issues import Deed, Finding
from skinnybox.model import Instance


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is judged by: where the state folder is, the ids of the masters and layers there are, the host
    keys pinned outside the catalog, which machines run, whether somebody has an overlay open, what is to be
    said of a data disk that its record does not know, and what a machine is whose rebase was interrupted.
    `forget`: it was said that machines are gone, however many."""

    folder: Path
    masters: Collection[str]
    layers: Collection[str]
    pins: Callable[[UUID], tuple[str, ...]]
    running: Callable[[], Collection[UUID]]
    in_use: Callable[[Path], bool]
    unknown_data: Callable[[Instance, int, Path, RawRow | None], Finding]
    settled: Callable[[Instance], Instance]
    delete_orphans: bool = False
    forget: bool = False


@dataclass(slots=True, kw_only=True)
class Rebuilt:
    """`machines` with their host keys are to be in the catalog, `gone` (UUIDs) not; `rewritten` get their
    record anew. Rows of none of them stay as they are."""

    machines: list[tuple[Instance, tuple[str, ...]]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    rewritten: dict[UUID, Instance] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    refused: str | None = None
    """Why machines of which nothing is there are remembered all the same: too many of them at once."""

    def say(self, path: Path, deed: Deed, what: str, act: Callable[[], None] | None = None) -> None:
        self.findings.append(Finding(path=path, what=what, deed=deed, act=act))

    @property
    def touched(self) -> set[str]:
        """UUIDs of the machines whose row or record is to be another."""
        return {*map(str, self.rewritten), *(str(machine.uuid) for machine, _ in self.machines), *self.gone}

    def leave(self, uuid: str) -> None:
        """Somebody else is at it: nothing is done about this machine."""
        self.machines = [(machine, keys) for machine, keys in self.machines if str(machine.uuid) != uuid]
        self.gone = [gone for gone in self.gone if gone != uuid]
        self.rewritten.pop(UUID(uuid), None)

    def rewrite(self, place: Path, instance: Instance, what: str) -> Instance:
        self.rewritten[instance.uuid] = instance
        self.say(place / "instance.json", Deed.REWRITE, what)
        return instance
