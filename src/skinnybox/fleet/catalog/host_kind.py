"""Which kind of host the machines of a state folder are on: the file `host` in it holds that one word."""

from pathlib import Path

from skinnybox.errors import Blocked
from skinnybox.fleet.catalog.completion import machine_names

FILE = "host"
_LONGEST = 64
_HERE = frozenset(["qemu", "memory"])
"""Kinds whose machines lie in the folder itself: what one of them made, the others find."""


def note(folder: Path, kind: str) -> None:
    """Of who makes machines there."""
    if noted(folder) != kind:
        from skinnybox.hosts.local.store import write_atomically

        write_atomically(folder / FILE, f"{kind}\n".encode())


def refuse_other(folder: Path, kind: str) -> None:
    """Blocked when the machines there are on another kind of host: they would seem to be stopped, or gone."""
    known = noted(folder)
    if known not in (None, kind) and not {known, kind} <= _HERE and machine_names(folder):
        raise Blocked(
            f"the machines in {folder} are on a host of the kind {known!r}, not {kind!r}",
            hint="--host says which host is meant, --state names another folder",
        )


def noted(folder: Path) -> str | None:
    try:
        with (folder / FILE).open(encoding="ascii", errors="replace") as file:
            return file.read(_LONGEST).strip()
    except OSError:
        return None
