"""What every machine has after it was booted once, whatever is done in it: hidden from people until they ask.

Each rule was read off machines of Debian 11, 12 and 13 that were started and stopped, and names exactly what
was there. Whoever breaks in must find no place here: a rule is for what is generated, and that nobody
runs or obeys. It holds for a regular file that cannot be run, or a folder, of root's or of the service that
makes it, with a mode that gives nobody more than that. What is gone is never noise: an intruder deletes.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from skinnybox.ext4 import Node
from skinnybox.model import Change, ChangeKind

_LISTS = ("system.posix_acl_access", "system.posix_acl_default", "user.crtime_usec")
_ID = rb"[0-9a-f]{32}"


@dataclass(frozen=True, slots=True)
class Rule:
    """`types`, `modes` and `xattrs` are all that there may be; `largest` in bytes, of files. `anybody`: it
    may belong to a service's user."""

    path: bytes
    types: str
    modes: tuple[int, ...]
    why: str
    largest: int = 0
    xattrs: tuple[str, ...] = ()
    anybody: bool = False


RULES = (
    Rule(rb"(?:var/)?tmp/systemd-private-" + _ID + rb"-[A-Za-z0-9@:_.\\-]+\.service-[A-Za-z0-9]{6}", "d",
         (0o700,), "what systemd gives a service for its own temporary files"),
    Rule(rb"(?:var/)?tmp/systemd-private-" + _ID + rb"-[A-Za-z0-9@:_.\\-]+\.service-[A-Za-z0-9]{6}/tmp", "d",
         (0o1777,), "what systemd gives a service for its own temporary files"),
    Rule(rb"tmp/\.(?:X11|ICE|XIM|font|Test)-unix", "d", (0o1777,), "where X11 would put its sockets"),
    Rule(rb"var/lib/systemd/timers", "d", (0o755,), "when timers went off last"),
    Rule(rb"var/lib/systemd/timers/stamp-[A-Za-z0-9@:_.-]+\.timer", "-", (0o644,), "when one went off last"),
    Rule(rb"var/lib/systemd/linger", "d", (0o755,), "users whose services outlive them: nobody, while empty"),
    Rule(rb"var/lib/systemd/random-seed", "-", (0o600,), "random numbers for the next boot", largest=4096,
        xattrs=("user.random-seed-creditable",),),
    Rule(rb"var/(?:cache|lib|log)/private", "d", (0o700,), "where services without a user write"),
    Rule(rb"var/lib/systemd/(?:coredump|pstore)", "d", (0o755,), "where crashes would be kept"),
    Rule(rb"var/log/journal/" + _ID, "d", (0o2755, 0o755), "this machine's journal", xattrs=_LISTS,
         anybody=True),
    Rule(rb"var/log/journal/" + _ID + rb"/(?:system|user-\d{1,10})(?:@[0-9a-f-]{1,100})?\.journal~?", "-",
         (0o640,), "the journal", largest=1 << 40, xattrs=_LISTS),
    Rule(rb"var/lib/skinnybox/active-units", "-", (0o644,), "units that ran, which a rebase asks for",
         largest=1 << 20),
    Rule(rb"var/log/(?:wtmp|btmp|lastlog)", "-", (0o664, 0o660, 0o644, 0o600), "when the machine was booted",
         largest=1 << 40, anybody=True),
)  # fmt: skip
_KNOWN = re.compile(b"|".join(b"(?P<r%d>%s)" % (i, rule.path) for i, rule in enumerate(RULES)), re.DOTALL)
_KINDS = (ChangeKind.ADDED, ChangeKind.MODIFIED)


def noise(change: Change, node: Node, xattrs: Callable[[Node], Mapping[str, bytes]]) -> str:
    """Why a plain boot leaves it, or "". `node` is what stands there, `xattrs` tells its own."""
    found = _KNOWN.fullmatch(change.path)
    if found is None or found.lastgroup is None:
        return ""
    rule = RULES[int(found.lastgroup[1:])]
    only_time = change.kind is ChangeKind.METADATA and change.detail == "mtime"
    fits = (
        (change.kind in _KINDS or only_time)
        and node.type in rule.types
        and node.mode in rule.modes
        and (node.type == "d" or node.size <= rule.largest)
        and (rule.anybody or node.uid == 0)
        and all(name in rule.xattrs for name in xattrs(node))
        and "flags" not in change.detail
    )
    return rule.why if fits else ""
