"""What each change of a machine is about: its group, its package, whether another line tells of it, and
whether it is no more than what a plain boot leaves. For the confined process of listing.py."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from skinnybox.delta.groups import group_of
from skinnybox.delta.plain_boot import noise
from skinnybox.delta.upper import kept_xattrs
from skinnybox.delta.whose import NOBODYS, Owned, Whose
from skinnybox.ext4 import Node, Volume
from skinnybox.masters.system.source import bytes_of
from skinnybox.model import Change, ChangeKind
from skinnybox.model.changes import Group

NOT_AS_PACKAGED = "not as its package has it"
_INFO = re.compile(rb"var/lib/dpkg/info/(.+)\.[a-z0-9-]+", re.DOTALL)
_RECORDS = re.compile(
    rb"var/lib/dpkg|var/lib/dpkg/(?:info|updates|triggers|alternatives|parts)"
    rb"|var/lib/dpkg/(?:status|available|diversions|statoverride)(?:-old)?|var/lib/dpkg/lock(?:-frontend)?"
    rb"|var/lib/dpkg/triggers/[^/]+|var/lib/dpkg/alternatives/[^/]+|var/lib/dpkg/(?:arch|cmethopt)"
    rb"|(?:usr/)?lib/apk/db/(?:installed|triggers|lock|scripts\.tar(?:\.gz)?)|(?:usr/)?lib/apk(?:/db)?"
    rb"|var/lib/apt/extended_states|var/cache/debconf(?:/[^/]+\.dat(?:-old)?)?"
    rb"|var/lib/ucf(?:/(?:hashfile|registry)[^/]*|/cache(?:/[^/]+)?)?"
    rb"|var/lib/systemd/deb-systemd-(?:user-)?helper-[^/]+(?:/[^/]+(?:/[^/]+)?)?",
    re.DOTALL,
)
"""What package managers note down of packages that come and go, in data: no script of a package is one."""
_WANTS = re.compile(
    rb"etc/systemd/system/[^/]+\.(?:wants|requires)/([^/]+)|etc/rc[0-6S]\.d/[SK]\d\d([^/]+)"
    rb"|etc/runlevels/[^/]+/([^/]+)",
    re.DOTALL,
)
_UNITS = re.compile(
    rb"(?:/usr)?/lib/systemd/system/[^/]+|/etc/systemd/system/[^/]+|(?:/etc|\.\.)/init\.d/[^/]+"
)
_NO_PACKAGES = re.compile(
    rb"(?:root|home|srv|mnt|media|tmp|run|dev|proc|sys|usr/local|var/(?:tmp|spool/cron|log|www))/.+"
    rb"|etc/(?:ld\.so\.preload|crontab|rc\.local)",
    re.DOTALL,
)
"""Where no package of a distribution has files: who adds a line to a package's list hides nothing there."""
_FOR = re.compile(rb"etc/systemd/system/[^/]+\.(?:wants|requires)", re.DOTALL)
_ALTERNATIVES = b"etc/alternatives/"
_RUNS, _OTHERS_RIGHTS, _WRITABLE = 0o111, 0o6000, 0o002


