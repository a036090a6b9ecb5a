"""Archives of what has changed since an earlier one, against a model of a machine edited at random."""

import io
import json
import os
import random
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.delta.archive import earlier
from skinnybox.delta.archive.differing import Stored, differing
from skinnybox.delta.archive.earlier import Earlier
from skinnybox.delta.archive.form import Line, line_of, line_text
from skinnybox.delta.archive.manifest import end_of
from skinnybox.delta.archive.sources import Source
from skinnybox.errors import Cancelled, Corrupt
from skinnybox.operation import UNATTENDED, Operation
from tests.unit import rebased_disk
from tests.unit.archived import content, disk, index, manifest, opened, told
from tests.unit.rebased import WHITEOUT, Thing, d, f, l

cache = rebased_disk.cache
FOLDERS = (b"a", b"a/b", b"c")
NAMES = tuple(folder + b"/" + name for folder in FOLDERS for name in (b"1", b"2", b"3", b"4"))


@dataclass
class Machine:
    """Names of inodes; `edit` does to it what a guest may."""

    chance: random.Random
    names: dict[bytes, int] = field(default_factory=dict)
    inodes: dict[int, Thing] = field(default_factory=dict)
    folders: dict[bytes, Thing] = field(default_factory=lambda: {each: d() for each in FOLDERS})

    def edit(self) -> None:
        name = self.chance.choice(NAMES)
        match self.chance.choice(
            ("write", "write", "link", "link", "remove", "hide", "chmod", "folder", "symlink")
        ):
            case "write":
                self._put(name, f(str(self.chance.random()), mtime_ns=self.chance.randrange(10**18)))
            case "symlink":
                self._put(name, l(str(self.chance.random())))
            case "hide":
                self._put(name, WHITEOUT)
            case "remove":
                self.names.pop(name, None)
            case "folder":
                folder = self.chance.choice(FOLDERS)
                self.folders[folder] = d(self.chance.choice((0o700, 0o711, 0o755)))
            case verb if files := [n for n, number in self.names.items() if self.inodes[number].type == "-"]:
                other = self.names[self.chance.choice(files)]
                if verb == "link":
                    self.names[name] = other
                else:
                    self.inodes[other] = replace(self.inodes[other], mode=self.chance.randrange(0o1000))

    def _put(self, name: bytes, thing: Thing) -> None:
        number = len(self.inodes)
        self.inodes[number] = thing
        self.names[name] = number

    def written(self, folder: Path, cache: Path) -> Path:
        first, orders = dict[int, bytes](), list[str]()
        tree = dict(self.folders)
        for name, number in self.names.items():
            if number in first:
                orders.append(f"ln upper/{first[number].decode()} upper/{name.decode()}")
            else:
                first[number] = name
                tree[name] = self.inodes[number]
        path = folder / f"{self.chance.random()}.img"
        return disk(path, cache, tree, orders)

    @property
    def all(self) -> dict[bytes, Thing]:
        return {**self.folders, **{name: self.inodes[number] for name, number in self.names.items()}}


def restored(chain: list[bytes]) -> Iterator[tuple[Line, tarfile.TarInfo, bytes]]:
    """Every line of the newest index, and what the newest that stores its name has there."""
    tars = [opened(tar) for tar in reversed(chain)]
    for line in map(line_of, index(chain[-1]).splitlines()):
        name = os.fsdecode(b"overlay/" + line.path).rstrip("/")
        tar = next(tar for tar in tars if name in tar.getnames())
        member, content = tar.getmember(name), b""
        if line.type == "-":
            file = tar.extractfile(member)  # of a link what it leads to, in the same archive
            assert file is not None
            content = file.read()
        yield line, member, content


def check(machine: Machine, chain: list[bytes]) -> None:
    found = {line.path: (line, member, content) for line, member, content in restored(chain) if line.path}
    assert found.keys() == machine.all.keys()
    for path, thing in machine.all.items():
        line, member, content = found[path]
        assert (line.type, line.mode, member.mode) == (thing.type, thing.mode, thing.mode), path
        assert content == (thing.content if thing.type == "-" else b"")
        assert not member.issym() or os.fsencode(member.linkname) == thing.content
        if path in machine.names and thing.type == "-":
            group = sorted(n for n, number in machine.names.items() if number == machine.names[path])
            first = min(group, key=lambda name: name.split(b"/"))
            assert line.link == (None if first == path else first)


def is_least(older: bytes, newer: bytes) -> None:
    """It stores what differs, inodes whole, and the folders around those; nothing else."""
    before = set(index(older).splitlines())
    lines = {line.path: line for line in map(line_of, index(newer).splitlines())}
    differs = {path for path, line in lines.items() if line_text(line).rstrip() not in before}
    groups = {lines[path].link for path in differs} - {None}
    wanted = differs | {path for path, line in lines.items() if (line.link or path) in groups}
    around = {b"/".join(path.split(b"/")[:depth]) for path in wanted for depth in range(path.count(b"/") + 1)}
    wanted |= around if wanted else set()
    stored = {os.fsencode(n) for n in opened(newer).getnames() if n.startswith("overlay")}
    assert stored == {(b"overlay/" + path).rstrip(b"/") for path in wanted}


