"""What stands at a path afterwards, where that is decided: whose content, mode, owner and attributes."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from skinnybox.delta.rebase import again
from skinnybox.delta.rebase.context import Context, text_of
from skinnybox.delta.rebase.facts import Facts, Won, compared, of_entry, of_node, won
from skinnybox.delta.rebase.one_file import merged_text
from skinnybox.delta.rebase.standing import Standing
from skinnybox.delta.rebase.text_merge import Budget
from skinnybox.delta.rebase.values import Fate
from skinnybox.delta.upper import OVERLAY_XATTRS, kept_xattrs
from skinnybox.errors import Corrupt
from skinnybox.ext4 import Node, Volume
from skinnybox.masters.index import Entry
from skinnybox.masters.renumber import ACCESS_LISTS, mapped
from skinnybox.masters.system.image import Sealed
from skinnybox.overlays.edits import Stretch

BINDING = tuple(OVERLAY_XATTRS + word for word in ("origin", "impure", "nlink", "upper", "uuid"))
"""What says which inode of the old stack something was copied from, or follows from that. With another stack
below, whose inodes have the same numbers, the kernel takes two files for one."""


@dataclass(frozen=True, slots=True)
class Masters:
    old: Sealed
    new: Sealed


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a record is to be: see records.Made. Its `content` was written down already, with that digest;
    `mode` where it is not that of what was there."""

    content: "tuple[Stretch, str] | None" = None
    target: bytes | None = None
    hidden: bool = False
    mode: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class New:
    """`content` of a file, or where it was `written` down already, with its digest; a `target` of a symlink.
    `digest`: what the content has to be."""

    standing: Standing
    content: Iterable[bytes] | None = None
    written: "tuple[Stretch, str] | None" = None
    target: bytes = b""
    digest: str | None = None


def whiteout(now: int) -> New:
    return New(standing=Standing(type="c", mode=0, uid=0, gid=0, xattrs={}, mtime_ns=now))


def with_xattrs(found: Standing, xattrs: Mapping[str, bytes]) -> Standing:
    return replace(found, xattrs=xattrs)


def with_content(found: Standing, size: int, told: str) -> Standing:
    return replace(found, size=size if found.type in "-l" else 0, content=told)


def check_digest(path: bytes, found: str, wanted: str | None) -> None:
    """Corrupt where a master's image does not hold what its index says."""
    if wanted is not None and wanted != f"sha256:{found}":
        raise Corrupt(
            f"/{path.decode('utf-8', 'backslashreplace')} of a master is not what its index says",
            hint="`skinnybox master verify`",
        )


