"""What runs of machines left in the folder `run`."""

from collections.abc import Collection, Iterator
from pathlib import Path
from uuid import UUID

from skinnybox import layout, named_file, private, process
from skinnybox.hosts.events import FILE as EVENTS
from skinnybox.hosts.guest_io import supervisor_client
from skinnybox.hosts.guest_io.run_folder import machine_process, read_machine
from skinnybox.hosts.local.leftovers import as_uuid, contained, half_made, no_part
from skinnybox.issues import Deed, Finding


def of_runs(runs: Path, known: Collection[UUID]) -> Iterator[Finding]:
    """Looks only; machines that have ended unheard are recorded as such by whoever looks at their status."""
    for place in private.entries(runs) if runs.is_dir() else []:
        uuid = as_uuid(place.name)
        if uuid is None:
            yield from _of_all(runs, place)
        elif uuid not in known:
            yield _unknown(place)
        else:
            yield from contained(place, _of_one(place))


def _of_all(runs: Path, path: Path) -> Iterator[Finding]:
    if path.name == "supervisor" and not supervisor_client.answers(runs):
        yield half_made(path, "the socket of a supervisor that is gone; the next start makes another")
    else:
        yield from no_part(layout.RUNS, path)
        yield from contained(path, _readable(path))


def _readable(path: Path) -> Iterator[Finding]:
    """Nothing, unless it is what happened to machines, and cannot be read."""
    if path.name.startswith(EVENTS):
        named_file.head(path, 1)
    yield from ()


def _unknown(place: Path) -> Finding:
    found = _process(place)
    if found is not None and process.alive(found):
        what = f"a machine that nobody knows runs here: end it with `kill {found.pid}`"
        return Finding(path=place, what=what, deed=Deed.KEEP)
    return half_made(place, "of the last run of a machine that is no more")


def _of_one(place: Path) -> Iterator[Finding]:
    found = _process(place)
    for path in private.entries(place):
        if path.name == "machine.json" and found is None:
            yield half_made(path, "not readable: it does not say which QEMU runs")
        elif path.name == "machine.json" and found and not process.alive(found):
            yield Finding(path=path, what=_gone(found), deed=Deed.FINISH)
        elif path.name in layout.SOCKETS and not (place / "machine.json").exists():
            yield half_made(path, "a socket that nobody answers")
        else:
            yield from no_part(layout.RUN, path)


def _gone(machine: process.Process) -> str:
    if machine.boot != process.boot_id():
        return "says that the machine runs, but the host has restarted since"
    return f"says that the machine runs, but process {machine.pid} is gone"


def _process(place: Path) -> process.Process | None:
    values = read_machine(place)
    return machine_process(values) if values is not None else None
