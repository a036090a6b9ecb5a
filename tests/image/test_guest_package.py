"""The guest part as a Debian package: built twice, and put into a tree and taken out of it by dpkg itself.

The tree has a static busybox and nothing else; a whole Debian is tests/boot/test_guest_package.py's.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.masters import guest_part
from skinnybox.masters.fitting.fit import fit
from tests.image.disks import REAL_ROOT
from tests.pages import ROOT

pytestmark = pytest.mark.image

NAME = "skinnybox-guest"
DPKG = ("dpkg", "--force-depends", "--log=/dev/null")
OTHERS = "usr/lib/systemd/system/ssh.service"
CHANGING = {
    "usr/lib/systemd/system/systemd-networkd-wait-online.service.d/10-skinnybox.conf",
    "usr/lib/systemd/system/systemd-remount-fs.service.d/10-skinnybox.conf",
}
"""What an import puts in besides, which an ordinary system is better without."""


def built(folder: Path, umask: int = 0o022, **environment: str) -> Path:
    folder.mkdir()
    done = subprocess.run(
        ["sh", "-c", f"umask {umask:o}; exec {ROOT}/script/guest-package {folder}"],
        check=True, capture_output=True, text=True, env={**os.environ, **environment}, cwd="/",
    )  # fmt: skip
    assert [path.name for path in folder.iterdir()] == [Path(done.stdout.strip()).name]
    return Path(done.stdout.strip())


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if run.find("dpkg-deb") is None:
        pytest.skip("no dpkg-deb")
    return built(tmp_path_factory.mktemp("package") / "made")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """What dpkg needs, what maintainer scripts run with, and an fstab, a kernel and an initramfs."""
    busybox = run.find("busybox")
    if not REAL_ROOT or busybox is None:
        pytest.skip("dpkg changes into a root, as root alone may, and busybox runs there")
    made = tmp_path / "root"
    for path in (
        "var/lib/dpkg/info",
        "var/lib/dpkg/updates",
        "bin",
        "usr/lib/systemd/system",
        "boot",
        "etc",
        "media",
    ):
        (made / path).mkdir(parents=True)
    for path in (
        "var/lib/dpkg/status",
        "usr/lib/systemd/systemd",
        OTHERS,
        "media/cdrom",
        "boot/vmlinuz-6",
        "boot/initrd.img-6",
    ):
        (made / path).touch()
    (made / "etc/fstab").write_text("UUID=1 / ext4 defaults 0 1\n")
    shutil.copy(busybox, made / "bin/busybox")
    (made / "bin/sh").symlink_to("busybox")
    return made


def dpkg(root: Path, *words: str | Path, ok: bool = True) -> str:
    done = run.run([*DPKG, f"--root={root}", *words], ok=range(2))
    assert (done.returncode == 0) == ok, done.stderr
    return (done.stdout + done.stderr).decode()


def listing(root: Path) -> dict[str, tuple[object, ...]]:
    """But for dpkg's own state."""
    found = {str(path.relative_to(root)): path for path in root.rglob("*")}
    return {
        name: (info.st_mode, info.st_uid, info.st_gid, path.read_bytes() if path.is_file() else b"")
        for name, path in found.items()
        if not name.startswith("var/lib/dpkg") and (info := path.lstat())
    }


def test_the_same_source_gives_the_same_bytes(package: Path, tmp_path: Path) -> None:
    assert built(tmp_path / "again", 0o077).read_bytes() == package.read_bytes()
    then = built(tmp_path / "then", SOURCE_DATE_EPOCH="4102444800")
    assert then.read_bytes() != package.read_bytes()
    assert all(
        "2100-01-01" in line for line in run.run(["dpkg-deb", "-c", then]).stdout.decode().splitlines()
    )


def test_it_holds_what_a_master_has_and_nothing_that_changes_a_system(package: Path, tmp_path: Path) -> None:
    run.run(["dpkg-deb", "-x", package, tmp_path / "held"])
    (tmp_path / "tree/usr/lib/systemd").mkdir(parents=True)
    (tmp_path / "tree/usr/lib/systemd/systemd").touch()
    fit(tmp_path / "tree")
    held, fitted = listing(tmp_path / "held"), listing(tmp_path / "tree")
    own = {
        "usr/sbin/skinnybox-guest-check", "usr/share/man/man8/skinnybox-guest-check.8.gz",
        f"usr/share/doc/{NAME}/copyright",
    }  # fmt: skip
    folders = {str(path) for name in own for path in Path(name).parents}
    assert {name: fitted.get(name) for name in held if name not in own | folders} == {
        name: found for name, found in held.items() if name not in own | folders
    }
    files = {name for name in fitted if not (tmp_path / "tree" / name).is_dir() and name.startswith("usr")}
    assert files - set(held) == {*CHANGING, "usr/lib/skinnybox/put-away", "usr/lib/systemd/systemd"}
    assert {name.partition("/")[0] for name in held} == {"usr", "media"}


