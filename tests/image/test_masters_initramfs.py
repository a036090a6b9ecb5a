"""The initramfs of a master, as a kernel would unpack it. Needs busybox-static, e2fsprogs, xz, zstd."""

import gzip
import os
import re
import shutil
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import Corrupt, SkinnyboxError, Unsupported
from skinnybox.masters.guest_part import guest_folder
from skinnybox.masters.imports import import_tree
from skinnybox.masters.initramfs.make import make
from skinnybox.masters.initramfs.modules import modules
from skinnybox.operation import Operation
from skinnybox.sizes import MIB
from tests.image.disks import CONFIGURATION

pytestmark = pytest.mark.image

VERSION = "6.1.0-9"
NEEDS = {
    "overlay": "", "ext4": "jbd2,mbcache", "jbd2": "", "mbcache": "", "erofs": "libcrc32c", "libcrc32c": "",
    "virtio-blk": "virtio,virtio_ring", "virtio": "", "virtio_ring": "virtio", "sd_mod": "",
}  # fmt: skip


def module(needs: str, size: int = 0) -> bytes:
    return (
        b"\x7fELF\x02\x01\x01" + bytes(57 + size) + b"license=GPL\0depends=" + needs.encode() + b"\0name=x\0"
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    made = tmp_path / "tree"
    for name, needs in NEEDS.items():
        path = made / f"lib/modules/{VERSION}/kernel/{name[0]}/{name}.ko"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(module(needs))
    (made / "boot").mkdir()
    (made / f"boot/vmlinuz-{VERSION}").write_text("kernel")
    return made


def unpacked(data: bytes) -> Iterator[tuple[str, int, bytes]]:
    at = 0
    while True:
        words = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        mode, size, length = words[1], words[6], words[11]
        name = data[at + 110 : at + 109 + length].decode()
        start = at + -(-(110 + length) // 4) * 4
        if name == "TRAILER!!!":
            return
        yield name, mode, data[start : start + size]
        at = start + -(-size // 4) * 4


def made(tree: Path, target: Path) -> dict[str, tuple[int, bytes]]:
    make(tree, tree / f"boot/vmlinuz-{VERSION}", target, Operation())
    return {name: (mode, data) for name, mode, data in unpacked(gzip.decompress(target.read_bytes()))}


def test_it_is_the_same_wherever_it_is_made(tree: Path, tmp_path: Path) -> None:
    first = made(tree, tmp_path / "first")
    shutil.copytree(tree, tmp_path / "elsewhere/tree")
    os.utime(tree / "boot", (1, 1))
    assert made(tmp_path / "elsewhere/tree", tmp_path / "second") == first
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_every_folder_comes_before_what_it_holds(tree: Path, tmp_path: Path) -> None:
    seen = set[str]()
    for name, (mode, _) in made(tree, tmp_path / "initrd").items():
        assert name.rpartition("/")[0] in (*seen, ""), name
        if stat.S_ISDIR(mode):
            seen.add(name)
    assert {"dev", "proc", "sys", "run", "root"} <= seen


def test_its_programs_run_with_nothing_else(tree: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name, (mode, data) in made(tree, tmp_path / "initrd").items():
        if stat.S_ISDIR(mode):
            (root / name).mkdir(parents=True)
        elif stat.S_ISLNK(mode):
            (root / name).symlink_to(data.decode())
        else:
            (root / name).write_bytes(data)
            (root / name).chmod(stat.S_IMODE(mode))
    alone: list[str | Path] = ["unshare", "--user", "--map-root-user", "chroot", root]
    ours = ([f"usr/lib/skinnybox/{name}", "-V"] for name in ("mke2fs", "chattr"))
    for words in (["sbin/e2fsck", "-V"], *ours, ["bin/modprobe", "--help"]):
        assert run.run([*alone, f"/{words[0]}", *words[1:]], ok=range(2)).returncode in (0, 1)
    for script in [*(guest_folder() / "lib").glob("*.sh"), *(guest_folder() / "initramfs").iterdir()]:
        run.run([*alone, "/bin/sh", "-n"], stdin=script.read_bytes())


PROGRAMS = re.compile(
    r"\b(mount|umount|dd|od|tr|cut|sed|awk|base64|cat|head|tail|sync|poweroff|sleep|timeout|chroot|modprobe|"
    r"switch_root|mkdir|rm|printf|wc|e2fsck)\b(?= [-$\"'/0-9a-z])"
)


def test_every_program_the_scripts_call_is_there(tree: Path, tmp_path: Path) -> None:
    found = made(tree, tmp_path / "initrd")
    called = {
        name
        for script in [*(guest_folder() / "lib").glob("*.sh"), *(guest_folder() / "initramfs").iterdir()]
        for name in PROGRAMS.findall(script.read_text())
    }
    assert len(called) > 12
    assert {name for name in called if f"bin/{name}" not in found and f"sbin/{name}" not in found} == set()


def test_it_stays_small(tmp_path: Path, test_kernel: Path) -> None:
    kernel = next(test_kernel.glob("boot/vmlinuz-*"))
    make(test_kernel, kernel, tmp_path / "initrd", Operation())
    assert MIB < (tmp_path / "initrd").stat().st_size < 4 * MIB


def test_modules_come_with_what_they_need_and_in_that_order(tree: Path) -> None:
    found = modules(tree, VERSION)
    assert list(found.early) == ["virtio_blk", "overlay", "ext4", "erofs"]
    assert list(found.late) == ["sd_mod"]
    files = {entry.path.rpartition("/")[2]: entry.data for entry in found.entries}
    assert files["virtio_blk.ko"] == module(NEEDS["virtio-blk"])
    lines = dict(line.split(":") for line in files["modules.dep"].decode().splitlines())
    assert lines["virtio_blk.ko"].split() == [
        "virtio_ring.ko",
        "virtio.ko",
    ]  # what is loaded last comes first
    assert set(lines["ext4.ko"].split()) == {"jbd2.ko", "mbcache.ko"}
    assert set(files) == {f"{name.replace('-', '_')}.ko" for name in NEEDS} | {"modules.dep"}


@pytest.mark.parametrize(
    ("ending", "words"),
    [(".xz", ["xz", "-c", "--check=crc32"]), (".zst", ["zstd", "-c"]), (".gz", ["gzip", "-c"])],
)
def test_packed_modules_are_unpacked(tree: Path, ending: str, words: list[str]) -> None:
    plain = modules(tree, VERSION)
    for path in list((tree / "lib/modules").rglob("*.ko")):
        path.with_name(path.name + ending).write_bytes(run.run([*words, path]).stdout)
        path.unlink()
    assert modules(tree, VERSION) == plain


def test_one_that_was_put_in_place_of_the_kernels_own_wins(tree: Path) -> None:
    update = tree / f"lib/modules/{VERSION}/updates/dkms/overlay.ko"
    update.parent.mkdir(parents=True)
    update.write_bytes(module("", size=1))
    found = {entry.path: entry.data for entry in modules(tree, VERSION).entries}
    assert found[f"lib/modules/{VERSION}/overlay.ko"] == module("", size=1)


@pytest.mark.parametrize("name", ["overlay", "ext4", "erofs"])
def test_what_no_machine_can_do_without_is_missed_by_name(tree: Path, name: str) -> None:
    (tree / f"lib/modules/{VERSION}/kernel/{name[0]}/{name}.ko").unlink()
    with pytest.raises(Unsupported, match=f"has no {name}"):
        modules(tree, VERSION)
    (tree / f"lib/modules/{VERSION}/modules.builtin").write_text(f"kernel/fs/{name}/{name}.ko\n")
    assert name not in modules(tree, VERSION).early


def test_a_kernel_of_which_nothing_is_known(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="nothing says") as caught:
        modules(tmp_path, VERSION)
    assert f"/boot/config-{VERSION}" in (caught.value.hint or "")
    (tmp_path / "boot").mkdir()
    (tmp_path / f"boot/config-{VERSION}").write_text(CONFIGURATION)
    assert list(modules(tmp_path, VERSION).early) == []
    (tmp_path / f"boot/config-{VERSION}").write_text(CONFIGURATION.replace("EROFS_FS=y", "EROFS_FS=m"))
    with pytest.raises(Unsupported, match="has no erofs"):
        modules(tmp_path, VERSION)


def spoil(tree: Path, how: str) -> None:
    place = tree / f"lib/modules/{VERSION}/kernel/o/overlay.ko"
    match how:
        case "text":
            place.write_text("no module")
        case "packed text":
            place.with_suffix(".ko.xz").write_text("nothing packed")
            place.unlink()
        case "bomb":
            packed = run.run(["sh", "-c", "{ printf '\\177ELF'; head -c 100M /dev/zero; } | xz -1"]).stdout
            place.with_suffix(".ko.xz").write_bytes(packed)
            place.unlink()
        case "huge":
            with place.open("r+b") as file:
                file.truncate(1 << 40)
        case "chain":
            for number in range(5000):
                (place.parent / f"m{number}.ko").write_bytes(module(f"m{number + 1}"))
            place.write_bytes(module("m0"))
        case "pipe":
            place.unlink()
            os.mkfifo(place)


@pytest.mark.parametrize("how", ["text", "packed text", "bomb", "huge", "chain", "pipe"])
def test_what_cannot_be_a_module_is_refused(tree: Path, how: str) -> None:
    spoil(tree, how)
    with pytest.raises(Corrupt, match=r"overlay\.ko|too many"):
        modules(tree, VERSION)


def test_modules_that_need_one_another_are_each_there_once(tree: Path) -> None:
    (tree / f"lib/modules/{VERSION}/kernel/j/jbd2.ko").write_bytes(module("ext4"))
    found = modules(tree, VERSION)
    assert len({entry.path for entry in found.entries}) == len(found.entries)


def test_links_lead_nowhere(tree: Path, tmp_path: Path) -> None:
    """Not a module that is a link, nor a folder: files of this host would become part of a master."""
    secret = tmp_path / "outside/overlay.ko"
    secret.parent.mkdir()
    secret.write_bytes(module(""))
    place = tree / f"lib/modules/{VERSION}/kernel/o"
    shutil.rmtree(place)
    place.symlink_to(secret.parent)
    with pytest.raises(Unsupported, match="has no overlay"):
        modules(tree, VERSION)
    place.unlink()
    place.mkdir()
    (place / "overlay.ko").symlink_to(secret)
    with pytest.raises(SkinnyboxError):
        modules(tree, VERSION)


def test_a_tree_for_other_processors_is_refused(tree: Path, tmp_path: Path) -> None:
    head = struct.pack("<4sBBB9xHH", b"\x7fELF", 2, 1, 1, 2, 243)
    (tree / "usr/bin").mkdir(parents=True)
    (tree / "usr/bin/bash").write_bytes(head)
    with pytest.raises(Unsupported, match="other processors"):
        make(tree, tree / f"boot/vmlinuz-{VERSION}", tmp_path / "initrd", Operation())


@pytest.mark.parametrize("what", ["missing", "a script", "not static"])
def test_without_a_static_busybox_it_is_said_before_anything_is_done(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """A minute of downloads later would be late."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("e2fsck", "mke2fs", "chattr"):
        (folder / name).symlink_to(run.find(name) or "")
    if what == "a script":
        (folder / "busybox").write_text("#!/bin/sh\nexec /elsewhere/busybox\n")
        (folder / "busybox").chmod(0o755)
    elif what == "not static":
        (folder / "busybox").symlink_to(run.find("e2fsck") or "")
    monkeypatch.setattr(run, "find", lambda name: str(folder / name) if (folder / name).exists() else None)
    with pytest.raises(Unsupported, match="programs are missing") as caught:
        import_tree(
            tree, store=tmp_path / "masters", name="x", version="1", as_is=True, kernel=None, initrd=None,
            operation=Operation(),
        )  # fmt: skip
    assert caught.value.hint == "sudo apt install busybox-static"
    assert not (tmp_path / "masters").exists()
