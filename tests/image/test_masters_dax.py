"""A master with two images of its content. Requirements: mkfs.erofs."""

import json
import random
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import Conflict, Corrupt, Unsupported
from skinnybox.issues import Deed
from skinnybox.masters import catalogue
from skinnybox.masters.leftovers import leftovers
from skinnybox.masters.manifest import as_bytes
from skinnybox.masters.seal import seal
from skinnybox.model import ImageKind, Master
from skinnybox.operation import Operation

pytestmark = pytest.mark.image
BOTH = [ImageKind.EROFS_PLAIN, ImageKind.EROFS_LZ4HC]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "usr").mkdir(parents=True)
    for number in range(20):
        (tree / f"usr/{number}").write_bytes(random.Random(number).randbytes(number * 999))
    (tree / "usr/long").write_text("text\n" * 50_000)
    return tree


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "masters"


def _seal(tree: Path, store: Path, *, version: str = "1", dax: bool, linux: str = "6.1") -> Master:
    boot = store.parent / f"vmlinuz-{linux}"
    boot.write_bytes(b"kernel")
    return seal(
        tree, store=store, name="x", version=version, kernel=boot, initrd=boot, operation=Operation(), dax=dax
    )


def _kinds(master: Master) -> list[ImageKind]:
    return [image.kind for image in master.images]


def _stats(place: Path) -> dict[str, tuple[int, int]]:
    return {item.name: (item.stat().st_ino, item.stat().st_mtime_ns) for item in place.iterdir()}


def test_both_images_are_sealed_in_one_go(tree: Path, store: Path) -> None:
    master = _seal(tree, store, dax=True)
    place = catalogue.folder(store, master)
    assert _kinds(master) == BOTH
    assert len({image.uuid for image in master.images}) == 2
    assert {item.name: stat.S_IMODE(item.stat().st_mode) for item in place.iterdir()} == {
        **dict.fromkeys(["root.erofs", "manifest.json", "index.jsonl.gz", "system.jsonl.gz"], 0o400),
        **dict.fromkeys(["root-dax.erofs", "kernel", "initrd"], 0o444),  # QEMU opens those anew
    }
    plain = master.image_of(ImageKind.EROFS_PLAIN)
    assert plain is not None and plain.size % (2 << 20) == 0
    assert catalogue.find(store, "x:1") == master
    catalogue.verify(store, master, Operation())
    for image in master.images:
        run.run(["fsck.erofs", place / image.file])


def test_the_content_id_does_not_depend_on_the_images(tree: Path, tmp_path: Path) -> None:
    one = _seal(tree, tmp_path / "one", dax=False)
    two = _seal(tree, tmp_path / "two", dax=True)
    assert one.id == two.id
    assert one.images == two.images[1:]


