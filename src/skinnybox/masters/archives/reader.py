"""The confined process that reads archives: what one holds, its members, its end."""

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from skinnybox.errors import Corrupt, NotFound, SkinnyboxError, Unsupported
from skinnybox.masters.archives.copying import placed, written
from skinnybox.masters.archives.incoming import Incoming
from skinnybox.masters.archives.layers import layers_of, merged
from skinnybox.masters.archives.magic import HEAD, kind_of
from skinnybox.masters.archives.members import Member, map_of, members
from skinnybox.masters.archives.survey import is_beside, survey
from skinnybox.sandbox.reader import answer, complain


def main(arguments: Sequence[str]) -> None:
    what, descriptor, *rest = arguments
    incoming = Incoming(int(descriptor))
    match what:
        case "kind":
            answer([kind_of(next(incoming.rest(), b"")[:HEAD])])
        case "survey":
            answer(_survey(incoming))
        case "whole":
            answer(_copied(int(rest[0]), placed(incoming.rest()), int(rest[1]), incoming), batch=1)
        case "member":
            answer(_member(incoming, bytes.fromhex(rest[0]), int(rest[1]), int(rest[2])), batch=1)
        case "layers":
            answer(layers_of(int(descriptor)))
        case "relay":
            _print(_relayed(incoming, bytes.fromhex(rest[0])))
        case "merge":
            _print(merged([int(word) for word in arguments[1:]]))


def _survey(incoming: Incoming) -> Iterator[Any]:
    found = survey(members(incoming))
    yield {
        "holds": found.holds, "prefix": found.prefix.hex(), "name": found.name.hex(), "size": found.size,
        "names": [os.fsdecode(name[:100]) for name in found.names],
    }  # fmt: skip


def _copied(target: int, runs: Iterable[tuple[int, bytes]], limit: int, incoming: Incoming) -> Iterator[Any]:
    """Into the file; all that comes is read, so that who unpacks it has its say on the last byte as well."""
    for done in written(target, runs, limit):
        yield {"done": done}
    for _ in incoming.rest():
        pass
    yield {"size": incoming.at}


def _member(incoming: Incoming, name: bytes, target: int, limit: int) -> Iterator[Any]:
    """The file of this name into `target`, and its sha256 when it has no holes."""
    found: dict[str, Any] = {}
    for member in members(incoming):
        if not found and member.is_file and (member.name == name or b"/".join(member.parts) == name):
            digest = hashlib.sha256()
            for done in written(target, _content(incoming, member, digest), limit):
                yield {"done": done}
            found = {"size": member.size, "sha256": digest.hexdigest()}
    # To the end: an archive that ends too early is not trusted for what comes first.
    for _ in incoming.rest():
        pass
    if not found:
        raise NotFound(f"there is no {os.fsdecode(name)!r} in it", hint="copy the whole of it again")
    yield found


def _content(incoming: Incoming, member: Member, digest: Any) -> Iterator[tuple[int, bytes]]:
    """(offset, bytes) of what is no hole."""
    left, runs = member.stored, member.runs
    if member.map_first:
        runs, length = map_of(incoming, member)
        left -= length
    for offset, length in [(0, left)] if runs is None else runs:
        if length > left or offset + length > max(member.size, left):
            raise Corrupt("the map of a sparse file does not fit it")
        left -= length
        for piece in incoming.pieces(length):
            digest.update(piece)
            yield offset, piece
            offset += len(piece)


def _relayed(incoming: Incoming, prefix: bytes) -> Iterator[bytes]:
    """The same tar, but for what is not in the folder `prefix`; Unsupported when there is more of that."""
    for member in members(incoming):
        if not (member.name + b"/").startswith(prefix) and not is_beside(member.parts):
            raise Unsupported(
                f"it has {os.fsdecode(member.name[:100])!r} beside {os.fsdecode(prefix[:100])!r}",
                hint="unpack it, and import the folder that holds the system",
            )
        if member.name.startswith(prefix):
            yield member.headers
            yield from incoming.pieces(-(-member.stored // 512) * 512)
    yield bytes(1024)
    for _ in incoming.rest():
        pass


def _print(pieces: Iterable[bytes]) -> None:
    out = sys.stdout.buffer
    try:
        for piece in pieces:
            out.write(piece)
        out.flush()
    except (SkinnyboxError, MemoryError) as error:
        complain(error)
