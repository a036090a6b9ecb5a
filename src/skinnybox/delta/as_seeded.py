"""Whether what stands at a path of an upper directory is what a seed brought there. For the confined process
of listing.py, which is handed what seed_marks.py says is to be expected.

Only what is the same in every respect is the seed's: whoever breaks in writes first to where the seed wrote,
and a key added to root's must not hide behind the key that Skinnybox put there.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from skinnybox.delta.flags import flags
from skinnybox.delta.upper import OVERLAY_XATTRS, kept_xattrs
from skinnybox.ext4 import Node, Volume
from skinnybox.masters.index import Entry
from skinnybox.model import Change, ChangeKind

FOLDER, LINK, TEXT, BLOCK, HOSTS, KEY = "folder", "link", "text", "block", "hosts", "key"
_TYPES = {FOLDER: "d", LINK: "l"}
_LOCAL = b"127.0.1.1"
_FIRST_WORD = re.compile(rb"[ \t]*([^ \t]*)")
_DEFAULT_HOSTS = (
    b"127.0.0.1\tlocalhost\n127.0.1.1\t%s\n"
    b"::1\tlocalhost ip6-localhost ip6-loopback\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"
)
_REDIRECTING = tuple(OVERLAY_XATTRS + name for name in ("metacopy", "redirect", "whiteout"))
_MASTERS_KEYS = b"etc/ssh/ssh_host_"
_MOST = 64 << 10
"""Bytes of a file whose size is not known before: hosts, keys. What is longer is none of ours."""
_ARMOUR = re.compile(
    rb"-----BEGIN OPENSSH PRIVATE KEY-----\n([A-Za-z0-9+/=\n]+)-----END OPENSSH PRIVATE KEY-----\n"
)
# In the clear: the format's name, no cipher, no key derivation with no options, and how many keys: one.
_HEAD = b"openssh-key-v1\0\0\0\0\4none\0\0\0\4none\0\0\0\0\0\0\0\1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeded:
    """One way in which the guest part leaves a path.

    `kind` says what `text` is: TEXT, the whole content; BLOCK, what stands above the stack's own file; HOSTS,
    the name that the stack's hosts file is given; KEY, the public part of an ssh key; LINK, a target; FOLDER,
    nothing, and it only counts where the stack has none. An owner of None is any but root: a name's number
    is known to the guest alone.
    """

    kind: str
    mode: int
    text: bytes = b""
    uid: int | None = 0
    gid: int | None = 0


Expected = Mapping[bytes, tuple[Seeded, ...]]


def encode(expected: Expected) -> bytes:
    """For the confined child."""
    return json.dumps(
        {
            path.decode("utf-8", "surrogateescape"): [
                [each.kind, each.mode, base64.b64encode(each.text).decode(), each.uid, each.gid]
                for each in ways
            ]
            for path, ways in expected.items()
        }
    ).encode()


def decode(text: bytes) -> Expected:
    return {
        path.encode("utf-8", "surrogateescape"): tuple(map(_seeded, ways))
        for path, ways in json.loads(text).items()
    }


def _seeded(values: list[Any]) -> Seeded:
    kind, mode, text, uid, gid = values
    return Seeded(kind=kind, mode=mode, text=base64.b64decode(text), uid=uid, gid=gid)


def as_seeded(
    volume: Volume, change: Change, node: Node | None, entry: Entry | None, expected: Expected
) -> bool | None:
    """Whether a change is all the seed's. None: nothing is expected at that path.

    `node` is what stands there now, `entry` what the stack has. Raises Corrupt, as reading the volume does.
    """
    said = change.kind not in (ChangeKind.UNREAD, ChangeKind.SAME)
    ways = expected.get(change.path) if said else None
    if ways is None:
        return True if _forgotten(change) else None
    if ways and all(way.kind == FOLDER for way in ways):
        # One that the stack has is no work of the seed, whatever became of it.
        new = change.kind is ChangeKind.ADDED and node is not None
        return True if new and any(_holds(volume, node, entry, way) for way in ways if node) else None
    if change.kind is ChangeKind.DELETED or node is None:
        return False
    return any(_holds(volume, node, entry, way) for way in ways)


def _forgotten(change: Change) -> bool:
    """A host key that came with the master: the guest part takes it away at the first start."""
    return (
        change.kind is ChangeKind.DELETED
        and change.type != "d"
        and change.path.startswith(_MASTERS_KEYS)
        and change.path.count(b"/") == _MASTERS_KEYS.count(b"/")
    )


def _holds(volume: Volume, node: Node, entry: Entry | None, way: Seeded) -> bool:
    return (
        node.type == _TYPES.get(way.kind, "-")
        and (node.mode == way.mode or node.type == "l")
        and _belongs(node.uid, way.uid)
        and _belongs(node.gid, way.gid)
        and _is_plain(node, volume.xattrs(node))
        and _content_holds(volume, node, entry, way)
    )


def _belongs(number: int, wanted: int | None) -> bool:
    return number == wanted if wanted is not None else number != 0


def _is_plain(node: Node, xattrs: Mapping[str, bytes]) -> bool:
    """Also an access list lets somebody write, and nothing of a seed is immutable; with a mark of overlayfs
    the content is not the node's."""
    plain = not kept_xattrs(xattrs) and not any(name in xattrs for name in _REDIRECTING)
    return plain and not flags(node.flags, xattrs)


