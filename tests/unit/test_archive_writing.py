"""What an archive has of a disk, against another reader of tars."""

import hashlib
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from skinnybox import run
from skinnybox.delta.archive import content as content_module
from skinnybox.delta.archive.content import ContentSum, Layout, sum_of_block
from skinnybox.delta.archive.form import line_of, xattr_name
from skinnybox.delta.archive.manifest import end_of, manifest_of, manifest_text
from skinnybox.errors import Corrupt, Unsupported
from tests.unit import archived, rebased_disk
from tests.unit.archived import content, disk, exporting, index, opened, told, unpacked
from tests.unit.rebased import OPAQUE, WHITEOUT, Thing, d, f, l
from tests.unit.rebased_disk import ORIGIN, Tree, whole

cache = rebased_disk.cache
NOW = 1_700_000_000_123_456_789
ACL = b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x07\0\xe8\x03\0\0\x04\0\x04\0\xff\xff\xff\xff" + (
    b"\x10\0\x07\0\xff\xff\xff\xff\x20\0\x04\0\xff\xff\xff\xff"
)
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
KINDS: Tree = {
    b"bin/ping": f("ping", mode=0o4755, xattrs={"security.capability": CAPABILITY}, mtime_ns=NOW),
    b"bin/sh": l("dash"),
    b"dev/sda": Thing("b", rdev=(8, 259), mode=0o660, gid=6),
    b"dev/null": Thing("c", rdev=(1, 3), mode=0o666),
    b"run/fifo": Thing("p", mode=0o600),
    b"run/socket": Thing("s", mode=0o777),
    b"etc": d(0o700, uid=3_000_000, gid=70_000, xattrs=ORIGIN),
    b"etc/acl": f("a", xattrs={"system.posix_acl_access": ACL, "user.x": b"\0\xff=\n"}),
    b"etc/motd": f("hello\n", mode=0o600, uid=1000, gid=1001, mtime_ns=-1_500_000_000, xattrs=ORIGIN),
    b"etc/gone": WHITEOUT,
    b"etc/other": d(xattrs={**OPAQUE, "trusted.overlay.impure": b"y"}),
    b"etc/empty": f(""),
    b"srv/" + b"long" * 50 + b"/" + b"n" * 200: f("long"),
    b"srv/l\xe4nge": f("not UTF-8"),
    b"srv/" + b"\xe4" * 150: l("\u00e4" * 80),
    b"srv/new\nline": f("a"),
}


def attributes(member: object) -> dict[str, bytes]:
    headers: dict[str, str] = getattr(member, "pax_headers")  # noqa: B009
    named = {xattr_name(key.encode("utf-8", "surrogateescape")): value for key, value in headers.items()}
    return {name: value.encode("utf-8", "surrogateescape") for name, value in named.items() if name}


@pytest.mark.parametrize("confined", [True, False])
def test_every_kind_of_inode_is_as_another_reader_finds_it(
    tmp_path: Path, cache: Path, confined: bool
) -> None:
    made = disk(tmp_path / "a.img", cache, KINDS, ["sif upper/etc/motd flags 0x80030"])
    tar = unpacked(exporting(tmp_path, made)) if confined else told(made)
    found = {os.fsencode(member.name): member for member in opened(tar)}
    expected = {b"overlay/" + path: t for path, t in whole(KINDS).items() if path and t.type != "s"}
    assert set(found) == {*expected, b"overlay", b"skinnybox.json", b"skinnybox.index", b"skinnybox.end"}
    for name, thing in expected.items():
        member = found[name]
        assert (member.mode, member.uid, member.gid) == (thing.mode, thing.uid, thing.gid), name
        assert abs(member.mtime * 10**9 - thing.mtime_ns) < 1000, name
        kept = {key: value for key, value in thing.xattrs.items() if "overlay" not in key or "opaque" in key}
        assert attributes(member) == kept, name
        match thing.type:
            case "-":
                assert member.isreg() and content(tar, member.name) == thing.content
            case "l":
                assert member.issym() and os.fsencode(member.linkname) == thing.content
            case "c" | "b":
                assert (member.ischr(), member.isblk()) == (thing.type == "c", thing.type == "b")
                assert (member.devmajor, member.devminor) == thing.rdev
            case "p":
                assert member.isfifo()
            case _:
                assert member.isdir()
    assert found[b"overlay/etc/motd"].pax_headers["SKINNYBOX.flags"] == "48"


