"""Two processes at once on every pair of commands that can clash: every outcome is one that is documented."""

import contextlib
import itertools
import json
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox.cli.main import run_command
from skinnybox.fleet.catalog import host_kind
from tests.faults.conftest import CREATE, IMPORT, KEPT, Place, Said, no_bug

pytestmark = pytest.mark.image
DONE = frozenset({0, 3, 4, 5})
"""Done; not found; conflict; blocked to protect data."""

COMMANDS: dict[str, tuple[str, ...]] = {
    "create": (*CREATE, "one"),
    "create-other": ("create", "-m", "other:1", "--overlay", "32M", "--sparse", "one"),
    "delete": ("delete", "-y", "one"),
    "delete-force": ("delete", "-y", "--force", "one"),
    "reset": ("reset", "-y", "one"),
    "start": ("start", "one"),
    "stop": ("stop", "one"),
    "changes": ("changes", "one"),
    "list": ("list",),
    "import": IMPORT,
    "remove": ("master", "remove", "other:1"),
    "verify": ("master", "verify", "other:1"),
}
STOPPING = frozenset({"stop", "delete-force"})
"""Who starts a machine that one of these stops meanwhile is told that it failed."""
POWER = frozenset({"start", "stop"})


def pairs() -> list[tuple[str, str]]:
    return list(itertools.combinations_with_replacement(COMMANDS, 2))


def host_of(pair: tuple[str, str]) -> str:
    """Machines that really start would cost minutes: there the pretending host, which has the same locks."""
    return "fake" if POWER & set(pair) else "qemu"


def on(place: Place, host: str) -> Place:
    """The same machines, as if they had been made on that host."""
    host_kind.note(place.state, host)
    return replace(place, host=host)


def together(place: Place, pair: tuple[str, str], delay: float) -> list[Said]:
    """Both commands, each in a process of its own, let go at once; the second `delay` seconds later."""
    gate, opened = os.pipe()
    with contextlib.ExitStack() as files:
        said = [[files.enter_context(tempfile.TemporaryFile()) for _ in "oe"] for _ in pair]
        children = []
        for number, (name, (out, err)) in enumerate(zip(pair, said, strict=True)):
            argv = place.words(*COMMANDS[name])
            children.append(_forked(argv, gate, opened, out.fileno(), err.fileno(), delay * number))
        os.close(gate)
        os.close(opened)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        texts = [[_whole(file.fileno()) for file in both] for both in said]
    return [Said(code=code, out=out, err=err) for code, (out, err) in zip(codes, texts, strict=True)]


def _forked(argv: list[str], gate: int, opened: int, out: int, err: int, delay: float) -> int:
    child = os.fork()
    if child:
        return child
    code = 99
    try:
        os.close(opened)
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.read(gate, 1)  # returns for both when the parent closes the other end
        time.sleep(delay)
        with (
            open(1, "w", closefd=False) as stdout,
            open(2, "w", closefd=False) as stderr,
            contextlib.redirect_stdout(stdout),
            contextlib.redirect_stderr(stderr),
        ):
            code = run_command(argv)
    except SystemExit as ended:
        code = int(str(ended.code))
    finally:
        os._exit(code)


def _whole(descriptor: int) -> str:
    return os.pread(descriptor, 1 << 20, 0).decode()


def clash(place: Place, pair: tuple[str, str], *, there: bool, delay: float) -> None:
    """`there`: the machine `one` and the master `other` are there before."""
    place = on(place, host_of(pair))
    if there:
        place.ok(*CREATE, "one")
        place.ok(*IMPORT)
    before = place.kept()
    outrun = "start" in pair and bool(STOPPING & set(pair))
    for said in together(place, pair, delay):
        stopped = outrun and said.code == 1 and "one is stopped" in said.err
        assert no_bug(said).code in DONE or stopped, (pair, there, said)
    names = place.names()
    assert {"one", *KEPT} >= set(names) >= set(KEPT)
    if "one" in names:
        place.ok("stop", "one")
        assert json.loads(place.ok("changes", "one", "--format", "json")) == []
    assert place.kept() == before
    place.tidy()


def chances(count: int, seed: int) -> Iterator[tuple[bool, float]]:
    """Whether things are there before, and by how much the second is late: half of the times not at all."""
    chance = random.Random(seed)
    for number in range(count):
        yield number % 2 == 0, chance.choice((0.0, chance.random() * 0.03))


@pytest.mark.parametrize("pair", pairs(), ids="-and-".join)
def test_two_at_once(pair: tuple[str, str], copied: Callable[[], Place]) -> None:
    clash(copied(), pair, there="create" not in pair[0], delay=0.0)


@pytest.mark.full
@pytest.mark.parametrize("pair", pairs(), ids="-and-".join)
def test_two_at_once_again_and_again(pair: tuple[str, str], copied: Callable[[], Place]) -> None:
    for there, delay in chances(20, seed=2):
        clash(copied(), pair, there=there, delay=delay)


def test_the_state_folder_itself_is_made_once(tmp_path: Path, copied: Callable[[], Place]) -> None:
    """The first two commands there ever are, at once."""
    for _ in range(5):
        place = Place(folder=copied().folder / "fresh")
        for said in together(place, ("list", "list"), 0.0):
            assert no_bug(said).code == 0
