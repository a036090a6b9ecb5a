"""A state folder to measure in, and the command line as a user starts it."""

import os
import resource
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

from skinnybox.masters import imports
from skinnybox.operation import Operation


def scratch() -> str:
    """A disk, as machines live on; /tmp may be memory."""
    return os.environ.get("SKINNYBOX_BENCH_FOLDER", "/var/tmp")


def seal_something(folder: Path) -> None:
    """A master named `bench` below `folder`/state; what is in it does not matter here."""
    tree = folder / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc" / "os-release").write_text("PRETTY_NAME=bench\n")
    for file in ("kernel", "initrd"):
        (folder / file).write_bytes(file.encode())
    imports.import_tree(
        tree, store=folder / "state" / "masters", name="bench", version="1", as_is=True,
        kernel=folder / "kernel", initrd=folder / "initrd", operation=Operation(), allow_foreign=True,
    )  # fmt: skip


def skinnybox(folder: Path, *words: str) -> int:
    """Run one command on `folder`/state; its peak memory in KiB. CalledProcessError when it fails."""
    return used(folder, *words).ru_maxrss


def cpu(folder: Path, *words: str, well: Collection[int] = (0,)) -> float:
    """The same; the seconds of processor time it took, which others on this machine do not lengthen much."""
    usage = used(folder, *words, well=well)
    return usage.ru_utime + usage.ru_stime


def used(folder: Path, *words: str, well: Collection[int] = (0,)) -> resource.struct_rusage:
    command = Path(sys.executable).with_name("skinnybox")
    environment = {**os.environ, "SKINNYBOX_STATE": str(folder / "state")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    child = subprocess.Popen([command, *words], env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in well:
        raise subprocess.CalledProcessError(child.returncode, words)
    return usage
