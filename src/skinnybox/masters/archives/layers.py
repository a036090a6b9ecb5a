"""Layers of a container image as one tar: what an upper one removed or replaced is left out of those below.

Only in a confined process. The formats: the image specification of the OCI (image-layout, manifest, layer),
and what `docker save` writes beside it. A layer removes `name` by an empty file `.wh.name`, and all that a
folder had below it by `.wh..wh..opq` in that folder.
"""

import json
import os
import platform
import posixpath
import struct
from collections.abc import Iterator
from typing import Any

from skinnybox.errors import Corrupt, NotFound, Unsupported
from skinnybox.masters.archives.incoming import Incoming
from skinnybox.masters.archives.members import BLOCK, Member, members

_REMOVED, _OPAQUE = b".wh.", b".wh..wh..opq"
_MOST_JSON = 4 << 20
_MOST_LAYERS = 128
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_HARD_LINK, _SYMLINK = b"1", b"2"
_ONE = "save one image: `docker save -o FILE.tar IMAGE:TAG`, or `skopeo copy ... oci-archive:FILE.tar`"

Path = tuple[bytes, ...]


def layers_of(descriptor: int) -> Iterator[Any]:
    """The names of the layers' members, in hexadecimal, lowest first, with the digest each must have."""
    archive = _Archive(descriptor)
    found = archive.json("manifest.json")
    if found is not None:
        yield from _of_docker(found, archive)
        return
    yield from _of_layout(archive)


class _Archive:
    """Its files by name, of which those that are small enough may be descriptions, and its links."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._places: dict[str, tuple[int, int]] = {}
        self._links: dict[str, str] = {}
        incoming = Incoming(descriptor)
        for member in members(incoming):
            name = b"/".join(member.parts).decode("utf-8", "backslashreplace")
            if member.is_file and member.runs is None and not member.map_first:
                self._places[name] = incoming.at, member.stored
            elif member.kind == _SYMLINK:
                self._links[name] = member.target.decode("utf-8", "backslashreplace")
        for _ in incoming.rest():
            pass

    def json(self, name: str) -> Any:
        """None when there is none."""
        if name not in self._places:
            return None
        at, length = self._places[name]
        if length > _MOST_JSON:
            raise Corrupt(f"its {name} is of {length} bytes")
        try:
            return json.loads(os.pread(self._descriptor, length, at))
        except (ValueError, RecursionError) as error:
            raise Corrupt(f"its {name} is no JSON") from error

    def file(self, name: str) -> str:
        """Where its bytes are: a layer that comes twice, as empty ones do, was a link to the first before
        Docker 25."""
        if name not in self._links:
            return name
        return posixpath.normpath(posixpath.join(posixpath.dirname(name), self._links[name]))


def _of_docker(found: Any, archive: _Archive) -> Iterator[Any]:
    match found:
        case [{"Layers": [*layers]}] if layers and all(isinstance(layer, str) for layer in layers):
            names = map(archive.file, _bounded(layers))
            yield from ({"name": name, "sha256": _hex(name)} for name in names)
        case [_, _, *_]:
            raise Unsupported("it holds several images", hint=_ONE)
        case _:
            raise Corrupt("its manifest.json makes no sense")


def _of_layout(archive: _Archive) -> Iterator[Any]:
    entry, name = _chosen(archive.json("index.json")), ""
    for _ in range(3):  # an index of indexes, then a manifest
        name = _blob(entry)
        document = archive.json(name)
        if document is None:
            raise NotFound(f"it lacks {name}, which its index names", hint="copy the whole of it")
        match document:
            case {"layers": [*layers]}:
                names = [_blob(layer) for layer in _bounded(layers)]
                yield from ({"name": name, "sha256": _hex(name)} for name in names)
                return
            case {"manifests": _}:
                entry = _chosen(document)
            case _:
                break
    raise Corrupt(f"its {name} makes no sense")


def _chosen(index: Any) -> Any:
    """The one manifest for this machine."""
    match index:
        case {"manifests": [*entries]} if all(isinstance(entry, dict) for entry in entries):
            here = _MACHINES.get(platform.machine(), platform.machine())
            fits = [entry for entry in entries if _architecture(entry) in (None, here)]
            if len(fits) == 1:
                return fits[0]
            if len(fits) > 1:
                raise Unsupported("it holds several images", hint=_ONE)
            raise Unsupported(f"it holds no image for {here}", hint=_ONE)
        case _:
            raise Corrupt("its index.json makes no sense, or it has none")


def _architecture(entry: dict[str, Any]) -> Any:
    told = entry.get("platform")
    return told.get("architecture") if isinstance(told, dict) else None


def _blob(entry: Any) -> str:
    match entry:
        case {"digest": str(digest)} if digest.startswith("sha256:") and _hex(f"blobs/sha256/{digest[7:]}"):
            return f"blobs/sha256/{digest[7:]}"
    raise Corrupt("a digest in it makes no sense")


def _hex(name: str) -> str:
    """The digest in a blob's name; "" when it has none."""
    last = name.removeprefix("blobs/sha256/")
    return last if last != name and len(last) == 64 and not set(last) - set("0123456789abcdef") else ""


def _bounded(layers: list[Any]) -> list[Any]:
    if len(layers) > _MOST_LAYERS:
        raise Unsupported(
            f"it has {len(layers)} layers", hint=f"{_MOST_LAYERS} are the most that any builder makes"
        )
    return layers