def test_modes_and_owners(package: Path) -> None:
    for line in run.run(["dpkg-deb", "-c", package]).stdout.decode().splitlines():
        mode, owner, *_ = line.split()
        assert (mode, owner) in {
            ("drwxr-xr-x", "root/root"), ("-rwxr-xr-x", "root/root"), ("-rw-r--r--", "root/root"),
            ("lrwxrwxrwx", "root/root"),
        }, line  # fmt: skip


@pytest.mark.parametrize("removed_first", [True, False])
def test_nothing_is_left_of_it(package: Path, root: Path, removed_first: bool) -> None:
    before = listing(root)
    dpkg(root, "--install", package)
    installed = listing(root)
    assert guest_part.has_guest_part(root)
    assert {name: installed[name] for name in before} == before
    if removed_first:
        dpkg(root, "--remove", NAME)
        assert listing(root) == before
    else:
        dpkg(root, "--purge", NAME)
    assert listing(root) == before


def test_what_an_import_does_to_it(package: Path, root: Path) -> None:
    """The same files, so dpkg finds nothing changed; and it is held, as the kernel is."""
    dpkg(root, "--install", package)
    fit(root)
    assert dpkg(root, "--verify", NAME) == ""
    assert dpkg(root, "--get-selections").split() == [NAME, "hold"]
    (root / "usr/lib/skinnybox/lib/seed.sh").write_text("changed")
    assert "usr/lib/skinnybox/lib/seed.sh" in dpkg(root, "--verify", NAME)


def test_an_ordinary_system_goes_off_without_a_word_of_it(package: Path, root: Path) -> None:
    dpkg(root, "--install", package)
    before = listing(root)
    done = run.run(["chroot", root, "/bin/sh", "/usr/lib/systemd/system-shutdown/skinnybox"])
    assert (done.stdout, done.stderr, listing(root)) == (b"", b"", before)


def test_a_thin_machine_keeps_it(package: Path, root: Path) -> None:
    dpkg(root, "--install", package)
    (root / "run/skinnybox/host").mkdir(parents=True)
    (root / "run/skinnybox/host/instance").write_text("1")
    before = listing(root)
    for words in (["--install", package], ["--remove", NAME], ["--purge", NAME]):
        assert "its master's" in dpkg(root, *words, ok=False)
        assert listing(root) == before
    assert dpkg(root, "--audit") == ""
    assert "ok installed" in dpkg(root, "--status", NAME)


OTHER = """Package: other
Status: install ok installed
Version: 1
Architecture: all
Maintainer: x
Description: y
"""


def test_flatten_takes_all_of_it_out(package: Path, root: Path) -> None:
    """Its functions, as they stand there, on a tree that was imported with the package."""
    (root / "var/lib/dpkg/status").write_text(OTHER)
    before = listing(root)
    dpkg(root, "--install", package)
    fit(root)
    parts = guest_part.guest_folder() / "appliance"
    text = "".join((parts / name).read_text() for name in ("flatten", "inits"))
    functions = "".join(
        re.findall(rf"^{name}\(\) {{\n.*?^}}\n", text, re.DOTALL | re.MULTILINE)[0]
        for name in ("make_ordinary", "forget_package", "bring_back")
    )
    functions = functions.replace("/target", str(root)).replace("/lower", str(root))
    run.run(["busybox", "sh", "-uc", f"{functions}\nwrite_fstab() {{ :; }}\nmake_ordinary"])
    left = listing(root)
    changed = {name for name in before if left.get(name) != before[name]}
    assert changed == {"etc/fstab"}, "the import took the root's line out, and flatten writes another"
    more = {name for name in set(left) - set(before) if not (root / name).is_dir()}
    assert more == set()
    assert dpkg(root, "--get-selections").split() == ["other", "install"]
    assert not list((root / "var/lib/dpkg/info").glob(f"{NAME}.*"))
