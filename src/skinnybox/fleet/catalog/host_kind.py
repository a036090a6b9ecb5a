"""The kinds of hosts, as data, and which of them the machines of a state folder are on: the file `host` in it
holds that one word.

A new kind of host is an entry here and one that opens it in fleet/registry.py; nothing else in the fleet asks
which kind it has.
"""

from errno import EISDIR, ELOOP
from pathlib import Path

from skinnybox import named_file
from skinnybox.errors import Blocked, Corrupt, NotAFile, SkinnyboxError, UsageError
from skinnybox.fleet.catalog.completion import machine_names
from skinnybox.values import dataclass

FILE, EMPTY = "host", "is empty"
_LONGEST = 64
_NO_FILE: dict[int | None, str] = {EISDIR: "a folder", ELOOP: "a symbolic link that leads in a circle"}


@dataclass(frozen=True, slots=True, kw_only=True)
class HostKind:
    """`address` is how a user writes one, `scheme` what that begins with, `noted` the word in the file.

    `keeps_records`: the records of machines are on the host, not in the folder. `bears_more`: machines run on
    other computers than this one, and start and stop with those.
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
WORDS = " or ".join(kind.noted for kind in KINDS)
ADDRESSES = f"{', '.join(kind.address for kind in KINDS[:-1])}, or {KINDS[-1].address}"


def kind_of(address: str) -> HostKind:
    """UsageError when it means no kind of host."""
    for kind in KINDS:
        if kind.means(address):
            return kind
    raise UsageError(f"{address!r} is no kind of host", hint=ADDRESSES)


def note(folder: Path, name: str) -> None:
    """Of who makes machines there; `name` is the kind's."""
    word = word_of(name)
    if _word(folder) != word:
        from skinnybox.hosts.local.store import write_atomically

        write_atomically(folder / FILE, f"{word}\n".encode())


def word_of(name: str) -> str:
    return next(kind.noted for kind in KINDS if kind.name == name)


def refuse_other(folder: Path, kind: HostKind, *, repairing: bool = False) -> None:
    """Blocked when the machines there are on another kind of host: they would seem to be stopped, or gone.
    Corrupt when nobody can read where they are, unless somebody is `repairing` that."""
    why = lost(folder)
    if why is not None:
        if repairing or (why == EMPTY and not machine_names(folder)):
            return
        raise Corrupt(
            f"{folder / FILE} {why}, and should say on which kind of host the machines in that folder are",
            hint=f"`skinnybox repair` looks where they are; or write that word into it: {WORDS}",
        )
    word = _word(folder)
    known = noted(folder)
    if word is None or known == kind or not machine_names(folder):
        return
    raise Blocked(
        f"the machines in {folder} are on a host of the kind {known.name if known else word!r}, "
        f"not {kind.name!r}",
        hint="--host says which host is meant, --state names another folder",
    )


def noted(folder: Path) -> HostKind | None:
    """None when nobody has made machines there, or the word is none that is known."""
    word = _word(folder)
    return next((kind for kind in KINDS if word and kind.noted == word), None)


def lost(folder: Path) -> str | None:
    """What is wrong with the file, when there is no word in it or it is no file."""
    try:
        return EMPTY if _word(folder) == "" else None
    except Corrupt as error:
        return error.message.removeprefix(f"{folder / FILE} ")


def are_elsewhere(folder: Path) -> bool:
    """Whether the records of the machines there are kept by their host. Where nobody can read that they may
    be."""
    if lost(folder) is not None:
        return True
    kind = noted(folder)
    return kind is not None and kind.keeps_records


def _word(folder: Path) -> str | None:
    """None when there is no such file; "" when there is nothing in it."""
    path = folder / FILE
    try:
        return named_file.head(path, _LONGEST).decode("ascii", "replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        hint = f"`skinnybox repair` moves it aside; it should hold one word: {WORDS}"
        if isinstance(error, NotAFile) or error.errno in (EISDIR, ELOOP):
            raise Corrupt(f"{path} is {_NO_FILE.get(error.errno, error.strerror)}", hint=hint) from error
        raise SkinnyboxError(f"{path}: {error.strerror}", hint=f"it should hold one word: {WORDS}") from error
