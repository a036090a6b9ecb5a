"""What lies in a state folder and on its host, judged and explained; nothing is changed."""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import UUID

from skinnybox import layout, private, process
from skinnybox.errors import Blocked, Corrupt, Unsupported
from skinnybox.fleet import trial_left
from skinnybox.fleet.catalog import host_kind, known_hosts
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.catalog.rows import RawRow
from skinnybox.fleet.repair import master_edits, shape, unknown_data
from skinnybox.fleet.repair.judge import rebuild
from skinnybox.fleet.repair.modes import open_to_others
from skinnybox.fleet.repair.rebuilt import Known, Rebuilt
from skinnybox.hosts.base import Host
from skinnybox.hosts.holding import Holding
from skinnybox.hosts.local.leftovers import as_uuid, contained, half_made, in_use, no_part, within
from skinnybox.issues import Deed, Finding
from skinnybox.layout import Sort
from skinnybox.masters.layers.leftovers import LAYERS
from skinnybox.masters.leftovers import MASTERS, leftovers
from skinnybox.masters.workspace import alive

DATABASE = "state.db"
_WHERE = f"with the --host on which they are, or after that word is written into the file: {host_kind.WORDS}"
_FORGET = "is the disk mounted, and the pool the right one? Are they really gone: `skinnybox repair --forget`"


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found; `trouble` is why the catalog there cannot be used, and has to be written anew. `rows`
    are those of the catalog at that time, by UUID. This host `bears` machines of which it has records;
    `nowhere`: it has none, and nobody can read where those are that are remembered."""

    trouble: str | None
    rebuilt: Rebuilt
    findings: list[Finding]
    rows: Mapping[str, RawRow]
    bears: bool = False
    nowhere: bool = False

    @property
    def refused(self) -> Blocked | None:
        """What is not done though it was asked for, and how to have it done."""
        if self.nowhere:
            return Blocked(
                "nobody can say on which kind of host the machines are: nothing is done", hint=_WHERE
            )
        if self.rebuilt.refused is None:
            return None
        return Blocked(f"{self.rebuilt.refused}: they are not forgotten", hint=_FORGET)

    @property
    def to_do(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.deed is not Deed.KEEP]


def examine(folder: Path, host: Host, *, delete_orphans: bool = False, forget: bool = False) -> Examination:
    """What is there and what `repair` would do about it; nothing is changed."""
    catalog, trouble = opened(folder)
    with contextlib.closing(catalog) if catalog else contextlib.nullcontext():
        return examined(folder, host, catalog, trouble, delete_orphans, forget)


def opened(folder: Path) -> tuple[Catalog | None, str | None]:
    """The catalog, when it can be read; else what is wrong with it."""
    try:
        catalog = Catalog(folder / DATABASE)
    except (Corrupt, Unsupported) as error:
        return None, error.message
    try:
        catalog.check()
        catalog.raw_rows()
    except Corrupt as error:
        catalog.close()
        return None, error.message
    return catalog, None


def examined(
    folder: Path, host: Host, catalog: Catalog | None, trouble: str | None, orphans: bool, forget: bool
) -> Examination:
    """The same, of a catalog that is open."""
    no_folders = list(shape.no_folders(folder))
    layers, masters = (
        list(contained(folder / kind.part, leftovers(folder / kind.part, kind))) for kind in (LAYERS, MASTERS)
    )
    holdings, rows = _machines(host, catalog)
    known = _known(folder, host, catalog, [*masters, *layers], orphans=orphans, forget=forget)
    bears = any(holding.instance for holding in holdings)
    nowhere = shape.is_nowhere(folder, bears, bool(rows))
    rebuilt = rebuild(holdings, () if nowhere else rows, known)
    there = _there(holdings, rows)
    sealed = {*known.masters, *known.layers}
    checks = {f"{identity.removeprefix('sha256:')}.json" for identity in sealed}
    findings = [
        *shape.lost_word(folder, host.features.kind, bears, nowhere),
        *_of_catalog(folder, trouble),
        *rebuilt.findings,
        *(master_edits.left(folder, host, catalog) if catalog else ()),
        *masters,
        *layers,
        *contained(folder / layout.RUNS, host.leftovers(there)),
        *_of_names(layout.PINS, folder / layout.PINS, set(map(str, there)), "ssh host keys of a machine"),
        *_of_names(
            layout.VERIFIED, folder / layout.VERIFIED, checks, "the last check of a master or a layer"
        ),
        *open_to_others(folder),
        *contained(folder, _of_state(folder)),
        *contained(folder / layout.SSH, within(layout.SSH, folder / layout.SSH)),
    ]
    told = {finding.path for finding in no_folders}  # and not again, as what cannot be looked at
    findings = [*no_folders, *(finding for finding in findings if finding.path not in told)]
    return Examination(trouble, rebuilt, findings, {row.uuid: row for row in rows}, bears, nowhere)


def _known(
    folder: Path,
    host: Host,
    catalog: Catalog | None,
    of_stores: Sequence[Finding],
    *,
    orphans: bool,
    forget: bool,
) -> Known:
    return Known(
        folder=folder,
        masters=_whole(folder / layout.MASTERS, of_stores),
        layers=_whole(folder / layout.LAYERS, of_stores),
        pins=partial(known_hosts.kept, known_hosts.folder(folder)),
        running=lambda: {uuid for uuid, status in host.statuses().items() if status.pid},
        in_use=in_use,
        unknown_data=partial(unknown_data.judged, host, catalog),
        settled=partial(trial_left.judged, host),
        delete_orphans=orphans,
        forget=forget,
    )


def _there(holdings: Iterable[Holding], rows: Iterable[RawRow]) -> set[UUID]:
    """Those that are remembered, or of which anything lies on the host."""
    known = {uuid for uuid in map(as_uuid, (row.uuid for row in rows)) if uuid}
    return known | {
        h.uuid for h in holdings if h.instance or h.trouble or h.overlay is not None or h.data is not None
    }


def _whole(store: Path, findings: Iterable[Finding]) -> set[str]:
    """The ids of the masters or layers there are, without those that are to be put aside."""
    aside = {each.path.name for each in findings if each.deed is Deed.ASIDE and each.path.parent == store}
    there = {place.name for place in store.glob("[0-9a-f]*")}
    return {f"sha256:{name}" for name in there - aside}


def _machines(host: Host, catalog: Catalog | None) -> tuple[list[Holding], list[RawRow]]:
    """What lies on the host, and the rows: as others may make and delete machines meanwhile, without the
    database being held for so long.

    Who makes a machine takes its row first, and who deletes one gives its row back last. So a place that is
    there before and after the rows were read, and has no row among them, really had none.
    """
    before = {holding.uuid for holding in host.holdings()}
    rows = catalog.raw_rows() if catalog else []
    known = {row.uuid for row in rows}
    return [h for h in host.holdings() if h.uuid in before or str(h.uuid) in known], rows


def _of_catalog(folder: Path, trouble: str | None) -> Iterator[Finding]:
    path = folder / DATABASE
    if trouble is not None:
        there = not path.is_file() or path.stat().st_size if os.path.lexists(path) else False
        kept = "what there is of it is moved aside, and it" if there else "it"
        what = f"{trouble}; {kept} is written anew from the records"
        yield Finding(path=path, what=what, deed=Deed.REWRITE)


def _of_state(folder: Path) -> Iterator[Finding]:
    """What is no part of it; a folder in which somebody works stays, however long that takes."""
    for path in private.entries(folder):
        half = layout.sort(layout.STATE, path.name) is Sort.HALF and path.is_dir()
        at_work = _at_work(path) if half else None
        if at_work is not None:
            yield Finding(path=path, what=at_work, deed=Deed.KEEP)
        else:
            yield from no_part(layout.STATE, path)


def _at_work(path: Path) -> str | None:
    """Whether a command is, or only what one began that was killed."""
    if alive(path):
        return "a command works here"
    left = sorted(process.holding(path))
    if not left:
        return None
    named = ", ".join(f"process {pid} ({name})" for pid, name in left)
    return f"{named} works here, though its command is gone: end it with kill, and repair again"


def _of_names(where: str, folder: Path, known: set[str], what: str) -> Iterator[Finding]:
    """Of a folder that holds one file for each machine or master: those of none are to go, and only those."""

    def found() -> Iterator[Finding]:
        for path in private.entries(folder) if folder.is_dir() else []:
            if layout.sort(where, path.name) is not Sort.PART:
                yield from no_part(where, path)
            elif path.name not in known:
                yield half_made(path, f"{what} that is no more")

    return contained(folder, found())