class Outcome:
    """Numbers in it are the new stack's."""

    def __init__(self, volume: Volume, context: Context[Node], masters: Masters, now: int) -> None:
        self._volume = volume
        # What was merged once is merged again, in the same steps.
        self._context = replace(context, budget=Budget())
        self._masters = masters
        self._now = now

    def kept(self, path: bytes, node: Node) -> Standing:
        """The machine's own, as it is, without what binds it to the old stack."""
        owners = self._context.ownership_at(path)
        numbers = owners.renumbering
        xattrs = {
            name: mapped(value, numbers) if name in ACCESS_LISTS else value
            for name, value in self._context.reader.xattrs(node).items()
            if name not in BINDING
        }
        return Standing(
            type=node.type,
            mode=node.mode,
            uid=owners.users.of(node.uid),
            gid=owners.groups.of(node.gid),
            xattrs=xattrs,
        )

    def folder(
        self, path: bytes, node: Node, own: set[Fate], old: Entry | None, new: Entry | None
    ) -> Standing:
        if new is None or new.type != "d":
            return self.kept(path, node)
        if Fate.TAKE in own:
            return self._of_facts(path, node, of_entry(new, None))
        if Fate.MERGE in own and old is not None:
            return self._of_facts(path, node, self._metadata(path, node, old, new))
        return self.kept(path, node)

    def _metadata(self, path: bytes, node: Node, old: Entry, new: Entry) -> Facts:
        """Of both sides, each aspect alone; what nobody can decide is the machine's."""
        mine = of_node(node, self._context.reader, self._context.ownership_at(path), ())
        before = self._base(path, mine, old, new)
        sides = [replace(side, content=None) for side in (mine, before, of_entry(new, None))]
        return compared(*sides).result or sides[0]

    def _base(self, path: bytes, mine: Facts, old: Entry, new: Entry) -> Facts:
        """What the plan held the machine's against."""
        was = of_entry(old, self._context.ownership_at(path))
        return again.base(path, (mine, was, of_entry(new, None)), self._context) or was

    def _of_facts(self, path: bytes, node: Node, facts: Facts) -> Standing:
        """With what overlayfs itself keeps of it."""
        own = kept_xattrs(self._context.reader.xattrs(node))
        kept = self.kept(path, node)
        rest = {name: value for name, value in kept.xattrs.items() if name not in own}
        uid, gid = facts.owner
        return replace(kept, mode=facts.mode, uid=uid, gid=gid, xattrs=rest | dict(facts.xattrs))

    def merged(self, path: bytes, node: Node, old: Entry | None, new: Entry | None) -> "New | Standing":
        """What the machine's own becomes where it is; or what is made instead: of other content, or of a name
        that is not its only one. Corrupt where the plan was about something else."""
        if old is None or new is None:
            raise Corrupt(f"/{path!r} cannot be merged: it is not in both masters")
        owners = self._context.ownership_at(path)
        mine = of_node(node, self._context.reader, owners, (old, new))
        before = self._base(path, mine, old, new)
        who = won(mine.content, before.content, of_entry(new, None).content)
        facts = self._metadata(path, node, old, new)
        standing = replace(
            self._of_facts(path, node, facts), mode=node.mode if node.type == "l" else facts.mode
        )
        if who is Won.NOBODY:
            text = merged_text(path, node, self._context)
            if text is None:
                raise Corrupt(f"/{path!r} cannot be merged any more")
            return New(standing=replace(standing, mtime_ns=self._now), content=[text])
        if who is Won.MASTER:
            return self._with_content_of(path, new, self._masters.new, standing)
        return standing if node.links == 1 else self.copied(node, standing)

    def copied(self, node: Node, standing: Standing) -> New:
        """A file of its own, for a name of one that has several."""
        standing = replace(standing, mtime_ns=node.mtime_ns, rdev=node.rdev)
        if node.type == "l":
            return New(standing=standing, target=self._volume.target(node))
        return New(standing=standing, content=self._volume.read(node) if node.type == "-" else None)

    def _with_content_of(self, path: bytes, entry: Entry, source: Sealed, standing: Standing) -> New:
        standing = replace(standing, mtime_ns=entry.mtime_ns)
        if entry.type == "-":
            pieces = source.pieces(text_of(path)) if entry.size else ()
            return New(standing=standing, content=pieces, digest=entry.digest)
        if entry.type == "l":
            return New(standing=standing, target=entry.target or b"")
        return New(standing=replace(standing, rdev=(os.major(entry.rdev), os.minor(entry.rdev))))

    def brought(self, path: bytes, old: Entry, new: Entry | None) -> New:
        """The old master's, whose numbers mean what they mean in the machine; or what it is restored to."""
        if (facts := self._context.converged.restored.get(path)) is not None:
            return self._restored(path, facts, old, new)
        return self._with_content_of(path, old, self._masters.old, self._of_entry(old, of_machine=True))

    def _restored(self, path: bytes, facts: Facts, old: Entry, new: Entry | None) -> New:
        """Its content is that of one of the masters."""
        uid, gid = facts.owner
        mode = 0o777 if facts.type == "l" else facts.mode
        standing = Standing(type=facts.type, mode=mode, uid=uid, gid=gid, xattrs=dict(facts.xattrs))
        if new is None or of_entry(old, None).what == facts.what:
            return self._with_content_of(path, old, self._masters.old, standing)
        return self._with_content_of(path, new, self._masters.new, standing)

    def of_new(self, path: bytes, new: Entry) -> New:
        return self._with_content_of(path, new, self._masters.new, self._of_entry(new))

    def made_folder(self, old: Entry | None, new: Entry | None) -> New:
        """Like the new stack's, or the old one's, or like any."""
        if new is not None and new.type == "d":
            found = self._of_entry(new)
        elif old is not None and old.type == "d":
            found = self._of_entry(old, of_machine=True)
        else:
            found = Standing(type="d", mode=0o755, uid=0, gid=0, xattrs={})
        return New(standing=replace(found, mtime_ns=self._now))

    def _of_entry(self, entry: Entry, *, of_machine: bool = False) -> Standing:
        facts = of_entry(entry, self._context.ownership_at(entry.path) if of_machine else None)
        uid, gid = facts.owner
        return Standing(type=entry.type, mode=entry.mode, uid=uid, gid=gid, xattrs=dict(facts.xattrs))

    def is_so(self, node: Node, wanted: Wanted) -> bool:
        """Whether the machine has it already."""
        if wanted.target is not None:
            return node.type == "l" and self._volume.target(node) == wanted.target
        if wanted.content is None or wanted.mode is not None or node.type != "-":
            return False
        stretch, digest = wanted.content
        return node.size == stretch.length and self._context.reader.digest(node) == f"sha256:{digest}"

    def record(
        self, path: bytes, wanted: Wanted, node: Node | None, old: Entry | None, new: Entry | None
    ) -> New | None:
        """Mode and owner are those of what was there: they follow from no content. None: nothing is made."""
        if wanted.target is not None:
            link = Standing(type="l", mode=0o777, uid=0, gid=0, xattrs={}, mtime_ns=self._now)
            return New(standing=link, target=wanted.target)
        if wanted.content is not None:
            found = self._like(path, node, old, new)
            mode = found.mode if wanted.mode is None else wanted.mode
            return New(standing=replace(found, mode=mode, mtime_ns=self._now), written=wanted.content)
        return None if wanted.hidden else self._with_own_mode(path, node, old, new)

    def _like(self, path: bytes, node: Node | None, old: Entry | None, new: Entry | None) -> Standing:
        if node is not None and node.type == "-":
            kept = self.kept(path, node)
            return replace(kept, xattrs=kept_xattrs(kept.xattrs))
        if new is not None and new.type == "-":
            return self._of_entry(new)
        if old is not None and old.type == "-":
            return self._of_entry(old, of_machine=True)
        return Standing(type="-", mode=0o644, uid=0, gid=0, xattrs={})

    def _with_own_mode(
        self, path: bytes, node: Node | None, old: Entry | None, new: Entry | None
    ) -> New | None:
        """The new master's content, where somebody in the machine gave it another mode or owner."""
        if node is None or old is None or new is None or {node.type, old.type, new.type} != {"-"}:
            return None
        facts = self._metadata(path, node, old, new)
        if facts == replace(of_entry(new, None), content=None):
            return None
        uid, gid = facts.owner
        standing = Standing(type="-", mode=facts.mode, uid=uid, gid=gid, xattrs=dict(facts.xattrs))
        return self._with_content_of(path, new, self._masters.new, standing)
