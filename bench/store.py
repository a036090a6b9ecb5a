"""A state folder to measure in, and the command line as a user starts it."""

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import IO

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


def cpu(folder: Path, *words: str, well: Collection[int] = (0,), said: str = "") -> float:
    """The same; the seconds of processor time it took, which others on this machine do not lengthen much.
    `said` is what it reads."""
    with tempfile.TemporaryFile() as file:
        file.write(said.encode())
        file.seek(0)
        return _seconds(_waited(_begun(folder, words, stdin=file), words, well))


def piped(folder: Path, one: Sequence[str], other: Sequence[str], said: str) -> float:
    """The same of two, of which the other reads what the one prints."""
    with tempfile.TemporaryFile() as file:
        file.write(said.encode())
        file.seek(0)
        first = _begun(folder, one, stdin=file, stdout=subprocess.PIPE)
    assert first.stdout is not None
    with first.stdout as between:
        second = _begun(folder, other, stdin=between)
    return sum(_seconds(_waited(child, words, (0,))) for child, words in ((first, one), (second, other)))


def used(folder: Path, *words: str, well: Collection[int] = (0,)) -> resource.struct_rusage:
    return _waited(_begun(folder, words), words, well)


def _begun(
    folder: Path, words: Sequence[str], stdin: IO[bytes] | int | None = None, stdout: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    command = Path(sys.executable).with_name("skinnybox")
    environment = {**os.environ, "SKINNYBOX_STATE": str(folder / "state")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return subprocess.Popen([command, *words], env=environment, stdin=stdin, stdout=stdout)


def _waited(
    child: subprocess.Popen[bytes], words: Sequence[str], well: Collection[int]
) -> resource.struct_rusage:
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in well:
        raise subprocess.CalledProcessError(child.returncode, words)
    return usage


def _seconds(usage: resource.struct_rusage) -> float:
    return usage.ru_utime + usage.ru_stime
