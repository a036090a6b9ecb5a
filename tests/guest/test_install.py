"""install.sh and the adapters: what is put where, and that it is the same the second time."""

import shutil
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import CommandFailed
from skinnybox.masters import guest_part
from skinnybox.model import GUEST_PROTOCOL
from tests.guest.conftest import GUEST

SCRIPTS = [
    *GUEST.glob("*.sh"),
    *GUEST.glob("lib/*.sh"),
    *GUEST.glob("bin/*"),
    GUEST / "systemd/shutdown",
    GUEST / "initramfs-tools/hooks/skinnybox",
    *(path for path in GUEST.glob("initramfs-tools/scripts/**/skinnybox")),
]


def install(root: Path) -> None:
    run.run(["sh", GUEST / "install.sh", "files", root])


def listing(root: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(root)): (path.lstat().st_mode, path.lstat().st_mtime_ns)
        for path in root.rglob("*")
        if not path.is_dir()
    }


def test_the_files_are_there_and_stay_as_they_are(tmp_path: Path) -> None:
    install(tmp_path)
    before = listing(tmp_path)
    install(tmp_path)
    assert {name: info for name, info in listing(tmp_path).items() if "multi-user" not in name} == {
        name: info for name, info in before.items() if "multi-user" not in name
    }
    assert "usr/share/initramfs-tools/scripts/skinnybox" in before
    assert (tmp_path / "usr/lib/skinnybox/lib/stack.sh").read_bytes() == (GUEST / "lib/stack.sh").read_bytes()
    assert (tmp_path / "media/root-rw").is_dir()


@pytest.mark.parametrize(("merged", "place"), [(True, "usr/lib"), (False, "lib")])
def test_systemd_finds_what_runs_at_shutdown(tmp_path: Path, merged: bool, place: str) -> None:
    (tmp_path / "usr/lib").mkdir(parents=True)
    if merged:
        (tmp_path / "lib").symlink_to("usr/lib")
    else:
        (tmp_path / "lib").mkdir()
    install(tmp_path)
    found = [path for path in listing(tmp_path) if "system-shutdown" in path]
    assert found == [f"{place}/systemd/system-shutdown/skinnybox"]


def test_a_changed_file_makes_the_version_file_newer(tmp_path: Path) -> None:
    install(tmp_path)
    protocol = tmp_path / "usr/lib/skinnybox/protocol"
    before = protocol.stat().st_mtime_ns
    (tmp_path / "usr/lib/skinnybox/lib/stack.sh").write_text("an older one")
    install(tmp_path)
    assert protocol.stat().st_mtime_ns > before


def test_a_tree_says_whether_it_has_a_guest_part(tmp_path: Path) -> None:
    assert not guest_part.has_guest_part(tmp_path)
    assert guest_part.protocol_version(tmp_path) is None
    install(tmp_path)
    assert guest_part.has_guest_part(tmp_path)
    assert guest_part.protocol_version(tmp_path) == GUEST_PROTOCOL


def test_nonsense_is_no_version(tmp_path: Path) -> None:
    install(tmp_path)
    (tmp_path / "usr/lib/skinnybox/protocol").write_text("one\n")
    assert guest_part.protocol_version(tmp_path) is None


@pytest.mark.parametrize("argv", [[], ["files"], ["files", "/does/not/exist"], ["mend", "/tmp"]])
def test_it_says_how_to_use_it(argv: list[str]) -> None:
    with pytest.raises(CommandFailed, match="usage"):
        run.run(["sh", GUEST / "install.sh", *argv])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(GUEST)))
def test_both_shells_can_read_every_script(script: Path) -> None:
    assert len(SCRIPTS) > 15
    for shell in (["dash"], ["busybox", "sh"]):
        if shutil.which(shell[0]):
            run.run([*shell, "-n", script])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(GUEST)))
def test_files_stay_small(script: Path) -> None:
    assert len(script.read_text().splitlines()) <= 150


def test_root_and_swap_leave_the_fstab_and_nothing_else(tmp_path: Path) -> None:
    install(tmp_path)
    (tmp_path / "etc").mkdir()
    fstab = tmp_path / "etc/fstab"
    fstab.write_text("# kept\nUUID=1 / ext4 defaults 0 1\nUUID=2 none swap sw 0 0\nnas:/x /srv nfs ro 0 0\n")
    run.run(["sh", GUEST / "install.sh", "configure", tmp_path])
    assert fstab.read_text() == "# kept\nnas:/x /srv nfs ro 0 0\n"
