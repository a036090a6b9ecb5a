"""The kinds of hosts, as data, and which of them the machines of a state folder are on: the file `host` in it
holds that one word.

A new kind of host is an entry here and one that opens it in fleet/registry.py; nothing else in the fleet asks
which kind it has.
"""

from dataclasses import dataclass
from pathlib import Path

from skinnybox.errors import Blocked, UsageError
from skinnybox.fleet.catalog.completion import machine_names

FILE = "host"
_LONGEST = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class HostKind:
    """`address` is how a user writes one, `scheme` what that begins with, `noted` the word in the file.

    `keeps_records`: the records of machines are on the host; of kinds that keep none, what one made in a
    folder the others find there. `bears_more`: machines run on other computers than this one, and start and
    stop with those.
    """

    name: str
    address: str
    help: str
    scheme: str | None = None
    also: str | None = None
    noted: str
    keeps_records: bool = False
    bears_more: bool = False

    def means(self, address: str) -> bool:
        if self.scheme is not None:
            return address.startswith(self.scheme)
        return address in (self.name, self.also)


QEMU = HostKind(name="qemu", address="qemu", help="plain QEMU on this machine", noted="qemu")
FAKE = HostKind(
    name="fake", address="fake", also="memory", noted="memory",
    help="pretended machines, to try the commands with",
)  # fmt: skip
XAPI = HostKind(
    name="xapi", address="xapi://USER@POOL", scheme="xapi:", noted="xapi",
    help="a pool of XenServer or XCP-ng hosts", keeps_records=True, bears_more=True,
)  # fmt: skip
KINDS = (QEMU, FAKE, XAPI)
ADDRESSES = f"{', '.join(kind.address for kind in KINDS[:-1])}, or {KINDS[-1].address}"


def kind_of(address: str) -> HostKind:
    """UsageError when it means no kind of host."""
    for kind in KINDS:
        if kind.means(address):
            return kind
    raise UsageError(f"{address!r} is no kind of host", hint=ADDRESSES)


def note(folder: Path, name: str) -> None:
    """Of who makes machines there; `name` is the kind's."""
    kind = next(kind for kind in KINDS if kind.name == name)
    if noted(folder) != kind:
        from skinnybox.hosts.local.store import write_atomically

        write_atomically(folder / FILE, f"{kind.noted}\n".encode())


def refuse_other(folder: Path, kind: HostKind) -> None:
    """Blocked when the machines there are on another kind of host: they would seem to be stopped, or gone."""
    word = _word(folder)
    known = noted(folder)
    here = known is not None and not known.keeps_records and not kind.keeps_records
    if word and known != kind and not here and machine_names(folder):
        raise Blocked(
            f"the machines in {folder} are on a host of the kind {word!r}, not {kind.name!r}",
            hint="--host says which host is meant, --state names another folder",
        )


def noted(folder: Path) -> HostKind | None:
    """None when nobody has made machines there, or the word is none that is known."""
    word = _word(folder)
    return next((kind for kind in KINDS if word and kind.noted == word), None)


def are_elsewhere(folder: Path) -> bool:
    """Whether the records of the machines there are kept by their host."""
    kind = noted(folder)
    return kind is not None and kind.keeps_records


def _word(folder: Path) -> str | None:
    try:
        with (folder / FILE).open(encoding="ascii", errors="replace") as file:
            return file.read(_LONGEST).strip()
    except OSError:
        return None