def test_two_seals_are_the_same_bytes(tree: Path, tmp_path: Path) -> None:
    run.run(["cp", "-a", tree, tmp_path / "copy"])
    masters = [
        _seal(source, tmp_path / name, dax=True)
        for source, name in ((tree, "one"), (tmp_path / "copy", "two"))
    ]
    assert masters[0].images == masters[1].images
    for image in masters[0].images:
        one, two = (catalogue.folder(tmp_path / name, masters[0]) / image.file for name in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


def test_sealing_again_adds_the_second_image_and_touches_nothing_else(tree: Path, store: Path) -> None:
    first = _seal(tree, store, dax=False)
    place = catalogue.folder(store, first)
    before = _stats(place)
    whole = _seal(tree, store, dax=True)
    assert whole == replace(first, images=(whole.images[0], *first.images)) and _kinds(whole) == BOTH
    after = _stats(place)
    assert {name for name in after if after[name] != before.get(name)} == {"root-dax.erofs", "manifest.json"}
    assert stat.S_IMODE((place / "manifest.json").stat().st_mode) == 0o400
    catalogue.verify(store, whole, Operation())
    for dax in (False, True):
        assert _seal(tree, store, dax=dax) == whole
    assert _stats(place) == after
    assert [item.name for item in store.iterdir() if item.name[0] == "."] == [".lock"]


def test_other_content_is_not_added(tree: Path, store: Path) -> None:
    first = _seal(tree, store, dax=False)
    with pytest.raises(Conflict, match="sealed as x:1"):
        _seal(tree, store, version="2", dax=True)
    (tree / "usr/1").write_text("other")
    with pytest.raises(Conflict, match="x:1 is sealed already"):
        _seal(tree, store, dax=True)
    assert catalogue.masters(store) == [first]


def test_an_image_of_other_tools_is_never_put_in_the_place_of_one_in_use(tree: Path, store: Path) -> None:
    """Another mkfs.erofs compresses otherwise; machines are bound to the image that is there."""
    first = _seal(tree, store, dax=False)
    place = catalogue.folder(store, first)
    program = f"""
import sys
from pathlib import Path
from skinnybox.masters import erofs
from skinnybox.model import ImageKind
erofs._OPTIONS[ImageKind.EROFS_LZ4HC] = ["-zlz4"]
{_PROGRAM}"""
    run.run([sys.executable, "-c", program, tree, store, store.parent / "vmlinuz-6.1"])
    whole = catalogue.find(store, "x:1")
    assert whole.images[1:] == first.images and _kinds(whole) == BOTH
    catalogue.verify(store, whole, Operation())
    assert place == catalogue.folder(store, whole)


_PROGRAM = """
import os, sys
from pathlib import Path
from skinnybox.masters.seal import seal
from skinnybox.operation import Operation
tree, store, boot = map(Path, sys.argv[1:4])
def again():
    seal(tree, store=store, name="x", version="1", kernel=boot, initrd=boot, operation=Operation(), dax=True)
if len(sys.argv) == 4:
    again()
"""
_DIES = """
left = int(sys.argv[4])
def audit(event, arguments):
    global left
    if event in ("os.rename", "os.mkdir", "os.chmod", "os.truncate") or (
        event == "open" and arguments[1] and set(str(arguments[1])) & set("wa+")
    ):
        left -= 1
        if left == 0:
            os._exit(9)
sys.addaudithook(audit)
again()
"""


def test_killed_anywhere_the_master_is_whole_with_or_without_it(tree: Path, store: Path) -> None:
    """The process dies at its nth write, rename or change of mode, until it no longer does; what one try
    leaves is there for the next."""
    first = _seal(tree, store, dax=False)
    place = catalogue.folder(store, first)
    seen: set[tuple[int, bool]] = set()
    for moment in range(1, 100):
        words: list[str | Path] = [tree, store, store.parent / "vmlinuz-6.1", str(moment)]
        argv = [sys.executable, "-c", _PROGRAM + _DIES, *words]
        code = subprocess.run(argv, check=False, capture_output=True).returncode
        assert code in (0, 9)
        found = catalogue.find(store, "x:1")
        catalogue.verify(store, found, Operation())
        seen.add((len(found.images), (place / "root-dax.erofs").exists()))
        if code == 0:
            break
    assert seen == {(1, False), (1, True), (2, True)}
    assert len(catalogue.find(store, "x:1").images) == 2


def test_a_stray_image_is_no_part_of_a_master(tree: Path, store: Path) -> None:
    first = _seal(tree, store, dax=False)
    stray = catalogue.folder(store, first) / "root-dax.erofs"
    stray.write_bytes(b"half")
    catalogue.verify(store, first, Operation())
    assert catalogue.masters(store) == [first]
    whole = _seal(tree, store, dax=True)
    catalogue.verify(store, whole, Operation())
    stray.unlink()
    stray.write_bytes(b"half")
    with pytest.raises(Corrupt, match=r"root-dax\.erofs"):
        catalogue.verify(store, whole, Operation())
    with catalogue.locked(store, exclusive=True):
        catalogue.remove(store, whole)
    assert [item.name for item in store.iterdir()] == [".lock"]


def test_what_a_later_skinnybox_wrote_into_the_manifest_stays(tree: Path, store: Path) -> None:
    """An image of a kind we do not know, which a machine may be bound to."""
    first = _seal(tree, store, dax=False)
    file = catalogue.folder(store, first) / "manifest.json"
    later = {"kind": "disk-gpt", "file": "disk.raw", "digest": "sha256:" + "1" * 64, "size": 1, "uefi": True}
    record = json.loads(file.read_bytes())
    record["images"].append(later)
    record["note"] = "of later"
    file.chmod(0o644)
    file.write_bytes(as_bytes(record))
    whole = _seal(tree, store, dax=True)
    assert _kinds(whole) == BOTH
    written = json.loads(file.read_bytes())
    assert written["note"] == "of later"
    assert [image["kind"] for image in written["images"]] == [*BOTH, "disk-gpt"]
    assert written["images"][2] == later


def test_a_kernel_that_cannot_map_gets_no_second_image(tree: Path, store: Path) -> None:
    with pytest.raises(Unsupported, match=r"5\.10\.0-46") as caught:
        _seal(tree, store, dax=True, linux="5.10.0-46-cloud-amd64")
    assert "--dax" in str(caught.value.hint)
    assert not store.exists()
    assert _kinds(_seal(tree, store, dax=False, linux="5.10.0-46-cloud-amd64")) == [ImageKind.EROFS_LZ4HC]


def test_a_stray_image_is_explained(tree: Path, store: Path) -> None:
    first = _seal(tree, store, dax=False)
    assert list(leftovers(store)) == []
    stray = catalogue.folder(store, first) / "root-dax.erofs"
    stray.write_bytes(b"half")
    assert [(found.path, found.deed) for found in leftovers(store)] == [(stray, Deed.KEEP)]
    _seal(tree, store, dax=True)
    assert list(leftovers(store)) == []


def test_one_flipped_bit_in_either_image_is_found_and_named(tree: Path, store: Path) -> None:
    master = _seal(tree, store, dax=True)
    for image in master.images:
        file = catalogue.folder(store, master) / image.file
        data = file.read_bytes()
        file.chmod(0o644)
        for position in (*range(1024, 1152), len(data) // 2, len(data) - 1):
            file.write_bytes(data[:position] + bytes([data[position] ^ 4]) + data[position + 1 :])
            with pytest.raises(Corrupt, match=file.name):
                catalogue.verify(store, master, Operation())
        file.write_bytes(data)
    catalogue.verify(store, master, Operation())
