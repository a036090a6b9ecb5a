"""What a state folder holds: one table of all its files and folders, and what of them counts when.

Everybody who has to know reads it here: `launch` what to clear away of the last run, the supervisor what ends
with a machine, `repair` and `doctor` what is a part, what is half made and what is a stranger, the tests of
faults what may be left, and docs/reference/on-disk.md, which script/disk-reference writes. There were five
lists once, and `repair` called our own files strangers. So: who writes a new file adds a line here.

It stands below all packages, since masters, overlays, hosts and the fleet each have folders in there, and it
imports nothing of them: the supervisor loads it as well, and is to be up in 50 ms.
"""

import re
from enum import StrEnum
from functools import cache
from pathlib import PurePath

from skinnybox.values import dataclass

_WORDS = {
    "<uuid>": "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "<content id>": "[0-9a-f]{64}",
    "<label>": "[A-Za-z0-9][A-Za-z0-9._-]*",
    "<number>": "[0-9]+",
    "<random>": "[0-9A-Za-z_-]+",
}
"""What stands in a name for what differs from one to the next."""
_ASIDE = r".*\.broken-[0-9TZ]{16}(?:\.[0-9]+)?(?:-wal|-shm)?"  # with a database's journal
MOVED_ASIDE = "was moved aside by an earlier repair; delete it when nothing is missing"

NAME = "NAME"
"""In `half`: the name of the file itself."""
_JSON, _ATOMIC, _PID = f".{NAME}.<random>", f".{NAME}.<random>.new", f".{NAME}.<number>"
"""Hosts' write_json, hosts' write_atomically, and the pinned host keys."""

FOLDER, FILE, SEALED, OPENED_ANEW = 0o700, 0o600, 0o400, 0o444
"""The modes there are, whatever the umask. QEMU runs as a user of its own and is handed its files open; a
kernel, an initrd and memory it opens anew by what it was handed, so those are for all who get as far."""

