"""dpkg's status, merged by package: whose version of each there is afterwards is decided in packages.py, and
the database says the same as the files.

A package whose version changes under a machine never ran its maintainer scripts there. It is told to dpkg as
unpacked, with the version that was configured before: `dpkg --configure -a` then runs its postinst as in an
upgrade. dpkg refuses the whole database where a status and the fields that go with it do not agree.
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from skinnybox.delta.rebase.packages import Settled
from skinnybox.delta.rebase.records.paragraphs import field, paragraphs, text
from skinnybox.delta.rebase.records.sides import LARGE, Made, Sides, made_of
from skinnybox.delta.rebase.values import Fate
from skinnybox.masters.system.dpkg import MOST_PACKAGES, STATUS
from skinnybox.masters.system.values import Package

_NAMED = re.compile(rb"(?m)^Package:.*\n?")
Key = tuple[bytes, bytes]
Stanzas = dict[Key, bytes]
_PENDING, _AWAITED = b"Triggers-Pending", b"Triggers-Awaited"
_OF_STAGE = (b"Status", b"Config-Version", _PENDING, _AWAITED)
_CONFIGURED = (b"installed", b"triggers-pending", b"triggers-awaited")
_INSTALLED, _UNPACKED, _LEFT = b"installed", b"unpacked", b"config-files"


class Stage(NamedTuple):
    """What dpkg has to do with a package: what is wanted, how far it came, and what goes with that."""

    want: bytes
    flag: bytes
    came: bytes
    configured: bytes | None = None
    """The version that was last, where it is not the one that is there now."""
    pending: bytes | None = None
    awaited: bytes | None = None


def made(sides: Sides) -> Iterator[Made]:
    _, new, machine = sides.texts(STATUS, LARGE)
    if new is None or machine is None:
        return
    if sides.policy.replay:
        yield Made(path=STATUS)
        return
    found = merged(new, machine, sides.packages)
    task = "configure" if b" unpacked\n" in found else ""
    yield made_of(STATUS, new, found, task)


def merged(new: bytes, machine: bytes, settled: Mapping[str, Settled]) -> bytes:
    """The whole file: the new master's stanzas in their order, then those that are the machine's. Only for
    packages that are all decided. Raises Corrupt for more packages than there can be."""
    theirs, mine = _stanzas(new), _stanzas(machine)
    out: Stanzas = {}
    named: set[Key] = set()
    for each in settled.values():
        named |= {
            _key(p) for p in (each.versions.old, each.versions.new, each.versions.machine) if p is not None
        }
        out.update(_of(each, theirs, mine))
    # Of packages that were removed there are records of their conffiles.
    others = {key: stanza for key, stanza in mine.items() if key not in out and _is_left(key, stanza, named)}
    order = [*(key for key in theirs if key in out), *(key for key in mine if key in out or key in others)]
    return text(out.get(key) or others[key] for key in dict.fromkeys(order))


def _of(found: Settled, theirs: Stanzas, mine: Stanzas) -> Iterator[tuple[Key, bytes]]:
    new, machine = found.versions.new, found.versions.machine
    if found.fate is Fate.TAKE:
        if new is not None and (stanza := theirs.get(_key(new))) is not None:
            yield _key(new), _taken(stanza, mine.get(_key(machine if machine is not None else new)))
    elif found.fate is not Fate.HIDE and machine is not None and _key(machine) in mine:
        yield _key(machine), mine[_key(machine)]


def _taken(stanza: bytes, mine: bytes | None) -> bytes:
    """What the machine wanted of it (to hold it, say) it goes on wanting, and what dpkg has yet to do there
    it goes on having to do."""
    if mine is None:
        return stanza
    came, before = _stage(stanza), _stage(mine)
    if before.came == _LEFT:  # it is no package that is there: nobody wants it on that account
        return _with(stanza, came._replace(flag=b"ok", came=_UNPACKED, configured=before.configured))
    if field(mine, b"Version") == field(stanza, b"Version"):
        after = before if before.came != _INSTALLED else came._replace(want=before.want)
        return _with(stanza, after)
    configured = field(mine, b"Version") if before.came in _CONFIGURED else before.configured
    return _with(stanza, Stage(before.want, b"ok", _UNPACKED, configured))


def _stage(stanza: bytes) -> Stage:
    words = (field(stanza, b"Status") or b"install ok installed").split()
    want, flag, came = words if len(words) == 3 else (b"install", b"ok", _INSTALLED)
    told = field(stanza, b"Config-Version")
    # dpkg says it of one that was removed only where it is not its version.
    configured = field(stanza, b"Version") if told is None and came == _LEFT else told
    return Stage(want, flag, came, configured, field(stanza, _PENDING), field(stanza, _AWAITED))


def _with(stanza: bytes, stage: Stage) -> bytes:
    """In the place of the one that it had; byte for byte the same where that is it."""
    if stage == _stage(stanza):
        return stanza
    told = (
        (b"Status", b" ".join((stage.want, stage.flag, stage.came))),
        (b"Config-Version", stage.configured),
        (_PENDING, stage.pending),
        (_AWAITED, stage.awaited),
    )
    lines = _without_stage(stanza)
    at = next((i for i, line in enumerate(stanza.split(b"\n")) if line.startswith(b"Status:")), 1)
    lines[at:at] = [name + b": " + value for name, value in told if value is not None]
    return b"\n".join(lines)


def _without_stage(stanza: bytes) -> list[bytes]:
    """With the lines that go on what goes."""
    out: list[bytes] = []
    dropped = False
    for line in stanza.split(b"\n"):
        dropped = dropped if line.startswith((b" ", b"\t")) else line.partition(b":")[0] in _OF_STAGE
        if not dropped:
            out.append(line)
    return out


def _is_left(key: Key, stanza: bytes, named: set[Key]) -> bool:
    return _stage(stanza).came == _LEFT or key not in named


def _stanzas(whole: bytes) -> Stanzas:
    found: Stanzas = {}
    for stanza in paragraphs(whole, STATUS, MOST_PACKAGES):
        name = field(stanza, b"Package")
        if name is None:
            continue
        # The first line is the name's, whatever order somebody wrote them in.
        head = b"Package: " + name
        if not stanza.startswith(head + b"\n"):
            stanza = head + b"\n" + _NAMED.sub(b"", stanza).rstrip(b"\n")
        found[name, field(stanza, b"Architecture") or b"all"] = stanza
    return found


def _key(package: Package) -> Key:
    return package.name.encode(), package.architecture.encode()
