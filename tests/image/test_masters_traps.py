"""A tree whose every program is a trap: an import runs none of them, whoever does it. Needs root, strace."""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import skinnybox
from skinnybox import run
from skinnybox.masters import catalogue
from tests.image.disks import CONFIGURATION, REAL_ROOT
from tests.image.test_masters_disk import IN_NAMESPACE, in_namespace

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(not REAL_ROOT, reason="needs the real root"),
    pytest.mark.skipif(run.find("strace") is None, reason="needs strace"),
]

PROGRAMS = (
    "sh", "dash", "bash", "busybox", "true", "cat", "awk", "sed", "cp", "mv", "rm", "ln", "chown", "chmod",
    "systemctl", "systemd-sysusers", "systemd-tmpfiles", "dpkg", "dpkg-query", "apt-mark", "update-initramfs",
    "mkinitramfs", "dracut", "kmod", "modprobe", "modinfo", "depmod", "ldconfig", "ldd", "e2fsck", "mke2fs",
    "xz", "zstd", "gzip", "cpio", "rpm", "apk", "kernel-install", "update-rc.d", "insserv",
)  # fmt: skip
MARK = "a-program-of-the-tree-was-run"


@pytest.fixture
def marks(tmp_path: Path) -> Iterator[list[Path]]:
    """Where a program that was run leaves a word: chrooted or not, by whoever may write there."""
    found = [tmp_path / MARK, Path("/tmp") / f"{MARK}-{os.getpid()}"]
    yield found
    for mark in found:
        mark.unlink(missing_ok=True)


@pytest.fixture
def tree(tmp_path: Path, marks: list[Path]) -> Path:
    """Programs that are traps, in every place where a search path leads; hooks too."""
    made = tmp_path / "tree"
    trap = "#!/bin/sh\n" + "".join(f"echo trapped >{mark}\n" for mark in marks)
    places = [f"{place}/{name}" for place in ("usr/bin", "usr/sbin", "usr/local/bin") for name in PROGRAMS]
    places += ["usr/lib/systemd/systemd", "usr/lib/systemd/systemd-networkd", "sbin/init",
               "usr/lib/systemd/systemd-update-done", "usr/lib64/ld-linux-x86-64.so.2",
               "etc/kernel/postinst.d/initramfs-tools", "usr/share/initramfs-tools/hooks/x"]  # fmt: skip
    for place in places:
        path = made / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(trap)
        path.chmod(0o755)
    for name in ("bin", "lib64"):
        (made / name).symlink_to(f"usr/{name}")
    for name, text in (
        ("boot/vmlinuz-6.1", "kernel"), ("boot/config-6.1", CONFIGURATION),
        ("etc/passwd", "root:x:0:0::/:/bin/sh\n"), ("etc/fstab", "none / ext4 x 0 1\n"),
        ("etc/initramfs-tools/update-initramfs.conf", "update_initramfs=yes\n"),
        ("var/lib/dpkg/status", "Package: linux-image-6.1\nStatus: install ok installed\n"),
    ):  # fmt: skip
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(text)
    return made


def started(log: Path) -> list[str]:
    """What was executed, by strace's log: paths, successful or not."""
    found = re.findall(r'execve(?:at)?\((?:\w+, )?"([^"]*)"', log.read_text(errors="replace"))
    assert len(found) > 3, "nothing was traced"
    return found


def traced(log: Path, *words: str | Path) -> list[str | Path]:
    return ["strace", "-f", "-qq", "-e", "trace=execve,execveat", "-o", log, *words]


def untouched(tree: Path, log: Path, marks: list[Path]) -> bool:
    programs = started(log)
    assert not any(path.startswith(f"{tree.parent}/") or "/.work-" in path for path in programs), programs
    return not any(mark.exists() for mark in marks)


def test_an_import_by_root_runs_no_program_of_the_tree(tree: Path, marks: list[Path], tmp_path: Path) -> None:
    source = str(Path(skinnybox.__file__).parents[1])
    env = {"SKINNYBOX_STATE": f"{tmp_path}/state", "PYTHONPATH": source}
    words = (sys.executable, "-m", "skinnybox", "master", "import", tree, "trap:1")
    run.run(traced(tmp_path / "trace", *words), env=env)
    assert [master.reference for master in catalogue.masters(tmp_path / "state/masters")] == ["trap:1"]
    assert untouched(tree, tmp_path / "trace", marks)


@pytest.mark.usefixtures("for_everyone")
def test_an_import_by_an_ordinary_user_runs_none_either(tree: Path, marks: list[Path], theirs: Path) -> None:
    source, python = Path(skinnybox.__file__).parent.parent, Path("/usr/bin/python3")
    if not python.exists():
        pytest.skip("no python3 that everyone may run")
    run.run(["cp", "-a", tree, theirs / "tree"])
    script = IN_NAMESPACE.replace("as_is=True", "as_is=False")
    words = traced(theirs / "trace", python, "-I", "-c", script, source, theirs / "tree", theirs / "masters")
    assert in_namespace(words).startswith("sha256:")
    assert untouched(theirs / "tree", theirs / "trace", marks)


def test_the_trap_would_be_seen(tree: Path, marks: list[Path], tmp_path: Path) -> None:
    run.run(traced(tmp_path / "trace", "sh", tree / "usr/bin/dpkg"))
    assert any(mark.exists() for mark in marks)
    run.run(traced(tmp_path / "trace", tree / "usr/bin/dpkg"))
    with pytest.raises(AssertionError, match="dpkg"):
        untouched(tree, tmp_path / "trace", marks)