def merged(descriptors: list[int]) -> Iterator[bytes]:
    """One tar of all layers, the lowest first. Each is a plain file."""
    hidden = _Hidden()
    kept: list[set[int]] = []
    links: list[dict[Path, list[int]]] = []
    for descriptor in reversed(descriptors):
        visible, orphans = hidden.seen(descriptor)
        kept.insert(0, visible)
        links.insert(0, orphans)
    for descriptor, visible, orphans in zip(descriptors, kept, links, strict=True):
        yield from _survivors(descriptor, visible, orphans)
    yield bytes(2 * BLOCK)


class _Hidden:
    """What the layers looked at so far, from the top, hide of those below."""

    def __init__(self) -> None:
        self._taken: dict[Path, bool] = {}  # whether it is a folder in each
        self._removed: set[Path] = set()
        self._opaque: set[Path] = set()

    def seen(self, descriptor: int) -> tuple[set[int], dict[Path, list[int]]]:
        """Numbers of the members that stay; and of hard links that do, where their first name does not."""
        visible, links = set[int](), dict[Path, list[int]]()
        own: list[tuple[Path, bool]] = []
        removed, opaque, hidden_files = set[Path](), set[Path](), set[Path]()
        for number, member in enumerate(_all(descriptor)):
            path = tuple(member.parts)
            if path and path[-1].startswith(_REMOVED):
                (opaque if path[-1] == _OPAQUE else removed).add(_named(path))
                continue
            own.append((path, member.is_folder))
            if self._hides(path):
                hidden_files |= {path} if member.is_file else set()
                continue
            visible.add(number)
            if member.kind == _HARD_LINK:
                links.setdefault(tuple(_parts(member.target)), []).append(number)
        for path, is_folder in dict(own).items():
            self._taken[path] = is_folder and self._taken.get(path, True)
        self._removed |= removed
        self._opaque |= opaque
        return visible, {path: numbers for path, numbers in links.items() if path in hidden_files}

    def _hides(self, path: Path) -> bool:
        """Whether an upper layer has it, or removed it or a folder that it is in."""
        if path in self._taken or path in self._removed:
            return True
        above = (path[:end] for end in range(len(path)))
        return any(
            place in self._removed or place in self._opaque or self._taken.get(place) is False
            for place in above
        )


def _named(path: Path) -> Path:
    return path[:-1] if path[-1] == _OPAQUE else (*path[:-1], path[-1][len(_REMOVED) :])


def _parts(name: bytes) -> list[bytes]:
    return [part for part in name.split(b"/") if part not in (b"", b".")]


def _all(descriptor: int) -> Iterator[Member]:
    os.lseek(descriptor, 0, os.SEEK_SET)
    yield from members(Incoming(descriptor))


def _survivors(descriptor: int, visible: set[int], orphans: dict[Path, list[int]]) -> Iterator[bytes]:
    os.lseek(descriptor, 0, os.SEEK_SET)
    incoming = Incoming(descriptor)
    heirs = {numbers[0]: path for path, numbers in orphans.items()}
    contents: dict[Path, tuple[Member, int]] = {}
    names: dict[Path, bytes] = {}
    for number, member in enumerate(members(incoming)):
        path, padded = tuple(member.parts), -(-member.stored // BLOCK) * BLOCK
        if path in orphans and member.is_file:
            contents[path] = member, incoming.at
        if number not in visible:
            continue
        target = tuple(_parts(member.target))
        if number in heirs and target in contents:
            # The file's first name went: this one inherits what is in it.
            first, at = contents[target]
            names[target] = member.name
            yield _renamed(first, member.name)
            yield from _pread(descriptor, at, -(-first.stored // BLOCK) * BLOCK)
        elif member.kind == _HARD_LINK and target in names:
            yield _renamed(member, member.name, target=names[target])
        else:
            yield member.headers
            yield from incoming.pieces(padded)


def _pread(descriptor: int, at: int, length: int) -> Iterator[bytes]:
    while length:
        piece = os.pread(descriptor, min(length, 1 << 20), at)
        if not piece:
            raise Corrupt("a layer is cut off")
        at, length = at + len(piece), length - len(piece)
        yield piece


def _renamed(member: Member, name: bytes, *, target: bytes | None = None) -> bytes:
    """The headers of a member under another name, or with another target of its link."""
    if member.kind == b"S":
        raise Unsupported("a layer with sparse files of GNU's old format is not supported", hint=_ONE)
    changed = [(b"path", name), *([(b"linkpath", target)] if target is not None else [])]
    keys = {key for key, _ in changed}
    records = [(key, value) for key, value in member.records if key not in keys] + changed
    body = b"".join(_record(key, value) for key, value in records)
    last = member.headers[-BLOCK:]
    return _header(last, b"x", len(body)) + body + bytes(-len(body) % BLOCK) + last


def _header(like: bytes, kind: bytes, size: int) -> bytes:
    raw = bytearray(like)
    raw[:100] = b"./PaxHeaders/x".ljust(100, b"\0")
    raw[124:136] = b"%011o\0" % size
    raw[156:157] = kind
    raw[157:257] = bytes(100)
    raw[257:265] = b"ustar\x0000"
    raw[345:500] = bytes(155)
    raw[148:156] = b" " * 8
    struct.pack_into("8s", raw, 148, b"%06o\0 " % sum(raw))
    return bytes(raw)


def _record(key: bytes, value: bytes) -> bytes:
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)
