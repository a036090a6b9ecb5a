"""What a plan consists of: one decision for each package, account, path and service that it is about."""

from dataclasses import dataclass
from enum import StrEnum


class Subject(StrEnum):
    RELEASE = "release"
    PACKAGE = "package"
    USER = "user"
    GROUP = "group"
    SUBORDINATE = "subordinate ids"
    FILE = "file"
    SERVICE = "service"
    ALTERNATIVE = "alternative"
    BOUND = "bound"
    """What was made for a version of a language that the new stack has not: no package manager knows it."""
    MACHINE = "machine"
    """What stands in the way of it as a whole."""


class Standing(StrEnum):
    """Whether it is settled. A conflict can be decided by a policy; what is blocked cannot."""

    CLEAN = "clean"
    CONFLICT = "conflict"
    BLOCKED = "blocked"


class Fate(StrEnum):
    KEEP = "keep"
    """The machine's own stays as it is."""
    TAKE = "take"
    """The machine's own goes, and the new master's is seen."""
    MERGE = "merge"
    """It is made of both."""
    HIDE = "hide"
    """What the new master has is hidden (a whiteout is made)."""
    BRING = "bring"
    """The old master's is copied into the machine: what stays there needs it."""
    CLEAR = "clear"
    """The mark "opaque" goes: it says nothing that anybody decided."""
    RENUMBER = "renumber"
    REGENERATE = "regenerate"
    """The machine's own goes, and what makes it runs at the first start."""
    REINSTALL = "reinstall"
    """The machine's goes, and its package manager installs it again from the new release."""
    FOLLOW = "follow"
    """The machine's goes, and comes again from the new release where something that is there needs it."""
    REMOVE = "remove"
    """The new master's is removed again, as the machine had removed it."""
    PURGE = "purge"
    """The same, and its settings with it."""
    START = "start"
    STOP = "stop"
    REPORT = "report"
    """Nothing is done about it: somebody is to know."""
    ASK = "ask"
    """Nobody has decided."""


class PackageClass(StrEnum):
    """Who changed it since the old master."""

    SAME = "same"
    ONLY_MACHINE = "only machine"
    ONLY_MASTER = "only master"
    BOTH = "both changed"
    REMOVED = "removed"
    """By the machine."""
    HELD = "held"
    """The machine wants none but the version that it has, and the new master has another, or none."""
    UNREAD = "unread"


class FileClass(StrEnum):
    """The machine's against the old master's and the new one's."""

    NOOP = "no change"
    """As the old master has it: copied up, and not altered."""
    CONVERGED = "converged"
    """As the new master has it."""
    OWN = "own"
    KEPT = "changed"
    """Altered by the machine alone."""
    DELETED = "deleted"
    STALE = "stale"
    """A deletion of what the new master has not either."""
    METADATA = "metadata"
    MERGED = "merged"
    MODIFY_MODIFY = "modify/modify"
    ADD_ADD = "add/add"
    DELETE_MODIFY = "delete/modify"
    MODIFY_DELETE = "modify/delete"
    TYPE = "type"
    OPAQUE = "opaque"
    BELOW_OPAQUE = "below opaque"
    BELOW_TAKEN = "below taken"
    OF_PACKAGE = "of package"
    """It goes the way of its package."""
    GROWN = "grown"
    """New in the master's version of a package that the machine has not, or has in another version; or in
    what is pinned."""
    NEEDED = "needed"
    GENERATED = "generated"
    RECORD = "by record"
    """Merged by what stands in it: a package, an account."""
    IDENTITY = "identity"
    LOCAL = "local"
    """Logs and the like: what the machine tells of itself."""
    INEFFECTIVE = "ineffective"
    """Machines boot their master's kernel."""
    UNREAD = "unread"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """`kind` is a PackageClass or a FileClass, or a word of accounts.py and services.py. `name` of a file is
    its path, without a leading slash, other bytes than UTF-8 as lone surrogates. `detail` is for people;
    `owner` says which numbers the owner of what stays has and gets, where they are others."""

    subject: Subject
    kind: str
    fate: Fate
    name: str
    detail: str = ""
    standing: Standing = Standing.CLEAN
    owner: str = ""
