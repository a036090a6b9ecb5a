"""Files of which a part is one machine's, and the rest is what people typed: what is left of them."""

import re
from collections.abc import Mapping

_LOCAL = b"127.0.1.1"
_SEEDS_KEYS = re.compile(
    rb"^# skinnybox: from the seed$.*?(?:^# skinnybox: end$\n?|\Z)", re.MULTILINE | re.DOTALL
)
_NO_PASSWORD = b"*"
"""Not "!", which is a locked account: a sshd without PAM keeps that out with a key as well."""


def without_name(hosts: bytes, names: frozenset[bytes]) -> bytes:
    """A hosts file without the line that the guest part writes for what a machine is called."""
    return b"".join(line for line in hosts.splitlines(keepends=True) if not _is_own(line.split(), names))


def _is_own(words: list[bytes], names: frozenset[bytes]) -> bool:
    return len(words) > 1 and words[0] == _LOCAL and not names.isdisjoint(words[1:])


def without_seeds_keys(keys: bytes) -> bytes:
    """An authorized_keys without the block that the guest part keeps in it (guest/lib/seed.sh)."""
    return _SEEDS_KEYS.sub(b"", keys)


def without_seeds_passwords(shadow: bytes, given: Mapping[bytes, bytes], sealed: bytes) -> bytes:
    """A shadow file in which an account that still has the password that it was `given` has what it has in
    the `sealed` one; one that is not there has none."""
    before = {words[0]: words[1] for line in sealed.split(b"\n") if len(words := line.split(b":")) > 1}
    return b"\n".join(_without(line, given, before) for line in shadow.split(b"\n"))


def _without(line: bytes, given: Mapping[bytes, bytes], before: Mapping[bytes, bytes]) -> bytes:
    words = line.split(b":")
    if len(words) > 1 and given.get(words[0]) == words[1]:
        words[1] = before.get(words[0], _NO_PASSWORD)
    return b":".join(words)
