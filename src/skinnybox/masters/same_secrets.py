"""Secrets and identities in a tree that is sealed: each of its machines would have the same.

Packages make them when they are installed, once, and no boot makes them again (munge's key, rndc's, that of
the snakeoil certificate), or somebody put them there. What every boot, or our guest part, makes anew is taken
out (see clean); these are told of and stay, since some are to be the same: those of a cluster.

Whether a file holds one is seen in its first bytes, where its name does not say so: templates of such files
are full of comments, and most .pem files are certificates.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from skinnybox.masters import inside
from skinnybox.masters.index import Entry
from skinnybox.printable import printable

_HEAD = 16384
_MOST = 10_000
"""Files that are looked into."""
_LARGEST = 1 << 20
_TOLD = 8
WAY_OUT = (
    "where machines are to differ, take it out of the tree (`scripts` of a recipe, or before the import) and "
    "have it made at their first start (`create --run-once`)"
)

_ANYTHING = re.compile(rb"\S")
_PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----")
_NOT_A_COMMENT = re.compile(rb"^[ \t]*[^#!;%\s]", re.MULTILINE)

_KINDS: tuple[tuple[bytes, re.Pattern[bytes]], ...] = (
    (rb"etc/munge/munge\.key", _ANYTHING),
    (rb"etc/corosync/authkey", _ANYTHING),
    (rb"etc/bind/rndc\.key|etc/rndc\.key", re.compile(rb"\bsecret\b")),
    (rb"etc/(?:chrony/)?chrony\.keys|etc/ntp\.keys|etc/ntp(?:sec)?/ntp\.keys", _NOT_A_COMMENT),
    (rb"etc/krb5\.keytab|etc/ceph/[^/]+\.keyring", _ANYTHING),
    (rb"etc/wireguard/[^/]+", re.compile(rb"^\s*PrivateKey\s*=\s*\S", re.MULTILINE)),
    (rb"etc/mysql/debian\.cnf", re.compile(rb"^\s*password\s*=\s*\S", re.MULTILINE)),
    (rb"etc/iscsi/initiatorname\.iscsi", re.compile(rb"^\s*InitiatorName\s*=", re.MULTILINE)),
    (rb"etc/nvme/host(?:id|nqn)", _ANYTHING),
    (rb"var/lib/samba/private/secrets\.tdb", _ANYTHING),
    (rb"var/lib/rabbitmq/\.erlang\.cookie", _ANYTHING),
    (rb"var/lib/tor/.*secret_key|var/lib/tor/keys/secret_[^/]+", _ANYTHING),
    (rb"var/lib/(?:dkms/mok\.key|shim-signed/mok/MOK\.priv)", _ANYTHING),
    (rb"(?:root|home/[^/]+)/\.ssh/id_[^/.]+|etc/ssh/ssh_host_[^/]*_key", _PRIVATE_KEY),
    (rb"(?:etc|root|home|opt|srv|var/lib|var/www|usr/local/etc)/.*\.(?:key|pem)", _PRIVATE_KEY),
)
_PLACES = (b"etc/", b"root/", b"home/", b"opt/", b"srv/", b"var/", b"usr/local/")
"""Where any of them lies: nine in ten names are in none of these."""
_KNOWN = [(re.compile(path, re.DOTALL), holds) for path, holds in _KINDS]


def watched(entries: Iterable[Entry], found: list[Entry]) -> Iterator[Entry]:
    """The entries as they come; those that may hold one are added to `found`."""
    for entry in entries:
        if len(found) < _MOST and _test_of(entry) is not None:
            found.append(entry)
        yield entry


def held(tree: Path, found: Iterable[Entry]) -> list[str]:
    """Lines for a person; none when no file holds one. A file with several names is told of once. Follows no
    symlink."""
    files: dict[bytes, Entry] = {}
    for entry in found:
        if _holds(tree, entry):
            files.setdefault(entry.link or entry.path, entry)
    names = [f"/{printable(_text(entry.path))}" for entry in files.values()]
    more = [f"and {len(names) - _TOLD} more"] if len(names) > _TOLD else []
    if not names:
        return []
    return [f"each machine of this master would have the same: {'; '.join(names[:_TOLD] + more)}", WAY_OUT]


def _test_of(entry: Entry) -> re.Pattern[bytes] | None:
    if entry.type != "-" or not 0 < entry.size <= _LARGEST or not entry.path.startswith(_PLACES):
        return None
    return next((holds for path, holds in _KNOWN if path.fullmatch(entry.path)), None)


def _holds(tree: Path, entry: Entry) -> bool:
    test = _test_of(entry)
    head = inside.read(tree, _text(entry.path), _HEAD)
    return test is not None and head is not None and test.search(head) is not None


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")
