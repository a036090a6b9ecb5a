"""A private copy of what is to be sealed, from a directory or a tar that was looked through."""

import contextlib
import os
import re
import stat
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from skinnybox import run
from skinnybox.errors import CommandFailed, Corrupt, NotFound, SkinnyboxError, Unsupported, UsageError
from skinnybox.masters import namespace
from skinnybox.masters.survey import walk
from skinnybox.operation import Operation

_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.zst", ".tzst")
_EXTRACT = (
    "tar", "--extract", "--numeric-owner", "--same-owner", "--same-permissions",
    "--xattrs", "--xattrs-include=*", "--acls", "--delay-directory-restore",
)  # fmt: skip
_COPY = (
    "cp",
    "--archive",
    "--preserve=mode,ownership,timestamps,links,xattr",
    "--reflink=auto",
    "--one-file-system",
)
_NO_XATTR = ("Cannot setxattr", "Cannot set 'trusted", "setting attribute", "acl_set_file_at", "Cannot acl_")


_HARMLESS = (
    "Removing leading", "Substituting", "in the future", "implausibly old", "Extracting contiguous",
    "Unknown file type",
)  # fmt: skip
"""What tar says and goes on: not why it failed."""


def is_tar_name(file: Path) -> bool:
    return file.name.endswith(_SUFFIXES)


def unpacked(source: Path, work: Path, operation: Operation) -> Path:
    """Copy a directory to `work`/tree, with owners, modes, mtimes, links, xattrs, ACLs, FIFOs.

    The source is only read. Raises Unsupported for who is not root, and for what root of a namespace cannot
    keep.
    """
    check_source(source, work)
    namespace.require_root()
    tree = work / "tree"
    tree.mkdir()
    tree.chmod(0o755)  # the root of the machines, whatever the umask

    def attend() -> None:
        operation.step(task="unpack", detail=source.name)

    # With us: what it writes is swept by the next command, and who goes on writing would bring it back.
    words = run.with_us([*_COPY, "--", f"{source}/.", tree.absolute()])
    with _in_our_words(source):
        done = run.run(words, attend=attend)
        _refuse_lost(done.stderr, source)
    return tree


def extracted(
    pieces: Iterable[bytes],
    tree: Path,
    source: Path,
    operation: Operation,
    *,
    devices: bool,
    prefix: bytes = b"",
    dated: bool = False,
) -> None:
    """Extract a tar that comes in pieces to a folder; a hostile one writes nowhere else.

    `prefix` is what all names begin with, and is left out of them. One that does not name every folder is to
    be `dated`. `devices` False leaves out what is below /dev. Raises like `unpacked`; Corrupt; what the
    pieces raise ends it."""
    tree.mkdir(exist_ok=True)
    tree.chmod(0o755)
    # Of the filesystem's clock, which lags behind ours.
    started = tree.stat().st_mtime_ns
    done = 0

    def fed() -> Iterator[bytes]:
        nonlocal done
        for piece in pieces:
            yield piece
            done += len(piece)
            operation.step(task="unpack", done=done, unit="bytes", detail=source.name)

    with _in_our_words(source):
        _refuse_lost(run.feed(_extraction(tree, devices=devices, prefix=prefix), fed()).stderr, source)
    if dated:
        _date_folders(os.fsencode(tree), started)


def check_source(source: Path, work: Path) -> None:
    """NotFound, and UsageError for one that holds `work`."""
    if not source.exists():
        raise NotFound(f"{source} does not exist")
    if work.resolve().is_relative_to(source.resolve()):
        raise UsageError(f"{source} holds the masters themselves", hint="import a tree outside of them")


def _extraction(tree: Path, *, devices: bool, prefix: bytes) -> list[str | Path]:
    # What is excluded is told by its name before that is stripped, and as a pattern.
    literal = re.sub(r"([*?\[\]\\])", r"\\\1", os.fsdecode(prefix))
    folders = [f"{literal}dev/*"] if prefix else ["./dev/*", "dev/*"]
    left_out = [] if devices else [f"--exclude={folder}" for folder in folders]
    parts = sum(1 for part in prefix.split(b"/") if part)
    stripped = [f"--strip-components={parts}"] if parts else []
    return [*_EXTRACT, "--anchored", *left_out, *stripped, "--file", "-", "--directory", tree]


@contextlib.contextmanager
def _in_our_words(source: Path) -> Iterator[None]:
    try:
        yield
    except CommandFailed as error:
        raise _explained(error, source) from error


def _refuse_lost(stderr: bytes, source: Path) -> None:
    said = stderr.decode("utf-8", "replace")
    lost = next((line for line in said.splitlines() if any(word in line for word in _NO_XATTR)), None)
    if lost:
        raise _unkept(source, lost)


def _explained(error: CommandFailed, source: Path) -> SkinnyboxError:
    """tar's and cp's words in ours; a full disk is left to the workspace."""
    said = error.stderr
    if "No space left on device" in said:
        return error
    if "Cannot mknod" in said or "cannot create special file" in said or "setting attribute" in said:
        return _unkept(source, said.splitlines()[0])
    whys = (line for line in said.splitlines() if not any(words in line for words in _HARMLESS))
    first = next(whys, error.message)
    if "Member name contains '..'" in said:
        return Corrupt(
            f"{source} wants to write outside of itself: {first}", hint="do not trust this archive"
        )
    return Corrupt(f"{source} cannot be read whole: {first}", hint="is it complete, and the right file?")


def _unkept(source: Path, why: str) -> Unsupported:
    return Unsupported(
        f"{source} holds what cannot be kept here: {why}",
        hint="only root may make device nodes and some xattrs, and the store's disk must hold them: use sudo",
    )


def _date_folders(tree: bytes, started: int) -> None:
    """Date folders the archive does not name by their newest content, not by the extraction."""
    folders: list[tuple[bytes, int]] = []
    newest: defaultdict[bytes, int] = defaultdict(int)
    for path, info in walk(tree):
        if stat.S_ISDIR(info.st_mode):
            folders.append((path, info.st_mtime_ns))
        else:
            _later(newest, path, info.st_mtime_ns)
    now = time.time_ns()
    for path, dated in reversed(folders):
        if started <= dated <= now:
            dated = newest[path]
            os.utime(tree + b"/" + path, ns=(dated, dated))
        _later(newest, path, dated)


def _later(newest: defaultdict[bytes, int], path: bytes, dated: int) -> None:
    folder = path.rpartition(b"/")[0]
    newest[folder] = max(newest[folder], dated)
