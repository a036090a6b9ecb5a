"""Templates and the overlays made from them, judged by e2fsck, dumpe2fs and the kernel."""

import os
import re
import stat
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.crc32c import crc32c
from skinnybox.errors import Conflict, NotFound, UsageError
from skinnybox.ext4 import open_volume
from skinnybox.model import Allocation
from skinnybox.overlays.make import make
from skinnybox.overlays.space import has_shared_extents
from skinnybox.overlays.template import CHECKSUM_AT, UUID_AT, Template, template
from skinnybox.sizes import GIB, KIB, MIB

pytestmark = pytest.mark.image
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

SIZES = {"32M": 32 * MIB, "64M": 64 * MIB, "1G": GIB, "1.3G": 1363148 * KIB, "20G": 20 * GIB}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("templates")


def sparse(
    form: Template, to: Path, *, base: bytes = b"base\n", seed: bytes = b"seed\n", identity: bytes = b""
) -> Path:
    make(form, to, base=base, seed=seed, identity=identity, allocation=Allocation.SPARSE)
    return to


def fsck(image: Path) -> None:
    run.run(["e2fsck", "-fn", image])


def fields(image: Path) -> dict[str, str]:
    said = run.run(["dumpe2fs", "-h", image]).stdout.decode()
    return dict(re.findall(r"^([^:\n]+):\s+(.*)$", said, re.MULTILINE))


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
def test_e2fsck_finds_nothing_wrong(cache: Path, tmp_path: Path, size: int) -> None:
    image = sparse(template(cache, size), tmp_path / "overlay.img")
    assert image.stat().st_size == size
    fsck(image)
    assert fields(image)["Filesystem volume name"] == "skinny-overlay"


def test_an_idle_sparse_overlay_takes_less_than_a_mebibyte(cache: Path, tmp_path: Path) -> None:
    image = sparse(template(cache, GIB), tmp_path / "overlay.img")
    assert image.stat().st_blocks * 512 <= 512 * KIB


def test_what_lies_in_it(cache: Path, tmp_path: Path) -> None:
    image = sparse(template(cache, 64 * MIB), tmp_path / "overlay.img", seed=b"sown\n", identity=b"me\n")
    with open_volume(image) as volume:
        tree = dict(volume.walk(b""))
        content = {path: b"".join(volume.read(node)) for path, node in tree.items() if node.type == "-"}
    assert {path: (node.type, node.mode, node.uid, node.gid) for path, node in tree.items()} == {
        b"": ("d", 0o755, 0, 0),
        b"lost+found": ("d", 0o700, 0, 0),
        b"skinnybox": ("d", 0o700, 0, 0),
        b"skinnybox/base": ("-", 0o600, 0, 0),
        b"skinnybox/identity": ("-", 0o600, 0, 0),
        b"skinnybox/seed": ("-", 0o600, 0, 0),
        b"upper": ("d", 0o755, 0, 0),
        b"work": ("d", 0o755, 0, 0),
    }
    assert content == {
        b"skinnybox/base": b"base\n".ljust(4096, b"\0"),
        b"skinnybox/identity": b"me\n".ljust(32768, b"\0"),
        b"skinnybox/seed": b"sown\n".ljust(16384, b"\0"),
    }


def test_every_overlay_has_its_own_uuid_and_hash_seed(cache: Path, tmp_path: Path) -> None:
    form = template(cache, GIB)
    both = [fields(sparse(form, tmp_path / name)) for name in ("one", "two")]
    for field in ("Filesystem UUID", "Directory Hash Seed", "Checksum"):
        assert both[0][field] != both[1][field]
    with (tmp_path / "two").open("rb") as file:
        copies = [os.pread(file.fileno(), 1024, offset) for offset, _ in form.superblocks]
    assert len(copies) == 5
    for copy in copies:
        assert copy[UUID_AT : UUID_AT + 16] == bytes.fromhex(both[1]["Filesystem UUID"].replace("-", ""))
        assert int.from_bytes(copy[CHECKSUM_AT:], "little") == crc32c(copy[:CHECKSUM_AT])


def test_a_lost_superblock_comes_back_from_its_copy(cache: Path, tmp_path: Path) -> None:
    image = sparse(template(cache, GIB), tmp_path / "overlay.img")
    uuid = fields(image)["Filesystem UUID"]
    with image.open("r+b") as file:
        file.seek(1024)
        file.write(bytes(1024))
    run.run(["e2fsck", "-fy", image], ok=(0, 1))
    assert fields(image)["Filesystem UUID"] == uuid
    fsck(image)


def test_its_format_does_not_depend_on_the_distribution(cache: Path, tmp_path: Path) -> None:
    shown = fields(sparse(template(cache, GIB), tmp_path / "overlay.img"))
    assert set(shown["Filesystem features"].split()) == {
        "has_journal", "ext_attr", "resize_inode", "dir_index", "filetype", "extent", "64bit", "flex_bg",
        "metadata_csum_seed", "sparse_super", "large_file", "huge_file", "dir_nlink", "extra_isize",
        "metadata_csum",
    }  # fmt: skip
    assert shown["Default mount options"] == "user_xattr acl"
    assert shown["Total journal size"] == "16M"
    assert shown["Maximum mount count"] == "-1"
    assert int(shown["Reserved block count"]) == GIB // 4096 // 100


def test_no_guest_zeroes_inode_tables_in_the_background(cache: Path, tmp_path: Path) -> None:
    image = sparse(template(cache, GIB), tmp_path / "overlay.img")
    said = run.run(["dumpe2fs", image]).stdout.decode()
    groups = re.findall(r"^Group \d+:.*$", said, re.MULTILINE)
    assert len(groups) == 8
    assert all("ITABLE_ZEROED" in group for group in groups)


