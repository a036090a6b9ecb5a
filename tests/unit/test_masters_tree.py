"""Requirements: root, or root of a namespace (GNU tar gives files to their owners)."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import Corrupt, NoSpace, NotFound, SkinnyboxError, Unsupported, UsageError
from skinnybox.masters import namespace
from skinnybox.masters.archives.bring import brought
from skinnybox.masters.archives.copying import written
from skinnybox.masters.index import Entry, scan
from skinnybox.operation import Operation


def unpacked(source: Path, work: Path, operation: Operation, *, devices: bool = True) -> Path:
    return brought(source, work, operation, devices=devices)[0]


root_only = pytest.mark.skipif(namespace.needed(), reason="needs root, or root of a namespace")


def _entries(tree: Path) -> list[Entry]:
    return list(scan(tree, Operation()))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    tree = tmp_path / "source"
    (tree / "dir").mkdir(parents=True)
    (tree / "dir/file").write_text("content")
    (tree / "dir/file").chmod(0o6755)
    (tree / "dir/link").hardlink_to(tree / "dir/file")
    (tree / "symlink").symlink_to("/nowhere")
    (tree / "new\nline").write_text("x")
    Path(os.fsdecode(os.fsencode(tree) + b"/\xff")).write_text("y")
    os.mkfifo(tree / "fifo")
    os.setxattr(tree / "new\nline", "user.note", b"\0\1")
    if not namespace.needed():
        os.chown(tree / "dir", 1234, 4321)
        run.run(["setfacl", "-m", "u:1234:r", tree / "dir/file"])
        run.run(["setcap", "cap_net_raw+ep", tree / "new\nline"])
    for name in ("dir/file", "symlink", "fifo", "dir", "."):
        os.utime(tree / name, ns=(1, 1_234_567_890_123_456_789), follow_symlinks=False)
    return tree


def _tar(source: Path, name: str) -> Path:
    file = source.parent / name
    options = [
        "--format=pax",
        "--xattrs",
        "--xattrs-include=*",
        "--acls",
        "--numeric-owner",
        "--auto-compress",
    ]
    run.run(["tar", "-c", *options, "-f", file, "-C", source, "."])
    return file


@root_only
@pytest.mark.parametrize("name", ["t.tar", "t.tar.gz", "t.tar.xz", "t.tar.zst"])
def test_a_tar_keeps_everything(source: Path, tmp_path: Path, name: str) -> None:
    file = _tar(source, name)
    (tmp_path / "work").mkdir()
    assert _entries(unpacked(file, tmp_path / "work", Operation())) == _entries(source)


@root_only
def test_a_directory_is_copied_whole_and_not_touched(source: Path, tmp_path: Path) -> None:
    before = _entries(source)
    (tmp_path / "work").mkdir()
    tree = unpacked(source, tmp_path / "work", Operation())
    assert _entries(tree) == before
    (tree / "dir/file").write_text("changed")
    assert _entries(source) == before


@root_only
def test_folders_that_a_tar_does_not_name_are_dated_by_their_content(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "t.tar", "w") as archive:
        for name, when in (("a/b/c", 1000), ("a/d", 3000)):
            member = tarfile.TarInfo(name)
            member.mtime = when
            archive.addfile(member)
    (tmp_path / "work").mkdir()
    tree = unpacked(tmp_path / "t.tar", tmp_path / "work", Operation())
    assert [(tree / name).stat().st_mtime for name in ("a/b", "a", ".")] == [1000, 3000, 3000]


def _member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tuple[tarfile.TarInfo, io.BytesIO]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size = kind, target, 4 if kind == tarfile.REGTYPE else 0
    return member, io.BytesIO(b"evil")


@root_only
@pytest.mark.parametrize(
    "members",
    [
        [_member("../escaped")],
        [_member("a/../../escaped")],
        [_member("/OUTSIDE/escaped")],
        [_member("way", tarfile.SYMTYPE, "/OUTSIDE"), _member("way/escaped")],
        [_member("way", tarfile.SYMTYPE, "../.."), _member("way/escaped")],
        [_member("x", tarfile.SYMTYPE, "."), _member("x/y", tarfile.SYMTYPE, "../.."), _member("y/escaped")],
        [_member("hard", tarfile.LNKTYPE, "/OUTSIDE/precious"), _member("hard")],
        [_member("hard", tarfile.LNKTYPE, "../../outside/precious"), _member("hard")],
        [_member("soft", tarfile.SYMTYPE, "/OUTSIDE/precious"), _member("soft")],
    ],
)
def test_a_hostile_tar_writes_nowhere_else(
    tmp_path: Path, members: list[tuple[tarfile.TarInfo, io.BytesIO]]
) -> None:
    outside, work = tmp_path / "outside", tmp_path / "work"
    outside.mkdir()
    work.mkdir()
    (outside / "precious").write_text("precious")
    with tarfile.open(tmp_path / "t.tar", "w") as archive:
        for member, content in members:
            content.seek(0)
            member.name = member.name.replace("/OUTSIDE", str(outside))
            member.linkname = member.linkname.replace("/OUTSIDE", str(outside))
            archive.addfile(member, content)
    before = _entries(outside)
    try:
        unpacked(tmp_path / "t.tar", work, Operation())
    except SkinnyboxError as error:
        assert isinstance(error, Corrupt)
    assert _entries(outside) == before
    assert sorted(item.name for item in tmp_path.iterdir()) == ["outside", "t.tar", "work"]
    assert [item.name for item in work.iterdir()] == ["tree"]


@root_only
def test_a_cut_tar_is_corrupt(source: Path, tmp_path: Path) -> None:
    file = _tar(source, "t.tar.gz")
    file.write_bytes(file.read_bytes()[:200])
    (tmp_path / "work").mkdir()
    with pytest.raises(Corrupt, match=r"t\.tar\.gz"):
        unpacked(file, tmp_path / "work", Operation())


@root_only
def test_devices_are_left_out_when_asked(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "t.tar", "w") as archive:
        for name in ("dev", "other"):
            archive.addfile(_member(f"./{name}", tarfile.DIRTYPE)[0])
            archive.addfile(*_member(f"./{name}/null"))
    (tmp_path / "work").mkdir()
    tree = unpacked(tmp_path / "t.tar", tmp_path / "work", Operation(), devices=False)
    assert [(tree / "dev").is_dir(), (tree / "dev/null").exists(), (tree / "other/null").exists()] == [
        True, False, True,
    ]  # fmt: skip


def test_sources_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "disk.qcow2").touch()
    with pytest.raises(NotFound):
        unpacked(tmp_path / "missing", tmp_path, Operation())
    with pytest.raises(UsageError, match="themselves"):
        unpacked(tmp_path, tmp_path / "masters", Operation())


@pytest.mark.skipif(not namespace.needed(), reason="needs an ordinary user")
def test_an_ordinary_user_is_told_what_to_do(source: Path, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    with pytest.raises(Unsupported) as caught:
        unpacked(source, tmp_path / "work", Operation())
    assert caught.value.hint


def test_a_full_disk_is_not_the_fault_of_the_archive() -> None:
    """Met in the confined process, where room is looked for only now and then."""
    with Path("/dev/full").open("r+b", buffering=0) as full, pytest.raises(NoSpace):
        list(written(full.fileno(), [(0, b"x")], 10))