def _content_holds(volume: Volume, node: Node, entry: Entry | None, way: Seeded) -> bool:
    if way.kind == FOLDER:
        return True
    if way.kind == LINK:
        return volume.target(node) == way.text
    if node.size > len(way.text) + _MOST:
        return False
    content = b"".join(volume.read(node))
    if way.kind == KEY:
        return public_part(content) == way.text
    if way.kind == BLOCK:
        return content.startswith(way.text) and _is_stacks(content[len(way.text) :], entry)
    if way.kind == HOSTS:
        return any(
            _is_stacks(stack, entry) and hosts_with_name(stack, way.text) == content
            for stack in _hosts_before(content, way.text)
        )
    return content == way.text


def _is_stacks(content: bytes, entry: Entry | None) -> bool:
    """Whether a file of the stack is this; one that is not there is empty."""
    if entry is None:
        return not content
    if entry.type != "-" or entry.size != len(content):
        return False
    return not content or entry.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"


def hosts_with_name(hosts: bytes, name: bytes) -> bytes:
    """As the function of that name in the guest's seed.sh."""
    if not hosts:
        return _DEFAULT_HOSTS % name
    ours, found = b"%s\t%s" % (_LOCAL, name), list[bytes]()
    for line in hosts.removesuffix(b"\n").split(b"\n"):
        first = _FIRST_WORD.match(line)
        if first is None or first[1] != _LOCAL:
            found.append(line)
        elif ours not in found:
            found.append(ours)
    return b"\n".join([*found, *(() if ours in found else (ours,)), b""])


def _hosts_before(content: bytes, name: bytes) -> list[bytes]:
    """What the stack's file may have been. Of a line for 127.0.1.1 that stood there nothing is left."""
    above = content.removesuffix(b"%s\t%s\n" % (_LOCAL, name))
    return [b"", content, above, above.removesuffix(b"\n")]


def public_part(private: bytes) -> bytes | None:
    """The public key inside a file of a private one without a passphrase; None where it is no such file."""
    armoured = _ARMOUR.fullmatch(private)
    try:
        raw = base64.b64decode(armoured[1].replace(b"\n", b""), validate=True) if armoured else b""
    except binascii.Error:
        return None
    if not raw.startswith(_HEAD):
        return None
    rest = raw[len(_HEAD) :]
    length = int.from_bytes(rest[:4], "big")
    return rest[4 : 4 + length] if len(rest) >= 4 + length else None
