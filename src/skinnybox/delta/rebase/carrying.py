"""What the decisions about a path mean for what the machine has there: the edits, and what stands there then.

Everything here goes by decisions that are settled. Nothing of the machine's is held.
"""

import stat

from skinnybox.delta.rebase import outcome, standing
from skinnybox.delta.rebase.containers import is_containers
from skinnybox.delta.rebase.context import Context
from skinnybox.delta.rebase.folders import Folder, Folders
from skinnybox.delta.rebase.outcome import Outcome, Wanted
from skinnybox.delta.rebase.shared_files import Inodes
from skinnybox.delta.rebase.spool import Said
from skinnybox.delta.rebase.standing import Standing
from skinnybox.delta.rebase.streams import Place
from skinnybox.delta.rebase.values import Fate, FileClass
from skinnybox.delta.rebase.written import Written
from skinnybox.delta.upper import OPAQUE
from skinnybox.ext4 import Node, Volume
from skinnybox.masters.index import Entry, Line
from skinnybox.overlays.edits import Alteration, Creation, Removal, Stretch

_TOP = b"upper"
_GOES = (Fate.TAKE, Fate.REGENERATE)
_WHITEOUT = (0, 0)
_OF_TYPE = {
    "-": stat.S_IFREG, "d": stat.S_IFDIR, "l": stat.S_IFLNK, "c": stat.S_IFCHR, "b": stat.S_IFBLK,
    "p": stat.S_IFIFO, "s": stat.S_IFSOCK,
}  # fmt: skip
Spot = Place[Node, Line]


