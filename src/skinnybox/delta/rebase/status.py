"""dpkg's status, merged by package: whose version of each there is afterwards is decided in packages.py, and
the database says the same as the files.

A package whose version changes under a machine never ran its maintainer scripts there. It is told to dpkg as
unpacked, with the version that was configured before: `dpkg --configure -a` then runs its postinst as in an
upgrade.
"""

import re
from collections.abc import Iterator, Mapping

from skinnybox.delta.rebase.packages import Settled
from skinnybox.delta.rebase.values import Fate
from skinnybox.errors import Corrupt
from skinnybox.masters.system.dpkg import MOST_PACKAGES
from skinnybox.masters.system.values import Package

_FIELD = re.compile(rb"(?m)^(Package|Architecture|Status|Version|Config-Version):[ \t]*(.*)$")
_BETWEEN = re.compile(rb"\n[ \t]*\n+")
Key = tuple[bytes, bytes]
Stanzas = dict[Key, bytes]


def merged(new: bytes, machine: bytes, settled: Mapping[str, Settled]) -> bytes:
    """The whole file: the machine's stanzas in their order, then those that are new. Only for packages that
    are all decided. Raises Corrupt for more packages than there can be."""
    theirs, mine = _stanzas(new), _stanzas(machine)
    out: Stanzas = {}
    named: set[Key] = set()
    for each in settled.values():
        named |= {
            _key(p) for p in (each.versions.old, each.versions.new, each.versions.machine) if p is not None
        }
        for key, stanza in _of(each, theirs, mine):
            out[key] = stanza
    # Of packages that were removed there are records of their conffiles.
    others = {key: stanza for key, stanza in mine.items() if key not in out and _is_left(key, stanza, named)}
    order = [*(key for key in mine if key in out or key in others), *(key for key in out if key not in mine)]
    return b"".join((out.get(key) or others[key]) + b"\n\n" for key in order)


def _of(found: Settled, theirs: Stanzas, mine: Stanzas) -> Iterator[tuple[Key, bytes]]:
    new, machine = found.versions.new, found.versions.machine
    if found.fate is Fate.TAKE:
        if new is not None and (stanza := theirs.get(_key(new))) is not None:
            yield _key(new), _taken(stanza, new, machine)
    elif found.fate is not Fate.HIDE and machine is not None and _key(machine) in mine:
        yield _key(machine), mine[_key(machine)]


def _taken(stanza: bytes, new: Package, machine: Package | None) -> bytes:
    """What the machine wanted of it (to hold it, say) it goes on wanting."""
    if machine is None:
        return stanza
    want = machine.status.partition(" ")[0]
    if machine.version == new.version:
        came = new.status.rpartition(" ")[2]
        return _with(stanza, f"{want} ok {came}")
    return _with(stanza, f"{want} ok unpacked", machine.version)


def _with(stanza: bytes, status: str, configured: str | None = None) -> bytes:
    lines = [line for line in stanza.split(b"\n") if not line.startswith((b"Status:", b"Config-Version:"))]
    lines.insert(1, b"Status: " + status.encode())
    if configured is not None:
        lines.insert(2, b"Config-Version: " + configured.encode())
    return b"\n".join(lines)


def _is_left(key: Key, stanza: bytes, named: set[Key]) -> bool:
    status = _fields(stanza).get(b"Status", b"")
    return status.endswith(b" config-files") or key not in named


def _stanzas(text: bytes) -> Stanzas:
    found: Stanzas = {}
    for stanza in _BETWEEN.split(text.strip(b"\n"), MOST_PACKAGES):
        fields = _fields(stanza)
        if b"Package" in fields:
            # The first line is the name's, whatever order somebody wrote them in.
            head = b"Package: " + fields[b"Package"]
            rest = [line for line in stanza.split(b"\n") if line and not line.startswith(b"Package:")]
            found[fields[b"Package"], fields.get(b"Architecture", b"all")] = b"\n".join([head, *rest])
    if len(found) > MOST_PACKAGES:
        raise Corrupt(f"dpkg's status has more than {MOST_PACKAGES} packages")
    return found


def _fields(stanza: bytes) -> dict[bytes, bytes]:
    """Of two of a name the last counts, as where packages are read."""
    return {match[1]: match[2].strip() for match in _FIELD.finditer(stanza)}


def _key(package: Package) -> Key:
    return package.name.encode(), package.architecture.encode()
