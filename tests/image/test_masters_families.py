"""What is decided for a tree of each family (families.py): its kernel, modules, init, and what is put there.

Nothing is booted here. Needs xz and zstd.
"""

from pathlib import Path

import pytest

from skinnybox.errors import Unsupported
from skinnybox.masters import guest_part
from skinnybox.masters.fitting import inits
from skinnybox.masters.fitting.fit import fit
from skinnybox.masters.image_format import chosen
from skinnybox.masters.initramfs.modules import modules
from skinnybox.masters.kernel import find_kernel, kernel_version
from skinnybox.model import ImageFormat
from skinnybox.operation import Operation
from tests.image.families import FAMILIES, Family, module

pytestmark = pytest.mark.image

PUT = {
    "systemd": {
        "usr/lib/systemd/system/skinnybox-report.service",
        "usr/lib/systemd/system/skinnybox-rebase.service",
        "usr/lib/systemd/system/sysinit.target.wants/skinnybox-rebase.service",
        "usr/lib/systemd/system/skinnybox-run-once.service",
    },
    "inittab": {
        "usr/lib/skinnybox/after-boot",
        "usr/lib/skinnybox/before-init",
        "usr/lib/skinnybox/settle",
    },
    "openrc": {
        "usr/lib/skinnybox/after-boot",
        "usr/lib/skinnybox/before-init",
        "usr/lib/skinnybox/settle",
        "etc/runlevels/default/skinnybox",
        "etc/runlevels/shutdown/skinnybox-settle",
    },
    "upstart": {
        "usr/lib/skinnybox/after-boot",
        "usr/lib/skinnybox/before-init",
        "usr/lib/skinnybox/settle",
        "etc/init/skinnybox.conf",
    },
}


@pytest.fixture(params=list(FAMILIES))
def family(request: pytest.FixtureRequest) -> Family:
    return FAMILIES[request.param]


def test_its_kernel_is_found(family: Family, tmp_path: Path) -> None:
    tree = family.make(tmp_path / "tree")
    kernel = find_kernel(tree)
    assert kernel == tree / family.kernel.format(family.version)
    assert kernel_version(kernel) == family.version


def _image(tree: Path, version: str, notes: list[str]) -> str:
    operation = Operation(log=notes.append)
    return chosen(tree, version, ImageFormat.AUTO, dax=False, operation=operation)


def test_its_image_is_one_that_its_kernel_can_mount(family: Family, tmp_path: Path) -> None:
    tree, notes = family.make(tmp_path / "tree"), list[str]()
    if not family.image:
        with pytest.raises(Unsupported, match=r"cannot mount a machine's overlay: Linux 4\.4"):
            _image(tree, family.version, notes)
        return
    assert _image(tree, family.version, notes) == family.image
    assert [note.partition(":")[0] for note in notes] == (
        [f"the kernel {family.version} of the tree has no EROFS"] if family.image == "ext4" else []
    )


def test_its_modules_are_found_or_what_is_lacking_is_told(family: Family, tmp_path: Path) -> None:
    tree = family.make(tmp_path / "tree")
    lacks = [*family.lacks.split(), *(["overlay"] if family.named != "overlay" else [])]
    lacking = [name for name in ("overlay", "erofs") if name in lacks]
    if lacking:
        with pytest.raises(Unsupported) as caught:
            modules(tree, family.version)
        assert f"has no {' and no '.join(lacking)}: it cannot boot thin" in caught.value.message
    if "overlay" in lacking:
        with pytest.raises(Unsupported, match="has no overlay: it cannot boot thin"):
            modules(tree, family.version, erofs=False)
        return
    found = modules(tree, family.version, erofs=family.image.startswith("erofs"))
    expected = {"overlay", "ext4", "erofs", "virtio_blk"} - {*family.built_in.split(), *lacks}
    assert set(found.early) == expected
    plain = {entry.path.rpartition("/")[2]: entry.data for entry in found.entries}
    for name in expected:
        assert plain[f"{name}.ko"] == module("jbd2" if name == "ext4" else "")


def test_its_services_are_started_and_those_of_no_other_init(family: Family, tmp_path: Path) -> None:
    tree = family.make(tmp_path / "tree")
    assert inits.fit(tree) == family.init
    fit(tree)
    there = {
        path
        for paths in PUT.values()
        for path in paths
        if (tree / path).is_symlink() or (tree / path).exists()
    }
    assert there == PUT[family.init]
    assert guest_part.has_guest_part(tree)
    text = (tree / "etc/inittab").read_text() if (tree / "etc/inittab").exists() else ""
    assert ("/usr/lib/skinnybox/after-boot" in text) is (family.init == "inittab")


def test_a_disk_is_settled_where_the_family_has_a_place_for_it(family: Family, tmp_path: Path) -> None:
    """Not so in RHEL 6, whose next boot replays the journal."""
    tree = family.make(tmp_path / "tree")
    fit(tree)
    for level in ("rc0.d", "rc6.d"):
        before = sorted(path.name for path in (tree / "etc" / level).glob("*umount*"))
        expected = [name for name in before if name.endswith("umountroot")]
        assert before == sorted([*expected, *(name.replace("root", "skinnybox") for name in expected)])
    assert list(tree.rglob("settle")) or list(tree.rglob("system-shutdown/skinnybox"))