def a_chain(seed: int, folder: Path, cache: Path, length: int) -> None:
    machine, chain = Machine(random.Random(seed)), list[bytes]()
    for _ in range(length):
        for _ in range(machine.chance.choice((0, 1, 3, 10))):
            machine.edit()
        image = machine.written(folder, cache)
        since = index(chain[-1]) if chain else None
        chain.append(told(image, since))
        image.unlink()
        check(machine, chain)
        if since is not None:
            is_least(chain[-2], chain[-1])


def test_a_chain_gives_back_what_there_was(tmp_path: Path, cache: Path) -> None:
    a_chain(1, tmp_path, cache, 4)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(2, 60))
def test_any_chain_gives_back_what_there_was(tmp_path: Path, cache: Path, seed: int) -> None:
    a_chain(seed, tmp_path, cache, 6)


# --- indexes alone


def lines_of(*paths: str, content: str = "a") -> list[Line]:
    return [Line("overlay", path.encode(), "-", 0, 0, 0, 0, 1, content=content * 64) for path in paths]


def stored(old: list[Line], new: list[Line]) -> list[str]:
    files = [io.BytesIO(b"".join(map(line_text, lines))) for lines in (old, new)]
    found = Stored(differing(files[0], files[1]))
    return [line.path.decode() for number, line in enumerate(new) if found.has(number, line)]


def test_only_what_differs_is_stored() -> None:
    old, new = lines_of("a", "b", "d", "d/x", "e"), lines_of("a", "aa", "b", "d/x", "e", "f")
    assert stored(old, new) == ["aa", "f"]
    assert stored(old, old) == stored(old, []) == []
    assert stored([], new) == [line.path.decode() for line in new]
    assert stored(old, lines_of("b", content="b")) == ["b"]


def test_a_name_that_an_inode_gets_more_stores_all_of_them() -> None:
    old = lines_of("a", "b")
    new = [*old, replace(lines_of("c")[0], link=b"a")]
    assert stored(old, new) == ["a", "c"]


def test_an_earlier_index_out_of_order_or_of_no_sense_is_corrupt() -> None:
    for old in (lines_of("z", "a", "y"), lines_of("b", "b")):
        with pytest.raises(Corrupt, match="out of order"):
            stored(old, lines_of("a", "c", "zz"))
    good = json.loads(line_text(lines_of("a")[0]))
    for bad in (b"\n", b"[]\n", b"{", json.dumps([*good[:1], "../a", *good[2:]]).encode()):
        with pytest.raises(Corrupt):
            list(differing(io.BytesIO(bad), io.BytesIO(line_text(lines_of("b")[0]))))


# --- an earlier archive, as it is read


def read_earlier(file: Path, folder: Path, operation: Operation = UNATTENDED) -> tuple[Earlier, bytes]:
    with tempfile.TemporaryFile(dir=folder) as target:
        found = earlier.read(Source(file=file, called=file), target, folder, operation)
        target.seek(0)
        return found, target.read()


def packed(file: Path, tar: bytes) -> Path:
    file.write_bytes(run.run(["zstd", "-qc"], stdin=tar).stdout)
    return file


def test_of_an_earlier_archive_all_is_read(tmp_path: Path, cache: Path) -> None:
    about = manifest()
    tar = told(disk(tmp_path / "a.img", cache, {b"x": f("x"), b"y": f("y" * 3000)}), about=about)
    file = packed(tmp_path / "archive", tar)
    found, lines = read_earlier(file, tmp_path)
    assert (found.manifest, lines) == (about, index(tar))
    assert found.digest == end_of(content(tar, "skinnybox.end")).digest
    at = tar.index(b"y" * 3000)
    for damaged, why in (
        (tar[:at] + b"z" + tar[at + 1 :], "not what its end says"),
        (tar[: at + 3072], "cut off"),
        (tar[: tar.index(b"skinnybox.end")] + bytes(1024), "cut off"),
        (tar[1536:], "no archive of a machine|damaged"),
        (b"\0" * 1024, "no archive of a machine"),
        (tar.replace(b"skinnybox.index", b"skinnybox.indxe"), "damaged|missing"),
    ):
        with pytest.raises(Corrupt, match=why) as caught:
            read_earlier(packed(file, damaged), tmp_path)
        assert caught.value.hint == earlier.HINT


def test_an_index_of_far_more_than_the_archive_can_have_is_refused(tmp_path: Path) -> None:
    """Of empty lines, which are packed to nothing: it would fill the disk."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, size in (("skinnybox.json", 2), ("skinnybox.index", 20 << 20)):
            member = tarfile.TarInfo(name)
            member.size = size
            tar.addfile(member, io.BytesIO(b"\n" * size))
    with pytest.raises(Corrupt, match="its index makes no sense"):
        read_earlier(packed(tmp_path / "archive", target.getvalue()), tmp_path)


def test_reading_one_can_be_cancelled(tmp_path: Path) -> None:
    operation = Operation(lambda _: operation.cancel())
    with pytest.raises(Cancelled):
        earlier._heard(iter([1, 2, "0" * 64]), tmp_path, operation)