STATE, MASTERS, LAYERS, INSTANCES, RUNS, SSH = "", "masters", "layers", "instances", "run", "ssh"
VERIFIED, TEMPLATES = "verified", "templates"
SYSTEM = "system.jsonl.gz"
MASTER, LAYER = "masters/<content id>", "layers/<content id>"
INSTANCE, RUN = "instances/<uuid>", "run/<uuid>"
SNAPSHOTS, PINS, ON_POOL = f"{INSTANCE}/snapshots", "ssh/known_hosts", "run/xapi"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A file or folder, or one kind of them. `path` is relative to the state folder, with _WORDS.

    `of_last_run`: cleared away by the next start. `until_end`: cleared away when the machine's end is written
    down. `passing`: there only while a command works; what is there without one was left by a kill. `half`:
    the names of what a kill leaves beside it. `mode` is what it is made with (private.py).
    """

    path: str
    what: str
    by: str
    mode: int = FILE
    of_last_run: bool = False
    until_end: bool = False
    socket: bool = False
    passing: bool = False
    half: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return PurePath(self.path).name

    @property
    def place(self) -> str:
        """The folder it lies in; "" for the state folder itself."""
        return self.path.rpartition("/")[0]


class Sort(StrEnum):
    """What something in a folder is, by its name."""

    PART = "part"
    HALF = "half"
    ASIDE = "aside"
    STRANGER = "stranger"


@dataclass(frozen=True, slots=True)
class Placed:
    """A path that the table has, and the machine it belongs to, as its folder or file is named."""

    part: Part
    machine: str | None


_COMMANDS, _QEMU, _SUPERVISOR, _SQLITE = "every command", "QEMU", "the supervisor", "SQLite"
_SNAPSHOT, _SEAL = "`snapshot`", "`master build`, `master import`"
_LAYER, _SERVE = "`layer`", "`serve`"
_XAPI, _FAKE, _START, _PINNED = "the pool's host", "the fake host", "`start`", "`wait`, `ssh`, `exec`"

TABLE = (
    # The state folder itself.
    Part(path="host", what="the kind of host its machines are on: qemu, xapi, or memory (the fake host)",
         by="`create`", half=(_ATOMIC,)),
    Part(path="fleet", what="on a pool: the id of this folder, which its machines there bear", by=_XAPI,
         half=(_ATOMIC,)),
    Part(path="pool", what="on a pool: its UUID; another pool is refused", by=_XAPI, half=(_ATOMIC,)),
    Part(path="state.db", what="names, what is done to machines and by whom, and jobs (SQLite)",
         by=_COMMANDS, half=(_ATOMIC, f"{_ATOMIC}-wal", f"{_ATOMIC}-shm", f"{_ATOMIC}-journal")),
    Part(path="state.db-wal", what="what is to be brought into state.db", by=_SQLITE),
    Part(path="state.db-shm", what="where what lies in state.db-wal", by=_SQLITE),
    Part(path="state.db-journal", what="while state.db is made: what it takes to undo that", by=_SQLITE),
    Part(path="pretended.json", what="the machines that `--host fake` pretends", by=_FAKE, half=(_ATOMIC,)),
    Part(path="pretended.lock", what="held while pretended.json is changed", by=_FAKE),
    Part(path="serve.lock", what="held by the server: there is one; which process it is", by=_SERVE),
    Part(path="serve.sock", what="socket of the server, for its owner", by=_SERVE, socket=True),
    Part(path="serve.key", what="what signs the cookies of who signed in; may be deleted: all sign in again",
         by=_SERVE, half=(f".{NAME}.new",)),
    Part(path=".flat-<random>.new", mode=FOLDER,
         what="what `flatten` works with", by="`flatten`", passing=True),
    Part(path=".copy-<random>.new", mode=FOLDER,
         what="a copy of a disk, or an archive, that a command reads",
         by="`changes`, `export`, `create`, `move`", passing=True),
    Part(path=".appliance-<random>.new", mode=FOLDER,
         what="what a small machine works with that reads or writes disks", by="`rebase`", passing=True),
    Part(path=".packages-<random>.new", mode=FOLDER,
         what="packages that are to be installed again", by="`rebase --replay`", passing=True),
    # Masters. What is in the making there only their own package judges: it knows who is alive.
    Part(path="masters", mode=FOLDER, what="the masters, each in a folder named by its content id", by=_SEAL),
    Part(path="masters/.lock", what="held while a master is added or removed", by=_SEAL),
    Part(path="masters/.sealing-<random>", mode=FOLDER,
         what="a master that is being sealed", by=_SEAL, passing=True),
    Part(path="masters/.work-<random>", mode=FOLDER, what="the tree of a master that is being made", by=_SEAL,
         passing=True),
    Part(path="masters/.removing-<random>", mode=FOLDER,
         what="a master that is being removed", by="`master remove`",
         passing=True),
    Part(path="masters/<content id>", mode=FOLDER, what="one master; its files never change", by=_SEAL),
    Part(path="masters/<content id>/root.erofs", mode=SEALED, what="its image, compressed", by=_SEAL),
    Part(path="masters/<content id>/root.ext4", mode=SEALED,
         what="its image, for a kernel without EROFS, or since it was asked for", by=_SEAL),
    Part(path="masters/<content id>/root-dax.erofs", mode=OPENED_ANEW,
         what="its image that can be mapped", by=_SEAL),
    Part(path="masters/<content id>/kernel", mode=OPENED_ANEW, what="what its machines boot", by=_SEAL),
    Part(path="masters/<content id>/initrd", mode=OPENED_ANEW, what="what its machines boot with", by=_SEAL),
    Part(path="masters/<content id>/initrd-encrypted-<random>", mode=OPENED_ANEW,
         what="the same for those with an encrypted overlay; may be deleted, and is made again",
         by="`start` of one of them"),
    Part(path="masters/<content id>/manifest.json", mode=SEALED,
         what="its name, version, digests and sizes", by=_SEAL),
    Part(path="masters/<content id>/index.jsonl.gz", mode=SEALED, what="every path in it", by=_SEAL),
    Part(path=f"masters/<content id>/{SYSTEM}", mode=SEALED,
         what="its packages, accounts, units and so on; may be deleted, and is made again",
         by=f"{_SEAL}, and who asks first"),
    # Layers, kept as masters are.
    Part(path="layers", mode=FOLDER, what="the layers, each in a folder named by its content id", by=_LAYER),
    Part(path="layers/.lock", what="held while a layer is added or removed", by=_LAYER),
    *(Part(path=f"layers/.{do}-<random>", mode=FOLDER, what=what, by=_LAYER, passing=True) for do, what in (
        ("sealing", "a layer that is being sealed"), ("work", "the tree of a layer that is being made"),
        ("removing", "a layer that is being removed"))),
    Part(path=LAYER, mode=FOLDER, what="one layer; its files never change", by=_LAYER),
    *(Part(path=f"{LAYER}/{name}", mode=mode, what=what, by=_LAYER) for name, mode, what in (
        ("root.erofs", SEALED, "its image, compressed"),
        ("root.ext4", SEALED, "its image, where its master has one such"),
        ("root-dax.erofs", OPENED_ANEW, "its image that can be mapped"),
        ("manifest.json", SEALED, "whom it is for; digests"), ("index.jsonl.gz", SEALED, "each path in it"))),
    Part(path="verified", mode=FOLDER,
         what="which masters and layers are known to be whole", by="`start`, `master verify`"),
    Part(path="verified/<content id>.json", by="`start`, `master verify`",
         what="of each file of a master or a layer: inode, size and ctime at its last good check"),
    # Machines that are stopped or run.
    Part(path="instances", mode=FOLDER,
         what="the machines, each in a folder named by its UUID", by="`create`"),
    Part(path="instances/<uuid>", mode=FOLDER, what="one machine", by="`create`"),
    Part(path="instances/<uuid>/instance.json", what="its whole record, written after its overlay",
         by="`create`, `set`", half=(_ATOMIC,)),
    Part(path="instances/<uuid>/overlay.img", what="its disk", by="`create`, and its QEMU",
         half=(".<random>.new", _ATOMIC)),
    Part(path="instances/<uuid>/data.img", what="its second disk, which no reset touches",
         by="`create`, `set`, and its QEMU", half=(".<random>.new", _ATOMIC)),
    Part(path="instances/<uuid>/.settle-<random>", mode=FOLDER,
         what="a copy of the overlay whose journal is replayed",
         by="`reset`, `flatten`, `changes`, `export`", passing=True),
    Part(path="instances/<uuid>/snapshots", mode=FOLDER, what="its snapshots", by=_SNAPSHOT),
    Part(path="instances/<uuid>/snapshots/<label>.img", what="a copy of its disk, or what was its disk",
         by=f"{_SNAPSHOT}, `rebase`", half=(f".{NAME}.new",)),
    Part(path="instances/<uuid>/snapshots/<label>.data", what="a copy of its data disk, where asked for",
         by=_SNAPSHOT, half=(f".{NAME}.new",)),
    Part(path="instances/<uuid>/snapshots/<label>.json", by=f"{_SNAPSHOT}, `rebase`",
         what="what it is a copy of; without, it is no snapshot", half=(_ATOMIC,)),
    Part(path="templates", mode=FOLDER, what="formatted overlays to copy; may be deleted", by="`create`"),
    Part(path="templates/overlay-<number>-<number>-<number>", by="`create`",
         what="one: the version of its form, its size, and the room for its seed"),
    Part(path="templates/data-<number>-<number>-<number>", by="`create`",
         what="the same for data disks, which have no seed"),
    Part(path="templates/.making-<random>", mode=FOLDER, what="a template that is being made", by="`create`",
         passing=True),
    # Machines that run, and their last run.
    Part(path="run", mode=FOLDER, what="what belongs to runs, and may be lost", by=_START),
    Part(path="run/supervisor", what="socket of the process that listens to the machines", by=_SUPERVISOR,
         socket=True),
    Part(path="run/supervisor.lock", what="held by that process: there is one", by=_SUPERVISOR),
    Part(path="run/supervisor.log", what="what went wrong in it; at most 64 KiB when it starts",
         by=_SUPERVISOR),
    Part(path="run/events.jsonl", what="what happened to machines, one JSON object a line; at most 1 MiB",
         by=f"{_SUPERVISOR}, or the host"),
    Part(path="run/events.jsonl.1", what="the same, before that", by=f"{_SUPERVISOR}, or the host"),
    Part(path="run/events.lock", what="on a pool: held while events are written", by=_XAPI),
    Part(path="run/<uuid>", mode=FOLDER, what="of one machine's last start", by=_START),
    Part(path="run/<uuid>/machine.json", what="which process its QEMU is, and how it was started", by=_START,
         until_end=True, half=(_JSON,)),
    Part(path="run/<uuid>/stopping", what="we pulled the plug: its end is no crash", by="`kill`, `stop`",
         of_last_run=True),
    Part(path="run/<uuid>/stalled", what="it stands still, since the disk below its overlay is full",
         by=_SUPERVISOR, of_last_run=True, until_end=True),
    Part(path="run/<uuid>/console", what="socket of its QEMU: its console", by=_START, socket=True,
         until_end=True),
    Part(path="run/<uuid>/report", what="socket of its QEMU: what the guest reports", by=_START, socket=True,
         until_end=True),
    Part(path="run/<uuid>/qmp", what="socket of its QEMU: commands", by=_START, socket=True, until_end=True),
    Part(path="run/<uuid>/events", what="socket of its QEMU: what happens to it", by=_START, socket=True,
         until_end=True),
    Part(path="run/<uuid>/report.json", what="what its guest reported last", by=_SUPERVISOR, of_last_run=True,
         half=(_JSON,)),
    Part(path="run/<uuid>/rejected.json", what="why the last report that was none was refused",
         by=_SUPERVISOR,
         of_last_run=True, half=(_JSON,)),
    Part(path="run/<uuid>/told.json", what="which events were told, so that none is told twice",
         by=_SUPERVISOR,
         half=(_JSON,)),
    Part(path="run/<uuid>/end.json", what="how it ended", by=_SUPERVISOR, of_last_run=True, half=(_JSON,)),
    Part(path="run/<uuid>/console.log", what="what it printed; at most 1 MiB", by=_SUPERVISOR,
         of_last_run=True),
    Part(path="run/<uuid>/console.log.1", what="the same, before that", by=_SUPERVISOR, of_last_run=True),
    Part(path="run/<uuid>/qemu.log", what="what QEMU and passt said", by=_QEMU, of_last_run=True),
    Part(path="run/xapi", mode=FOLDER, what="on a pool: locks, and copies of disks on their way", by=_XAPI),
    Part(path="run/xapi/<uuid>.lock", what="held by the command that works on that machine", by=_XAPI),
    Part(path="run/xapi/<uuid>.data.lock", what="the same, where it has a data disk", by=_XAPI),
    Part(path="run/xapi/master-<content id>.lock", what="held by who uploads that image", by=_XAPI),
    Part(path="run/xapi/layer-<content id>.lock", what="the same of a layer's", by=_XAPI),
    Part(path="run/xapi/fleet.lock", what="the id in `fleet` a second time, only to notice when that is gone",
         by=_XAPI),
    Part(path="run/xapi/work-<random>", mode=FOLDER,
         what="copies of disks that a command works with", by=_XAPI, passing=True),
    # Reaching into machines.
    Part(path="ssh", mode=FOLDER, what="how machines are reached", by=_COMMANDS),
    Part(path="ssh/.lock", what="held while the key is made", by="`create`"),
    Part(path="ssh/id_ed25519", what="the fleet's own key", by="`create`", half=(".new",)),
    Part(path="ssh/id_ed25519.pub", what="its public half, which each machine is given", by="`create`",
         half=(".new.pub",)),
    Part(path="ssh/known_hosts", mode=FOLDER, what="the host keys that machines are held to", by=_PINNED),
    Part(path="ssh/known_hosts/<uuid>", what="those of one machine, as ssh reads them",
         by=_PINNED, half=(_PID,)),
)  # fmt: skip


@cache
def parts(place: str) -> tuple[Part, ...]:
    """What lies in a folder, itself named as in the table."""
    return tuple(part for part in TABLE if part.path and part.place == place)


OF_LAST_RUN = tuple(part.name for part in parts(RUN) if part.of_last_run)
_SAYS_IT_RUNS = "machine.json"
UNTIL_END = (
    *(part.name for part in parts(RUN) if part.until_end and part.name != _SAYS_IT_RUNS),
    _SAYS_IT_RUNS,
)
"""In the order in which they go: that a machine runs is taken back last."""
SOCKETS = tuple(part.name for part in parts(RUN) if part.socket)


def sort(place: str, name: str) -> Sort:
    """What something with this name is in that folder."""
    if re.fullmatch(_ASIDE, name):
        return Sort.ASIDE
    for part in parts(place):
        if _pattern(part.name).fullmatch(name):
            return Sort.HALF if part.passing else Sort.PART
    return Sort.HALF if any(_pattern(half).fullmatch(name) for half in halves(place)) else Sort.STRANGER


@cache
def halves(place: str) -> tuple[str, ...]:
    """The names of what kills leave beside the parts."""
    return tuple(half.replace(NAME, part.name) for part in parts(place) for half in part.half)


def placed(path: str) -> Placed | None:
    """The part that a path, relative to the state folder, is; None of what belongs to no folder at rest."""
    for part in TABLE:
        found = None if part.passing else _pattern(part.path).fullmatch(path)
        if found is not None:
            return Placed(part, found.groupdict().get("machine"))
    return None


@cache
def _pattern(written: str) -> re.Pattern[str]:
    """The `<uuid>` in it, of which there is at most one, is a machine's."""
    pieces = re.split("(<[^>]+>)", written)
    meant = "".join(_WORDS[piece] if piece in _WORDS else re.escape(piece) for piece in pieces)
    return re.compile(meant.replace(_WORDS["<uuid>"], f"(?P<machine>{_WORDS['<uuid>']})"))
