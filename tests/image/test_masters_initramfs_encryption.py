"""The archive that opens encrypted overlays: beside a master's own initramfs, never in it."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import Corrupt, Unsupported
from skinnybox.masters import catalogue
from skinnybox.masters.initramfs import encryption
from skinnybox.masters.initramfs.make import make
from skinnybox.masters.initramfs.sealed import sealed_modules
from skinnybox.model import ImageFormat, Master
from skinnybox.operation import Operation
from tests.image.test_masters_initramfs import VERSION, module, unpacked
from tests.samples import seal

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(run.find("cryptsetup") is None, reason="no cryptsetup (Debian: cryptsetup-bin)"),
]

CRYPT = {"dm-mod": "", "dm-crypt": "dm-mod", "xts": "gf128mul", "gf128mul": "", "overlay": "", "ext4": "",
         "erofs": "", "loop": ""}  # fmt: skip
Sealed = Callable[..., tuple[Path, Master, Path]]


@pytest.fixture
def sealed(tmp_path: Path) -> Sealed:
    """A master with modules in its image, and an initramfs of ours: its store, itself, its folder."""

    def made(
        needs: dict[str, str] = CRYPT, form: ImageFormat = ImageFormat.AUTO
    ) -> tuple[Path, Master, Path]:
        tree = tmp_path / "tree-tiny-1"
        for name, needed in needs.items():
            path = tree / f"lib/modules/{VERSION}/kernel/{name[0]}/{name}.ko"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(module(needed, 5000))
            if name == "xts":
                run.run(["xz", path])
        for place, text in (("etc/os-release", "PRETTY_NAME=Tiny\n"), ("usr/lib/skinnybox/protocol", "3\n")):
            (tree / place).parent.mkdir(parents=True, exist_ok=True)
            (tree / place).write_text(text)
        master = seal(tmp_path, tmp_path, "tiny", "1", linux=VERSION, image_format=form)
        folder = catalogue.folder(tmp_path / "masters", master)
        return tmp_path / "masters", master, folder

    return made


def with_ours(folder: Path, tmp_path: Path) -> bytes:
    """An initramfs of ours in place of the one that is only a word."""
    tree = tmp_path / "tree-tiny-1"
    make(tree, tmp_path / f"vmlinuz-{VERSION}", tmp_path / "ours", Operation())
    (folder / "initrd").chmod(0o600)
    (folder / "initrd").write_bytes((tmp_path / "ours").read_bytes())
    return (folder / "initrd").read_bytes()


@pytest.mark.parametrize("form", [ImageFormat.AUTO, ImageFormat.EXT4])
def test_it_stands_behind_the_masters_own(sealed: Sealed, tmp_path: Path, form: ImageFormat) -> None:
    store, master, folder = sealed(form=form)
    own = with_ours(folder, tmp_path)
    made = encryption.initrd(store, master, folder)
    whole = made.read_bytes()
    assert whole.startswith(own) and made.stat().st_mode & 0o777 == 0o444
    more = {name: data for name, _, data in unpacked(gzip.decompress(whole[len(own) :].lstrip(b"\0")))}
    home = "usr/lib/skinnybox/crypt"
    order = more[f"{home}/modules.list"].decode().split()
    assert sorted(order) == ["dm_crypt", "dm_mod", "gf128mul", "xts"]
    assert order.index("dm_mod") < order.index("dm_crypt") and order.index("gf128mul") < order.index("xts")
    assert more[f"{home}/modules/xts.ko"] == module("gf128mul", 5000)
    for name in ("cryptsetup", "resize2fs", "loader", "libc.so.6", "unlock.sh"):
        assert more[f"{home}/{name}"]
    # Nothing of it takes the place of what the master's own has, whose libraries may be another host's.
    first = {name for name, mode, _ in unpacked(gzip.decompress(own)) if mode & 0o170000 != 0o040000}
    assert not first & set(more) and "scripts/encrypted" in more
    assert (folder / "initrd").read_bytes() == own


def test_a_plain_initramfs_does_not_know_of_it(
    sealed: Sealed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Byte for byte the same, whether there is a cryptsetup here, and modules for it in the tree, or not."""
    _, _, folder = sealed()
    own = with_ours(folder, tmp_path)
    names = [name for name, _, _ in unpacked(gzip.decompress(own))]
    assert not [name for name in names if any(word in name for word in ("crypt", "dm_", "unlock", "xts"))]
    find = run.find
    monkeypatch.setattr(run, "find", lambda program: None if program == "cryptsetup" else find(program))
    for name in ("dm-mod", "dm-crypt", "gf128mul"):
        next((tmp_path / "tree-tiny-1").rglob(f"{name}.ko")).unlink()
    assert with_ours(folder, tmp_path) == own


def test_it_is_made_once_and_again_when_it_is_gone_or_old(sealed: Sealed, tmp_path: Path) -> None:
    store, master, folder = sealed()
    with_ours(folder, tmp_path)
    old = folder / "initrd-encrypted-0000000000000000"
    old.write_bytes(b"of before an upgrade")
    made = encryption.initrd(store, master, folder)
    first, inode = made.read_bytes(), made.stat().st_ino
    assert not old.exists()
    assert encryption.initrd(store, master, folder).stat().st_ino == inode
    made.unlink()
    assert encryption.initrd(store, master, folder).read_bytes() == first
    assert not list(store.glob(".sealing-*"))


def test_it_is_no_part_of_the_master(sealed: Sealed) -> None:
    store, master, folder = sealed()
    (folder / f"{encryption.PREFIX}0123456789abcdef").write_bytes(b"x")
    catalogue.verify(store, master, Operation())
    assert catalogue.masters(store) == [master]


def test_what_cannot_be_made(sealed: Sealed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, master, folder = sealed({name: needs for name, needs in CRYPT.items() if name != "dm-crypt"})
    with pytest.raises(Unsupported, match="initramfs of its maker's own"):
        encryption.initrd(store, master, folder)
    with_ours(folder, tmp_path)
    with pytest.raises(Unsupported, match="has no dm_crypt"):
        encryption.initrd(store, master, folder)
    monkeypatch.setattr(run, "find", lambda program: None)
    with pytest.raises(Unsupported, match="not installed") as refused:
        encryption.initrd(store, master, folder)
    assert refused.value.hint == "sudo apt install cryptsetup-bin"
    assert not list(folder.glob(f"{encryption.PREFIX}*"))


def test_built_in_is_well(sealed: Sealed, tmp_path: Path) -> None:
    place = tmp_path / f"tree-tiny-1/lib/modules/{VERSION}"
    place.mkdir(parents=True)
    (place / "modules.builtin").write_text("kernel/drivers/md/dm-crypt.ko\n")
    _, master, folder = sealed({"xts": ""})
    image = folder / master.images[0].file
    assert set(sealed_modules(image, VERSION, ["xts", "dm_crypt"], "dm_crypt", tmp_path / "x")) == {"xts"}


def test_a_module_that_is_none(sealed: Sealed, tmp_path: Path) -> None:
    place = tmp_path / f"tree-tiny-1/lib/modules/{VERSION}"
    place.mkdir(parents=True)
    (place / "dm-crypt.ko").write_text("not of a kernel")
    _, master, folder = sealed({"xts": ""})
    with pytest.raises(Corrupt, match="no module"):
        sealed_modules(folder / master.images[0].file, VERSION, ["dm_crypt"], "dm_crypt", tmp_path / "x")


def test_an_image_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(b"x" * 8192)
    with pytest.raises(Corrupt):
        sealed_modules(tmp_path / "image", VERSION, ["dm_crypt"], "dm_crypt", tmp_path / "x")
