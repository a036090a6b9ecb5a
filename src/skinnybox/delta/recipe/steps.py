"""What a recipe does in a tree: its copies and its scripts, by programs of the tree, shut in with it."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO

from skinnybox import run
from skinnybox.errors import UsageError
from skinnybox.masters.recipe import HINT_OF_LAYERS, OF_LAYERS, Copy, Recipe
from skinnybox.operation import Operation
from skinnybox.sandbox.enclosure import Enclosure, run_in

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_RESOLVER = """\
mkdir -p /run/systemd/resolve
if [ -L /etc/resolv.conf ]; then cat >/run/systemd/resolve/stub-resolv.conf; else cat >/etc/resolv.conf; fi"""
_FOLDER = 'mkdir -p "$1"; tar -x -C "$1"; chown -hR "$2" "$1"; [ -z "$3" ] || chmod "$3" "$1"'
_FILE = 'mkdir -p "${1%/*}/"; cat >"$1"; chown "$2" "$1"; chmod "$3" "$1"; touch -d "@$4" "$1"'
_SCRIPT = (
    "mkdir -p /tmp; cat >/tmp/skinnybox-script; chmod 0755 /tmp/skinnybox-script; "
    "exec /tmp/skinnybox-script </dev/null"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """A line of shell for the tree's own, what it is told, and what it reads."""

    name: str
    shell: str
    words: tuple[str, ...] = ()


def refuse_of_masters(recipe: Recipe) -> None:
    """UsageError for what only a master can have."""
    usual = Recipe()
    said = [each.name for each in fields(Recipe) if getattr(recipe, each.name) != getattr(usual, each.name)]
    wrong = [name for name in said if name not in OF_LAYERS]
    if wrong:
        raise UsageError(
            f"a layer's recipe may hold {' and '.join(OF_LAYERS)}, and not {', '.join(wrong)}",
            hint="packages are of a master: `skinnybox master build NAME --recipe FILE`",
        )
    if not said:
        raise UsageError("the recipe does nothing: it has no copy, and no scripts", hint=HINT_OF_LAYERS)


def newest_source(recipe: Recipe) -> int:
    """The newest mtime of what it copies, in nanoseconds; 0 of nothing."""
    every = [copy.source for copy in recipe.copy]
    below = (path for source in every if source.is_dir() for path in source.rglob("*"))
    return max((path.lstat().st_mtime_ns for path in (*every, *below)), default=0)


def done(recipe: Recipe, tree: Path, operation: Operation, *, network: bool, dated: int) -> None:
    """Do all of it, in order. UsageError for what fails, with the end of what it said; Unsupported where
    programs cannot be shut in."""
    around = Enclosure(tree=tree, network=network, environment=_environment(dated))
    steps = list(_steps(recipe, network))
    for number, (step, source) in enumerate(steps):

        def attend(number: int = number, step: _Step = step) -> None:
            operation.step(task="build", done=number, total=len(steps), unit="steps", detail=step.name)

        with _read(source) as stdin:
            argv = ["sh", "-eu", "-c", step.shell, "sh", *step.words]
            code, said = run_in(around, argv, attend, stdin=stdin)
        if code:
            raise UsageError(
                f"{step.name} of the recipe failed with {code}", hint=said[-1000:] or "it said nothing"
            )


def _environment(dated: int) -> Mapping[str, str]:
    """SOURCE_DATE_EPOCH is what programs go by that write the time into what they make."""
    return {
        "PATH": _PATH, "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1", "SOURCE_DATE_EPOCH": str(dated // 10**9),
    }  # fmt: skip


def _steps(recipe: Recipe, network: bool) -> Iterator[tuple[_Step, Path | str]]:
    """Each with what it reads: a file or a folder, or a text."""
    if network and Path("/etc/resolv.conf").is_file():
        yield _Step(name="the resolver", shell=_RESOLVER), Path("/etc/resolv.conf")
    for number, copy in enumerate(recipe.copy, start=1):
        yield _copy(number, copy), copy.source
    for number, script in enumerate(recipe.scripts, start=1):
        text = script if script.startswith("#!") else f"#!/bin/sh -eu\n{script}"
        yield _Step(name=f"script {number}", shell=_SCRIPT), f"{text}\n"


def _copy(number: int, copy: Copy) -> _Step:
    mode = "" if copy.mode is None else f"{copy.mode:o}"
    if copy.source.is_dir():
        return _Step(name=f"copy {number}", shell=_FOLDER, words=(copy.dest, copy.owner, mode))
    info = copy.source.stat()
    words = (copy.dest, copy.owner, mode or f"{info.st_mode & 0o7777:o}", str(int(info.st_mtime)))
    return _Step(name=f"copy {number}", shell=_FILE, words=words)


@contextmanager
def _read(source: Path | str) -> Iterator[IO[bytes]]:
    """Never an open file of this computer: whoever has one, and the owner's id, opens it anew to write."""
    with ExitStack() as held:
        if isinstance(source, str):
            file = held.enter_context(tempfile.TemporaryFile())
            file.write(source.encode())
            file.seek(os.SEEK_SET)
            yield file
        else:
            folder = source.is_dir()
            words = ["tar", "-c", "-C", str(source), "."] if folder else ["cat", "--", str(source)]
            program = held.enter_context(run.start(words, stdout=run.PIPE))
            assert program.stdout is not None
            yield program.stdout
