"""The confined process that reads an XVA, what a XenServer or XCP-ng pool exports: its disk that boots.

A tar of ova.xml, which says what there is, and of the disks in blocks of 1 MiB: `Ref:7/00000000`, each before
its checksum (`.checksum`: sha1, since XenServer 8.0 `.xxhash`). Blocks of zeros are left out, but for the
first and the last one of each disk.
"""

import hashlib
import re
import xml.etree.ElementTree as xml
from collections.abc import Iterator, Sequence
from typing import Any

from skinnybox.errors import Corrupt, NotFound
from skinnybox.masters.archives.copying import written
from skinnybox.masters.archives.incoming import Incoming
from skinnybox.masters.archives.members import Member, members
from skinnybox.sandbox.reader import answer

_MOST_XML = 64 << 20
_BLOCK = 1 << 20
_DEEPEST = 50
_PLACE = re.compile(rb"(Ref:[0-9]+)/([0-9]{8,12})(\.checksum|\.xxhash)?")


def main(arguments: Sequence[str]) -> None:
    what, descriptor, *rest = arguments
    incoming = Incoming(int(descriptor))
    if what == "disk":
        answer(_disk(incoming))
    else:
        answer(_copied(incoming, rest[0].encode(), int(rest[1]), int(rest[2])), batch=1)


def _disk(incoming: Incoming) -> Iterator[Any]:
    """Which of its disks boots, and its size in bytes."""
    first = next(members(incoming), None)
    if first is None or first.parts != [b"ova.xml"] or first.stored > _MOST_XML:
        raise Corrupt("it does not begin with its ova.xml")
    text = b"".join(incoming.pieces(first.stored))
    try:
        found = _drives(_value(xml.fromstring(text), 0))
    except (xml.ParseError, KeyError, TypeError, ValueError) as error:
        raise Corrupt("its ova.xml makes no sense") from error
    if not found:
        found = list(_by_blocks(incoming, first))
    if not found:
        raise NotFound("it has no disk", hint="was the machine exported with its disks?")
    # Device 0 is what every such machine boots from.
    _, name, size = min(found, key=lambda drive: (len(drive[0]), drive[0]))
    yield {"disk": name, "size": size, "disks": len(found)}


def _drives(told: Any) -> list[tuple[str, str, int]]:
    """(number of the device, name in the archive, bytes) each."""
    kinds = [(entry["class"], entry["id"], entry["snapshot"]) for entry in told.get("objects", ())]
    sizes = {name: int(value["virtual_size"]) for kind, name, value in kinds if kind == "VDI"}
    drives = [value for kind, _, value in kinds if kind == "VBD" and value["type"] == "Disk"]
    return [(str(d["userdevice"]), str(d["VDI"]), sizes[d["VDI"]]) for d in drives if d["VDI"] in sizes]


def _by_blocks(incoming: Incoming, first: Member) -> Iterator[tuple[str, str, int]]:
    """The same where ova.xml does not tell: each disk ends with its last block, which is always there."""
    incoming.skip(-first.stored % 512)
    ends: dict[str, int] = {}
    for member in members(incoming):
        found = _PLACE.fullmatch(b"/".join(member.parts))
        if found and not found[3]:
            ends[found[1].decode()] = int(found[2]) * _BLOCK + member.stored
    for name, end in ends.items():
        yield "0", name, end


def _value(node: xml.Element, depth: int) -> Any:
    """Of XML-RPC."""
    if depth > _DEEPEST:
        raise ValueError("nested too deep")
    inner = node if node.tag in ("struct", "array", "data") else (node[0] if len(node) else node)
    if inner.tag == "struct":
        return {
            member.findtext("name"): _value(value, depth + 1)
            for member in inner
            if (value := member.find("value")) is not None
        }
    if inner.tag == "array":
        data = inner.find("data")
        return [] if data is None else [_value(value, depth + 1) for value in data]
    return inner.text or ""


def _copied(incoming: Incoming, disk: bytes, target: int, size: int) -> Iterator[Any]:
    for done in written(target, _blocks(incoming, disk, size), size):
        yield {"done": done}
    for _ in incoming.rest():
        pass
    yield {"size": size}


def _blocks(incoming: Incoming, disk: bytes, size: int) -> Iterator[tuple[int, bytes]]:
    """(offset, bytes) of every block there is of the disk. Corrupt when one is not what was exported."""
    last, named, checks = -(-size // _BLOCK) - 1, -1, 0
    unchecked: str | None = None
    for member in members(incoming):
        found = _PLACE.fullmatch(b"/".join(member.parts))
        if not found or found[1] != disk:
            continue
        number = int(found[2])
        if found[3]:
            _check(incoming, member, unchecked if number == named else None, found[3], number)
            unchecked, checks = None, checks + 1
            continue
        if not named < number <= last or (unchecked and checks):
            raise Corrupt(f"its block {number} is out of order, or the one before has no checksum")
        named = number
        block = b"".join(incoming.pieces(_fitting(member, number, size)))
        unchecked = hashlib.sha1(block, usedforsecurity=False).hexdigest()
        yield number * _BLOCK, block
    if named != last or (unchecked and checks):
        raise Corrupt("it lacks the end of its disk", hint="export it once more")


def _fitting(member: Member, number: int, size: int) -> int:
    if member.stored > min(_BLOCK, size - number * _BLOCK):
        raise Corrupt(f"its block {number} is of {member.stored} bytes")
    return member.stored


def _check(incoming: Incoming, member: Member, found: str | None, kind: bytes, number: int) -> None:
    told = b"".join(incoming.pieces(min(member.stored, 1024))).strip().decode("ascii", "replace")
    # xxhash is in no library of ours, and in plain Python takes longer than all the rest.
    if found is None or (kind == b".checksum" and told != found):
        raise Corrupt(f"its block {number} is not what was exported", hint="export it once more")
