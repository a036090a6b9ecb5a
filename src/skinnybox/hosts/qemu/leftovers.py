"""What runs of machines left in the folder `run`."""

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from uuid import UUID

from skinnybox.hosts.guest_io import supervisor_client
from skinnybox.hosts.guest_io.run_folder import SOCKETS, machine_process, read_machine
from skinnybox.hosts.local.leftovers import as_uuid, half_made, stranger
from skinnybox.issues import Deed, Finding
from skinnybox.run import process

_OF_ALL = re.compile(r"supervisor(?:\.lock|\.log)?|events\.jsonl(?:\.1)?")
_OF_ONE = {
    "machine.json", "end.json", "stopping", "report.json", "rejected.json", "console.log", "console.log.1",
    "qemu.log", "told.json", *SOCKETS,
}  # fmt: skip
_HALF_WRITTEN = re.compile(r"\..+\.[0-9a-f]{8}")


def of_runs(runs: Path, known: Collection[UUID]) -> Iterator[Finding]:
    """Looks only; machines that have ended unheard are recorded as such by whoever looks at their status."""
    for place in sorted(runs.iterdir()) if runs.is_dir() else []:
        uuid = as_uuid(place.name)
        if uuid is None:
            yield from _of_all(runs, place)
        elif uuid not in known:
            yield _unknown(place)
        else:
            yield from _of_one(place)


def _of_all(runs: Path, path: Path) -> Iterator[Finding]:
    if not _OF_ALL.fullmatch(path.name):
        yield (
            half_made(path, "half written by a process that was killed") if _is_half(path) else stranger(path)
        )
    elif path.name == "supervisor" and not supervisor_client.answers(runs):
        yield half_made(path, "the socket of a supervisor that is gone; the next start makes another")


def _unknown(place: Path) -> Finding:
    found = _process(place)
    if found is not None and process.alive(found):
        what = f"a machine that nobody knows runs here: end it with `kill {found.pid}`"
        return Finding(path=place, what=what, deed=Deed.KEEP)
    return half_made(place, "of the last run of a machine that is no more")


def _of_one(place: Path) -> Iterator[Finding]:
    found = _process(place)
    for path in sorted(place.iterdir()):
        if path.name == "machine.json" and found is None:
            yield half_made(path, "not readable: it does not say which QEMU runs")
        elif path.name == "machine.json" and found and not process.alive(found):
            yield Finding(path=path, what=_gone(found), deed=Deed.FINISH)
        elif path.name in SOCKETS and not (place / "machine.json").exists():
            yield half_made(path, "a socket that nobody answers")
        elif path.name not in _OF_ONE:
            yield (
                half_made(path, "half written by a process that was killed")
                if _is_half(path)
                else stranger(path)
            )


def _gone(machine: process.Process) -> str:
    if machine.boot != process.boot_id():
        return "says that the machine runs, but the host has restarted since"
    return f"says that the machine runs, but process {machine.pid} is gone"


def _process(place: Path) -> process.Process | None:
    values = read_machine(place)
    return machine_process(values) if values is not None else None


def _is_half(path: Path) -> bool:
    return _HALF_WRITTEN.fullmatch(path.name) is not None
