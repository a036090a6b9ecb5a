"""An apply of many machines, in batches: broken off anywhere, it goes on when given again."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from skinnybox.fleet.view import Condition
from skinnybox.operation import Operation, Step
from skinnybox.sizes import MIB
from tests.fleet.conftest import open_fake
from tests.fleet.fleetfile import HEAD, File, conditions


def test_a_hundred_and_more_are_made_in_batches(file: File) -> None:
    steps: list[Step] = []
    file.write(HEAD + "machines:\n  w-{001..130}:\n")
    assert all(outcome.ok for outcome in file.apply(operation=Operation(steps.append)))
    assert len(file.fleet.names()) == 130
    done = [step.done for step in steps]
    assert done == sorted(done)
    assert (done[-1], steps[-1].total) == (130, 130)


def test_interrupted_it_goes_on_when_given_again(file: File) -> None:
    file.write(HEAD + "machines:\n  w-{001..130}: {state: running}\n")

    def interrupt(step: Step) -> None:
        if step.task == "create" and step.done == 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        file.apply(operation=Operation(interrupt))
    assert len(file.fleet.names()) in (0, 100)
    with open_fake(file.path.parent / "state") as again:
        File(again, file.path).apply()
        assert File(again, file.path).plan() == []
        assert set(conditions(again).values()) == {Condition.READY}


ROOT = Path(__file__).parents[2]
SCRIPT = """
import os, signal, sys
from pathlib import Path
from skinnybox.fleet.plan.apply import agreed
from skinnybox.fleet.power import Starting
from skinnybox.fleet.plan.actions import Choices
from tests.fleet.conftest import open_fake
count = 0
def audit(event, arguments):
    global count
    if event in ("os.rename", "os.link", "os.mkdir", "os.truncate", "os.remove", "os.rmdir") or (
        event == "open" and arguments[1] and "w" in str(arguments[1])
    ):
        count += 1
        if count == int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)
with open_fake(Path(sys.argv[1])) as fleet:
    sys.addaudithook(audit)
    choices = Choices(prune=True, recreate=frozenset(sys.argv[4:]))
    fleet.files.apply(Path(sys.argv[2]), choices, Starting(), agreed)
print(count)
"""
AFTER = HEAD.replace("256M", "512M") + "machines:\n  web-{2..6}: {state: running}\n  db: {cpus: 2}\n"


def struck(file: File, state: Path, at: int) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-c", SCRIPT, str(state), str(file.path), str(at), "web-2"]
    return subprocess.run(argv, cwd=ROOT, check=False, capture_output=True, text=True)


@pytest.mark.parametrize("part", range(6))
def test_killed_anywhere_it_converges_when_given_again(file: File, state: Path, part: int) -> None:
    """Deletes, recreates, creates, changes, starts: kill -9 at a change to the disk, one of each sixth."""
    file.apply()
    file.write(AFTER)
    most = 90
    at = random.Random(part).randrange(1 + part * most // 6, 1 + (part + 1) * most // 6)
    ended = struck(file, state, at)
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
    with open_fake(state) as again:
        found = File(again, file.path)
        assert [outcome for outcome in found.apply(prune=True) if not outcome.ok] == [], at
        assert found.plan(prune=True) == [], at
        running = {f"web-{number}": Condition.READY for number in range(2, 7)}
        assert conditions(again) == {"db": Condition.STOPPED, **running}
        assert len(list((state / "instances").iterdir())) == 6
        assert {m.instance.memory for m in again.machines()} == {512 * MIB}