class Carrier:
    """One walk over all places, in canonical order."""

    def __init__(
        self,
        volume: Volume,
        context: Context[Node],
        masters: outcome.Masters,
        out: Written,
        now: int,
        shared: Inodes | None = None,
    ) -> None:
        self._context = context
        self._shared = shared
        self._out = out
        self._now = now
        self._outcome = Outcome(volume, context, masters, now)
        self._folders = Folders(self._stays, self._goes, self._make)

    def at(self, place: Spot, said: list[Said], record: Wanted | None = None) -> None:
        """What is said of a place, in that order. A record is what there is to be, whatever was said."""
        self._folders.reach(place.path)
        node = place.upper
        if record is not None:
            self._record(place, record, said)
        elif node is None:
            self._unseen(place, said)
        elif node.type == "c" and node.rdev == _WHITEOUT:
            self._whiteout(place, node, said)
        elif node.type == "d":
            self._folder(place, node, said)
        else:
            self._file(place, node, said)

    def end(self) -> None:
        self._folders.end()

    # --- what the machine has nothing at

    def _unseen(self, place: Spot, said: list[Said]) -> None:
        fates = {each.fate for each in said}
        old, new = _entry(place.old), _entry(place.new)
        if Fate.HIDE in fates:
            self._hide(place)
        elif Fate.BRING in fates and old is not None and old.type == "d":
            self._folders.enter(Folder(place.path, old=old, hides=new is not None))
            self._folders.made()
        elif Fate.BRING in fates and old is not None:
            self._create(place.path, self._outcome.brought(place.path, old, new))
        elif (seen := new or old) is not None and seen.type == "d":
            self._folders.enter(Folder(place.path, old=old, new=new))
        elif new is not None:
            self._folders.meet(place.path)

    def _hide(self, place: Spot) -> None:
        if place.new is not None and not self._folders.hidden:
            self._create(place.path, outcome.whiteout(self._now))
        self._folders.meet(place.path)

    # --- what it has

    def _whiteout(self, place: Spot, node: Node, said: list[Said]) -> None:
        """It stays where it hides something: elsewhere it would be seen, since nothing tells the kernel of it
        any more."""
        if place.new is None or self._folders.hidden or any(each.fate in _GOES for each in said):
            self._remove(place.path, node)
            self._unseen(place, said)
            return
        self._keep(place.path, node, standing.of_node(node, self._context.reader.xattrs(node)))

    def _file(self, place: Spot, node: Node, said: list[Said]) -> None:
        """Of a file over what is a folder in the masters two things are said; the last is what it hides."""
        if any(each.fate in _GOES for each in said):
            self._remove(place.path, node)
            self._unseen(place, [])
            return
        if not any(each.fate is Fate.MERGE and each.kind is FileClass.MERGED for each in said):
            self._stay(place.path, node)
            return
        found = self._outcome.merged(place.path, node, _entry(place.old), _entry(place.new))
        if isinstance(found, Standing):
            self._keep(place.path, node, found)
        else:
            self._remove(place.path, node)
            self._create(place.path, found)

    def _stay(self, path: bytes, node: Node) -> None:
        found = self._outcome.kept(path, node)
        if self._shared is None or not is_containers(path) or node not in self._shared:
            self._keep(path, node, found)
        elif found == self._outcome.kept(b"", node):
            self._keep(path, node, found)  # no number of it moves
        else:
            self._remove(path, node)
            self._create(path, self._outcome.copied(node, found))

    def _folder(self, place: Spot, node: Node, said: list[Said]) -> None:
        """Its mark, and what it is itself, are decided each alone."""
        path, old, new = place.path, _entry(place.old), _entry(place.new)
        marks = {each.fate for each in said if each.kind is FileClass.OPAQUE}
        own = {each.fate for each in said if each.kind is not FileClass.OPAQUE}
        wanted = self._outcome.folder(path, node, own, old, new)
        xattrs = dict(wanted.xattrs)
        opaque = path != b"" and xattrs.get(OPAQUE) == b"y"
        unmarked = opaque and Fate.TAKE in marks
        if opaque and (marks & {Fate.CLEAR, Fate.TAKE} or self._folders.unmarked):
            del xattrs[OPAQUE]
            opaque = False
        wanted = outcome.with_xattrs(wanted, xattrs)
        folder = Folder(
            path, node, old, new, unmarked=unmarked, hides=opaque or (new is not None and new.type != "d")
        )
        line, edit = standing.kept(path, node, wanted), self._altered(node, wanted)
        gone = Fate.TAKE in own or (old is not None and old.type == "d" and new is None)
        if path and gone and own <= {Fate.TAKE, Fate.RENUMBER} and not (new is not None and new.type == "d"):
            folder.pending = (line, edit)
            self._folders.enter(folder)
            return
        self._folders.occupied()
        self._write_down(line, edit)
        self._folders.enter(folder)

    def _record(self, place: Spot, record: Wanted, said: list[Said]) -> None:
        path, node = place.path, place.upper
        is_whiteout = node is not None and node.type == "c" and node.rdev == _WHITEOUT
        if node is not None and node.type == "d":
            self._folder(place, node, said)
            return
        if node is not None and self._outcome.is_so(node, record):
            self._stay(path, node)
            return
        hidden = record.hidden and place.new is not None and not self._folders.hidden
        if node is not None and is_whiteout and hidden:
            self._whiteout(place, node, [])
            return
        if node is not None:
            self._remove(path, node)
        mine = None if is_whiteout else node
        new = _entry(place.new)
        found = self._outcome.record(path, record, mine, _entry(place.old), new)
        if found is None and not record.hidden and new is not None and self._folders.hidden:
            found = self._outcome.of_new(path, new)  # nothing of it would be seen here
        if found is not None:
            self._create(path, found)
        elif hidden:
            self._hide(place)
        else:
            self._unseen(Place(path, None, place.old, place.new), [])

    # --- what is written down

    def _keep(self, path: bytes, node: Node, wanted: Standing) -> None:
        self._folders.occupied()
        self._write_down(standing.kept(path, node, wanted), self._altered(node, wanted))
        self._folders.meet(path)

    def _write_down(self, line: bytes, edit: Alteration | None) -> None:
        self._out.line(line)
        if edit is not None:
            self._out.alter(edit)

    def _altered(self, node: Node, wanted: Standing) -> Alteration | None:
        now = self._context.reader.xattrs(node)
        without = tuple(sorted(now.keys() - wanted.xattrs.keys()))
        changed = {name: value for name, value in wanted.xattrs.items() if now.get(name) != value}
        mode = None if node.mode == wanted.mode else _OF_TYPE[node.type] | wanted.mode
        uid = None if node.uid == wanted.uid else wanted.uid
        gid = None if node.gid == wanted.gid else wanted.gid
        if (mode, uid, gid) == (None, None, None) and not without and not changed:
            return None
        xattrs = self._out.contents.attributes(changed)
        return Alteration(inode=node.inode, mode=mode, uid=uid, gid=gid, without=without, xattrs=xattrs)

    def _remove(self, path: bytes, node: Node) -> None:
        folder = self._folders.node
        self._out.need.remove(node)
        self._out.remove(Removal(folder=folder.inode, name=_name(path), path=_TOP + b"/" + path))

    def _create(self, path: bytes, found: outcome.New) -> None:
        base, below = self._folders.prepared(path)
        content, digest = None, found.target.decode("utf-8", "surrogateescape")
        if found.written is not None:
            content, digest = found.written
        elif found.content is not None:
            content, digest = self._out.contents.copy(found.content)
            outcome.check_digest(path, digest, found.digest)
        self._written(path, base, below, found, content, digest)
        self._folders.meet(path)

    def _written(
        self,
        path: bytes,
        base: Folder,
        below: tuple[bytes, ...],
        found: outcome.New,
        content: Stretch | None,
        told: str,
    ) -> None:
        wanted = found.standing
        assert base.node is not None
        self._out.index = self._out.index or (base.is_indexed and not below)
        size = content.length if content else len(found.target)
        whole = outcome.with_content(wanted, size, told)
        self._out.line(standing.made(path, whole))
        self._out.create(
            Creation(
                folder=base.node.inode,
                below=below,
                name=_name(path),
                path=_TOP + b"/" + path,
                mode=_OF_TYPE[wanted.type] | wanted.mode,
                uid=wanted.uid,
                gid=wanted.gid,
                mtime_ns=wanted.mtime_ns,
                content=content,
                target=found.target or None,
                rdev=wanted.rdev,
                xattrs=self._out.contents.attributes(wanted.xattrs),
            )
        )

    # --- what becomes of folders

    def _stays(self, folder: Folder) -> None:
        assert folder.pending is not None
        self._write_down(*folder.pending)

    def _goes(self, folder: Folder, around: Folder) -> None:
        assert around.node is not None
        edit = Removal(
            folder=around.node.inode, name=folder.name, path=_TOP + b"/" + folder.path, is_folder=True
        )
        self._out.remove(edit)

    def _make(self, folder: Folder, base: Folder, below: tuple[bytes, ...]) -> None:
        found = self._outcome.made_folder(folder.old, folder.new)
        self._written(folder.path, base, below, found, None, "")


def _entry(line: Line | None) -> Entry | None:
    return None if line is None else line.entry()


def _name(path: bytes) -> bytes:
    return path.rpartition(b"/")[2]