def test_members_come_in_order_and_the_end_fits_what_came_before(tmp_path: Path, cache: Path) -> None:
    tar = told(disk(tmp_path / "a.img", cache, KINDS))
    members = opened(tar).getmembers()
    names = [member.name for member in members]
    assert (names[0], names[1], names[-2:]) == (
        "skinnybox.json", "overlay", ["skinnybox.index", "skinnybox.end"],
    )  # fmt: skip
    paths = [os.fsencode(name).removeprefix(b"overlay").lstrip(b"/") for name in names[1:-2]]
    assert paths == sorted(paths, key=lambda path: path.split(b"/") if path else [])
    end = end_of(content(tar, "skinnybox.end"))
    assert end.digest == hashlib.sha256(tar[: members[-1].offset]).hexdigest()
    assert manifest_of(content(tar, "skinnybox.json")).machine["name"] == "web"


def test_the_index_has_a_line_for_each_name(tmp_path: Path, cache: Path) -> None:
    tar = told(disk(tmp_path / "a.img", cache, KINDS))
    lines = {line.path: line for line in map(line_of, index(tar).splitlines())}
    expected = {path: t for path, t in whole(KINDS).items() if t.type != "s"}
    assert list(lines) == list(expected)
    for path, thing in expected.items():
        line = lines[path]
        assert (line.tree, line.type, line.mode) == ("overlay", thing.type, thing.mode), path
        if thing.type == "-":
            block = bytes(8) + thing.content if thing.content.strip(b"\0") else b""
            assert line.content == hashlib.sha256(block).hexdigest()
    assert lines[b"etc/gone"] == line_of(b'["overlay","etc/gone","c",0,0,0,0,0,[0,0],null,0,"",""]')
    assert lines[b"etc"].xattrs == "" and lines[b"etc/acl"].xattrs and lines[b"etc/other"].xattrs


def test_names_of_one_inode_are_links_to_the_first(tmp_path: Path, cache: Path) -> None:
    upper = {b"a/two": f("same", xattrs={"user.x": b"1"}), b"b": f("b"), b"gone": WHITEOUT}
    orders = ["ln upper/a/two upper/c", "ln upper/a/two upper/a/one", "ln upper/gone upper/a/gone"]
    tar = told(disk(tmp_path / "a.img", cache, upper, orders))
    with opened(tar) as found:
        assert found.getmember("overlay/a/one").isreg()
        for name in ("overlay/a/two", "overlay/c"):
            member = found.getmember(name)
            assert member.islnk() and member.linkname == "overlay/a/one"
        for name in ("overlay/gone", "overlay/a/gone"):
            assert found.getmember(name).ischr()
    lines = {line.path: line for line in map(line_of, index(tar).splitlines())}
    assert lines[b"a/one"].link is None
    assert lines[b"c"].link == lines[b"a/two"].link == b"a/one"
    same = {(line.content, line.xattrs) for line in (lines[b"a/one"], lines[b"a/two"], lines[b"c"])}
    assert len(same) == 1


def test_what_engines_keep_beside_overlayfs_is_as_it_is(tmp_path: Path, cache: Path) -> None:
    orders = [
        "mkdir direct", "mkdir direct/%new", "mkdir direct/var%lib%docker",
        "mkdir direct/var%lib%docker/diff",
        "ea_set direct/var%lib%docker/diff trusted.overlay.opaque y",
        "ea_set direct/var%lib%docker/diff trusted.overlay.origin 1234",
        "cd direct/var%lib%docker/diff", "mknod gone c 0 0", "sif gone mode 020640", "sif gone mtime @77",
    ]  # fmt: skip
    tar = told(disk(tmp_path / "a.img", cache, {b"x": f("x")}, orders))
    diff = "direct/var%lib%docker/diff"
    names = [name for name in opened(tar).getnames() if name.startswith("direct")]
    assert names == ["direct", "direct/var%lib%docker", diff, f"{diff}/gone"]
    gone = opened(tar).getmember(f"{diff}/gone")
    assert gone.ischr() and (gone.mode, gone.mtime) == (0o640, 77)
    assert attributes(opened(tar).getmember(diff)) == {"trusted.overlay.opaque": b"y"}


@pytest.mark.parametrize("size", [10 << 20, 1 << 40])
def test_holes_are_holes_and_cost_nothing(tmp_path: Path, cache: Path, size: int) -> None:
    source = tmp_path / "source"
    with source.open("wb") as file:
        file.write(b"begin")
        for at in (100_000, 5 << 20, (5 << 20) + 70_000):
            file.seek(at)
            file.write(b"x" * 5000)
        file.truncate(10 << 20)
    orders = [
        f"write {source} upper/sparse",
        f"sif upper/sparse size {size}",
        "sif upper/sparse flags 0x80000",
    ]
    tar = told(disk(tmp_path / "a.img", cache, {}, orders))
    assert len(tar) < 400_000
    member = opened(tar).getmember("overlay/sparse")
    assert member.size == size and member.sparse
    if size < 1 << 30:
        assert content(tar, "overlay/sparse") == source.read_bytes()
    [line] = [line for line in map(line_of, index(tar).splitlines()) if line.path == b"sparse"]
    assert line.size == size and line.content == by_blocks(source.read_bytes())


