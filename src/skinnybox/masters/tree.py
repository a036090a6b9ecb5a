"""A private copy of what is to be sealed, from a directory or a tar."""

import os
import time
from pathlib import Path

from skinnybox import run
from skinnybox.errors import CommandFailed, Corrupt, NotFound, SkinnyboxError, Unsupported, UsageError
from skinnybox.masters import namespace
from skinnybox.model import Progress, Step

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


def unpacked(source: Path, work: Path, progress: Progress, *, devices: bool = True) -> Path:
    """Copy or extract `source` to `work`/tree, with owners, modes, mtimes, links, xattrs, ACLs, FIFOs.

    The source is only read; a hostile tar writes nowhere else. `devices` False leaves out what is below /dev.
    Raises Unsupported for who is not root, and for what root of a namespace cannot keep.
    """
    _check_source(source, work)
    namespace.require_root()
    tree = work / "tree"
    tree.mkdir(mode=0o755)
    # Of the filesystem's clock, which lags behind ours.
    started = tree.stat().st_mtime_ns
    progress(Step(task="unpack", detail=source.name))
    if source.is_dir():
        _command([*_COPY, "--", f"{source}/.", tree], source)
    else:
        _extract(source, tree, devices=devices)
        _date_folders(os.fsencode(tree), started)
    return tree


def _check_source(source: Path, work: Path) -> None:
    if not source.exists():
        raise NotFound(f"{source} does not exist")
    if source.is_dir():
        if work.resolve().is_relative_to(source.resolve()):
            raise UsageError(f"{source} holds the masters themselves", hint="import a tree outside of them")
    elif not source.name.endswith(_SUFFIXES):
        raise UsageError(
            f"{source} is neither a directory nor a tar", hint=f"known are {', '.join(_SUFFIXES)}"
        )


def _extract(source: Path, tree: Path, *, devices: bool) -> None:
    left_out = [] if devices else ["--anchored", "--exclude=./dev/*", "--exclude=dev/*"]
    _command([*_EXTRACT, *left_out, "--file", source.absolute(), "--directory", tree], source)


def _command(argv: run.Argv, source: Path) -> None:
    try:
        done = run.run(argv)
    except CommandFailed as error:
        raise _explained(error, source) from error
    said = done.stderr.decode("utf-8", "replace")
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
    first = next((line for line in said.splitlines() if "Removing leading" not in line), error.message)
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


def _date_folders(folder: bytes, started: int) -> int:
    """Date folders the archive does not name by their newest content, not by the extraction."""
    newest = 0
    with os.scandir(folder) as found:
        for item in found:
            if item.is_dir(follow_symlinks=False):
                newest = max(newest, _date_folders(item.path, started))
            else:
                newest = max(newest, item.stat(follow_symlinks=False).st_mtime_ns)
    dated = os.lstat(folder).st_mtime_ns
    if started <= dated <= time.time_ns():
        os.utime(folder, ns=(newest, newest))
        return newest
    return dated