def test_two_templates_are_the_same_bytes(cache: Path, tmp_path: Path) -> None:
    assert template(cache, GIB) == template(tmp_path, GIB)


@needs_root
def test_an_ordinary_user_makes_the_same_template(cache: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, 65534, 65534)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder.is_relative_to(tempfile.gettempdir()):
            folder.chmod(folder.stat().st_mode | 0o055)
    code = (
        "import sys; from pathlib import Path; from skinnybox.overlays.template import template;"
        f"template(Path(sys.argv[1]), {GIB})"
    )
    drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]
    if run.run([*drop, sys.executable, "-c", "import skinnybox"], cwd=theirs, ok=range(256)).returncode:
        pytest.skip("an ordinary user cannot run this Python")
    run.run([*drop, sys.executable, "-c", code, str(theirs)], cwd=theirs)
    assert template(theirs, GIB) == template(cache, GIB)


@pytest.mark.parametrize("damage", ["flipped", "short", "empty"])
def test_a_damaged_cache_is_made_anew(tmp_path: Path, damage: str) -> None:
    good = template(tmp_path, 32 * MIB)
    (file,) = tmp_path.iterdir()
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes({"flipped": bytes(raw), "short": bytes(raw[:1000]), "empty": b""}[damage])
    assert template(tmp_path, 32 * MIB) == good
    assert template(tmp_path, 32 * MIB) == good
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("size", [0, 4096, 32 * MIB - 4096, 64 * MIB + 1])
def test_sizes_that_no_overlay_has(tmp_path: Path, size: int) -> None:
    with pytest.raises(UsageError, match=r"too small|within a block"):
        template(tmp_path, size)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("capacity", [32 * KIB, MIB, 8 * MIB])
def test_larger_seeds(tmp_path: Path, capacity: int) -> None:
    form = template(tmp_path / "cache", 64 * MIB, capacity)
    image = sparse(form, tmp_path / "overlay.img", seed=b"s" * capacity)
    fsck(image)
    with open_volume(image) as volume:
        assert b"".join(volume.read(volume.lookup(b"skinnybox/seed"))) == b"s" * capacity


def test_a_seed_too_large_for_the_overlay(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="too small for its seed"):
        template(tmp_path, 32 * MIB, 8 * MIB)
    with pytest.raises(UsageError, match="the seed is too long"):
        sparse(template(tmp_path, 32 * MIB), tmp_path / "overlay.img", seed=b"s" * 16385)
    assert not (tmp_path / "overlay.img").exists()


def test_reserved_space_is_its_own_and_reads_as_zeros(cache: Path, tmp_path: Path) -> None:
    form, image = template(cache, 64 * MIB), tmp_path / "overlay.img"
    make(form, image, base=b"b\n", seed=b"s\n", allocation=Allocation.RESERVED)
    info = image.stat()
    assert info.st_blocks * 512 >= info.st_size == 64 * MIB
    assert stat.S_IMODE(info.st_mode) == 0o600
    fsck(image)
    with image.open("rb") as file:
        assert not has_shared_extents(file.fileno())
        assert os.pread(file.fileno(), 4096, 40 * MIB) == bytes(4096)


def test_what_is_there_is_only_replaced_on_demand(cache: Path, tmp_path: Path) -> None:
    form, image = template(cache, 32 * MIB), tmp_path / "overlay.img"
    sparse(form, image, base=b"old\n")
    before = image.stat().st_ino
    with pytest.raises(Conflict, match="exists already"):
        sparse(form, image, base=b"new\n")
    assert image.stat().st_ino == before
    make(form, image, base=b"new\n", seed=b"s\n", allocation=Allocation.SPARSE, replace=True)
    with open_volume(image) as volume:
        assert next(volume.read(volume.lookup(b"skinnybox/base"))).startswith(b"new\n")
    assert [path.name for path in tmp_path.iterdir()] == ["overlay.img"]


def test_no_folder(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such folder"):
        sparse(template(cache, 32 * MIB), tmp_path / "none" / "overlay.img")


KILLED = """
import os, signal, sys
import tempfile
from pathlib import Path
from skinnybox.model import Allocation
from skinnybox.overlays import make as module
from skinnybox.overlays.template import template
module._publish = lambda *args, **options: os.kill(os.getpid(), signal.SIGKILL)
form, to = template(Path(sys.argv[1]), 64 << 20), Path(sys.argv[2])
module.make(form, to, base=b"b", seed=b"s", allocation=Allocation.RESERVED, replace=True)
"""


def test_killed_in_the_middle_leaves_the_old_one_and_nothing_else(cache: Path, tmp_path: Path) -> None:
    image = sparse(template(cache, 64 * MIB), tmp_path / "overlay.img", base=b"old\n")
    run.run([sys.executable, "-c", KILLED, cache, image], ok=(-9,))
    assert list(tmp_path.iterdir()) == [image]
    with open_volume(image) as volume:
        assert next(volume.read(volume.lookup(b"skinnybox/base"))).startswith(b"old\n")


def test_where_files_without_a_name_cannot_be_made(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY | os.O_CREAT)
    image = sparse(template(cache, 32 * MIB), tmp_path / "overlay.img")
    with pytest.raises(Conflict):
        sparse(template(cache, 32 * MIB), image)
    assert list(tmp_path.iterdir()) == [image]
    fsck(image)


def test_a_template_of_another_format_is_not_taken_for_it(tmp_path: Path) -> None:
    small = template(tmp_path, 32 * MIB)
    assert replace(small, size=64 * MIB) != template(tmp_path, 64 * MIB)
    assert len(list(tmp_path.iterdir())) == 2