class Scattered:
    """A volume that has one file: what is written of it is all x."""

    def __init__(self, written: list[tuple[int, int]]) -> None:
        self.written = written
        self.node: Any = SimpleNamespace(size=written[-1][0] + (1 << 20), inode=12)

    def in_extents(self, _: object) -> bool:
        return True

    def extents(self, _: object) -> list[tuple[int, int, int]]:
        return [(offset, 0, length) for offset, length in self.written]

    def raw(self, _: int, length: int) -> list[bytes]:
        return [b"x" * length]


def by_blocks(whole: bytes) -> str:
    """As the form says it, of bytes."""
    digest = hashlib.sha256()
    for number in range(0, len(whole), 65536):
        block = whole[number : number + 65536]
        if block.strip(b"\0"):
            digest.update((number // 65536).to_bytes(8, "big") + block)
    return digest.hexdigest()


def test_what_another_kernel_keeps_elsewhere_is_refused(tmp_path: Path, cache: Path) -> None:
    for mark in ("metacopy", "redirect", "whiteout"):
        (tmp_path / "a.img").unlink(missing_ok=True)
        upper = {b"etc/x": f("", xattrs={f"trusted.overlay.{mark}": b"/y"})}
        with pytest.raises(Unsupported, match=rf"/etc/x: another kernel's way .*{mark}"):
            told(disk(tmp_path / "a.img", cache, upper))


def test_a_disk_of_other_images_is_refused(tmp_path: Path, cache: Path) -> None:
    made = disk(tmp_path / "a.img", cache, {b"etc/x": f("")})
    about = archived.manifest()
    values = json.loads(manifest_text(about))
    values["stack"]["images"] = ["sha256:" + "2" * 64]
    other = manifest_of(json.dumps(values).encode())
    with pytest.raises(Corrupt, match="belongs to other images"):
        exporting(tmp_path, made, about=other)


def test_files_that_share_their_blocks_are_refused(tmp_path: Path, cache: Path) -> None:
    """Else a disk of a gigabyte would become an archive of any size."""
    source = tmp_path / "source"
    source.write_bytes(os.urandom(20 << 20))
    made = disk(tmp_path / "a.img", cache, {}, [f"write {source} upper/first"])
    orders = "".join(f"mknod {number} p\ncopy_inode first {number}\n" for number in range(4))
    (tmp_path / "orders").write_text(f"cd upper\n{orders}")
    run.run(["debugfs", "-w", "-f", tmp_path / "orders", made])
    with pytest.raises(Corrupt, match="hold more than the disk can"):
        told(made)


def test_more_holes_than_can_be_told_are_told_as_zeros_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content_module, "_MOST_RUNS", 8)
    near, far = (Scattered([(at << 17, 1 << 14) for at in range(0, 40 * step, step)]) for step in (1, 64))
    layout = Layout(near, near.node)  # type: ignore[arg-type]
    assert len(layout.runs) <= 8
    assert sum(len(piece) for _, piece in layout.pieces()) == layout.held
    whole = ContentSum(near.node.size)
    for offset, piece in layout.pieces():
        whole.add(offset, piece)
    exact = ContentSum(near.node.size)
    for offset, length in near.written:
        exact.add(offset, b"x" * length)
    assert whole.hex() == exact.hex()
    with pytest.raises(Unsupported, match="more holes than an archive can tell"):
        Layout(far, far.node)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [0, 1, 4096, 65535, 65536, 65537, 200_000])
def test_a_digest_follows_from_the_content_and_not_from_its_pieces(size: int) -> None:
    whole = bytearray(os.urandom(size))
    whole[1000:3000] = bytes(len(whole[1000:3000]))
    whole[65536:140_000] = bytes(len(whole[65536:140_000]))
    for length in (1 << 20, 70_000, 4096, 999):
        total = ContentSum(size)
        for at in range(0, size, length):
            piece = bytes(whole[at : at + length])
            if piece.strip(b"\0"):
                total.add(at, piece)
        assert total.hex() == by_blocks(bytes(whole))
    if size <= 65536:
        assert sum_of_block(bytes(whole)) == by_blocks(bytes(whole))