@dataclass(slots=True, kw_only=True)
class Judge:
    volume: Volume
    whose: Whose = NOBODYS
    _units: frozenset[bytes] = field(init=False)
    _alternatives: frozenset[bytes] = field(init=False)
    _packages: bool = field(init=False)
    _left: int = field(init=False)
    """Bytes that are read for sums, no more than the disk has: a guest makes files of terabytes that hold
    nothing, gives one many names, and writes down sums of them."""

    def __post_init__(self) -> None:
        self._left = self.volume.size
        named = {what: frozenset(bytes_of(f.name) for f in self.whose.facts if f.what == what)
                 for what in ("unit", "alternative")}  # fmt: skip
        self._units, self._alternatives = named["unit"], named["alternative"]
        self._packages = self.whose.any("package")

    def judged(self, change: Change, node: Node | None, *, stray: bool) -> Change:
        """`node` is what stands there now; `stray` says of a folder that is gone whether anything was in it
        that is of none of these packages. Raises Corrupt, as reading the volume does."""
        group = group_of(change.path)
        why = "" if node is None else noise(change, node, self._attributes)
        if why or change.kind in (ChangeKind.SAME, ChangeKind.UNREAD):
            return replace(change, group=group, noise=why)
        if self._packages:
            owned = self.whose.owned.get(change.path)
            if owned is not None:
                return self._of_package(change, node, owned, group)
            beside = self._beside_package(change, node, stray)
            if beside is not None:
                return replace(change, group=Group.PACKAGES, package=beside, folded=True)
        return _in_group(change, group, folded=self._is_told(change, node))

    def _attributes(self, node: Node) -> Mapping[str, bytes]:
        return kept_xattrs(self.volume.xattrs(node))

    def _of_package(self, change: Change, node: Node | None, owned: Owned, group: Group) -> Change:
        found = replace(change, package=owned.package)
        if change.type != "d" and self._is_nobodys(change.path, group):
            return replace(found, group=group)
        if change.kind is ChangeKind.DELETED:
            return replace(
                found, group=Group.PACKAGES if not owned.machine else group, folded=not owned.machine
            )
        if node is None or not owned.machine:
            return replace(found, group=group)
        if node.type == "d" and not _is_plain_folder(change, node):
            return replace(found, group=group)
        if not self._is_as_packaged(change, node, owned):
            return replace(found, group=Group.CONFIGURATION if owned.conffile else group,
                           detail=_with(change.detail, NOT_AS_PACKAGED))  # fmt: skip
        if self._gives_rights(change, node):
            return replace(found, group=Group.PACKAGES, detail=_with(change.detail, f"mode {node.mode:04o}"))
        return replace(found, group=Group.PACKAGES, folded=True)

    def _is_nobodys(self, path: bytes, group: Group) -> bool:
        return group is Group.ACCOUNTS or _NO_PACKAGES.fullmatch(path) is not None

    def _is_as_packaged(self, change: Change, node: Node, owned: Owned) -> bool:
        """By what dpkg knows. Of a package without sums nobody can tell: below /etc all is anybody's."""
        if node.type == "l" or change.kind is ChangeKind.METADATA:
            return change.kind is not ChangeKind.METADATA or change.detail == "mtime"
        if node.type == "d":
            return True
        if node.type != "-" or change.kind is ChangeKind.TYPE or "flags" in change.detail:
            return False
        if owned.md5 is None:
            return owned.package not in self.whose.sums and not change.path.startswith(b"etc/")
        if node.size > self._left:
            return False
        self._left -= node.size
        digest = hashlib.md5(usedforsecurity=False)
        for piece in self.volume.read(node):
            digest.update(piece)
        return digest.hexdigest() == owned.md5

    def _gives_rights(self, change: Change, node: Node) -> bool:
        """That the master's did not give: another's by setuid, a capability; or anybody may write it."""
        if node.type == "l":
            return False
        new = change.kind is ChangeKind.ADDED or "mode " in change.detail or "xattrs" in change.detail
        return new and bool(node.mode & (_OTHERS_RIGHTS | _WRITABLE) or self._attributes(node))

    def _beside_package(self, change: Change, node: Node | None, stray: bool) -> str | None:
        """The package that something comes with which its list does not name; "" of those all together; None
        for what comes with none."""
        path = change.path
        if change.type == "d":
            return self._folder(change, node, stray)
        info = _INFO.fullmatch(path)
        if info is not None:
            return self.whose.keys.get(info[1].decode("utf-8", "surrogateescape"))
        if node is not None and node.type == "l":
            return self._of_alternative(path, node)
        if node is not None and (node.mode & _OTHERS_RIGHTS or self._attributes(node)):
            return None
        plain = node is None or (node.type == "-" and not node.mode & _RUNS)
        return "" if plain and _RECORDS.fullmatch(path) else None

    def _folder(self, change: Change, node: Node | None, stray: bool) -> str | None:
        path = change.path
        leads = path in self.whose.above or _RECORDS.fullmatch(path) or self._holds_cached(path)
        if change.kind is ChangeKind.DELETED:
            return "" if leads and not stray else None
        return "" if leads and node is not None and _is_plain_folder(change, node) else None

    def _holds_cached(self, path: bytes) -> bool:
        """The folder alone: what is in it is run, and no database says what it is to be."""
        folder, _, name = path.rpartition(b"/")
        return name == b"__pycache__" and folder in self.whose.above

    def _is_told(self, change: Change, node: Node | None) -> bool:
        """Whether a fact tells of it: a link by which a unit is wanted, or an alternative is chosen."""
        if change.type == "d":
            return bool(self._units and _FOR.fullmatch(change.path)) and _is_plain_folder(change, node)
        if change.type != "l":
            return False
        if (unit := _WANTS.fullmatch(change.path)) is not None:
            name = unit[1] or unit[2] or unit[3]
            known = name in self._units or name + b".service" in self._units
            return known and self._leads_to_unit(change, node)
        return change.path.removeprefix(_ALTERNATIVES) in self._alternatives and node is not None

    def _leads_to_unit(self, change: Change, node: Node | None) -> bool:
        """Where units are, as a link that was added does, or one that is gone: some inits run what it leads
        to, whatever that is called."""
        if node is None:
            return change.kind is ChangeKind.DELETED
        return change.kind is ChangeKind.ADDED and _UNITS.fullmatch(self.volume.target(node)) is not None

    def _of_alternative(self, path: bytes, node: Node) -> str | None:
        """Whose program is chosen; "" of the link to that choice, which harms nobody."""
        target = self.volume.target(node).strip(b"/")
        if target.startswith(_ALTERNATIVES) and b"/" not in target.removeprefix(_ALTERNATIVES):
            return ""
        if not path.startswith(_ALTERNATIVES) or path.removeprefix(_ALTERNATIVES) in self._alternatives:
            return None
        owned = self.whose.owned.get(target) or self.whose.owned.get(b"usr/" + target)
        return owned.package if owned is not None and owned.machine else None


def _is_plain_folder(change: Change, node: Node | None) -> bool:
    """A new one that nobody but root writes to."""
    if node is None:
        return False
    return change.kind is ChangeKind.ADDED and not node.mode & 0o7022 and node.uid == 0 and not change.detail


def _in_group(change: Change, group: Group, *, folded: bool) -> Change:
    """As `replace`, in a third of the time: most changes are told so."""
    return Change(
        path=change.path, kind=change.kind, type=change.type, size=change.size, detail=change.detail,
        group=group, folded=folded,
    )  # fmt: skip


def _with(detail: str, word: str) -> str:
    return f"{detail}, {word}" if detail else word
