"""Cancelling: one operation of a fleet that has several, and Ctrl-C at any moment of a command."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from uuid import UUID

import pytest

from skinnybox import run
from skinnybox.cli.progress import shown
from skinnybox.errors import Cancelled, CommandFailed, GuestFailed
from skinnybox.fleet.power import Stopping
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import Condition
from skinnybox.hosts.fake.host import FakeHost
from skinnybox.model import Instance, Master, Report
from skinnybox.operation import Operation, Step
from tests.fleet.conftest import SPARSE
from tests.fleet.test_disks import write


class SlowGuests(FakeHost):
    """A guest says that it is ready when it is let."""

    def __init__(self, state: Path) -> None:
        super().__init__(state)
        self.let: set[UUID] = set()

    def reports(self, uuids: Iterable[UUID]) -> Mapping[UUID, Report]:
        return {uuid: report for uuid, report in super().reports(uuids).items() if uuid in self.let}


@pytest.fixture
def host(state: Path) -> SlowGuests:
    return SlowGuests(state)


@pytest.fixture
def fleet(state: Path, master: Master, host: SlowGuests) -> Iterator[Fleet]:
    with Fleet(state, host, boots_at_once=2) as opened:
        yield opened


def test_one_that_is_cancelled_ends_and_the_other_is_as_if_nothing_had_been(
    fleet: Fleet, host: SlowGuests
) -> None:
    made = fleet.create(["a", "b"], "tiny", SPARSE)
    results: dict[str, list[object]] = {}
    operations = {name: Operation() for name in ("a", "b")}

    def start(name: str) -> None:
        results[name] = list(fleet.start([name], operation=operations[name], timeout=120))

    threads = [threading.Thread(target=start, args=[name]) for name in operations]
    for thread in threads:
        thread.start()
    until(lambda: fleet.machine("a").condition is Condition.STARTING)
    operations["a"].cancel()
    threads[0].join(60)
    assert not threads[0].is_alive() and threads[1].is_alive()
    host.let = {instance.uuid for instance in made}
    threads[1].join(60)
    [ended], [ready] = results["a"], results["b"]
    assert isinstance(ended.error, Cancelled) and "keeps running" in ended.error.message  # type: ignore[attr-defined]
    assert ready.ok  # type: ignore[attr-defined]
    [again] = fleet.start(["a"])
    assert again.ok


def test_a_bug_in_one_operation_does_not_end_later_ones(
    fleet: Fleet, host: SlowGuests, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = fleet.create(["a", "b"], "tiny", SPARSE)
    host.let = {instance.uuid for instance in made}
    fleet.start(["a", "b"])

    def bug(instance: Instance) -> None:
        raise RuntimeError("a bug of one operation")

    with monkeypatch.context() as patch:
        patch.setattr(host, "power_off", bug)
        with pytest.raises(RuntimeError):
            fleet.kill(["b"])
    fleet.stop(["a"], Stopping())
    host.let.clear()
    threading.Timer(1.0, lambda: host.let.add(made[0].uuid)).start()
    [outcome] = fleet.start(["a"])
    assert outcome.ok


def test_who_waits_for_a_guest_to_power_off_is_let_go(fleet: Fleet, host: SlowGuests) -> None:
    [made] = fleet.create(["a"], "tiny", SPARSE)
    host.let = {made.uuid}
    fleet.start(["a"])
    host.shutdown = lambda instance: None  # type: ignore[method-assign]
    operation = Operation()
    threading.Timer(0.3, operation.cancel).start()
    [outcome] = fleet.stop(["a"], Stopping(timeout=60), operation)
    assert isinstance(outcome.error, Cancelled) and "may still do so" in outcome.error.message


def test_what_was_not_begun_is_told_as_such_and_no_timeout(fleet: Fleet, host: SlowGuests) -> None:
    fleet.create(["m-{1..6}"], "tiny", SPARSE)
    operation = Operation()
    threading.Timer(0.5, operation.cancel).start()
    outcomes = fleet.start(["m-*"], operation=operation)
    assert all(isinstance(outcome.error, Cancelled) for outcome in outcomes)
    said = [outcome.error.message for outcome in outcomes if outcome.error]
    assert [("keeps running" in words, "before it was begun" in words) for words in said] == [
        *[(True, False)] * 2, *[(False, True)] * 4,
    ]  # fmt: skip
    assert [str(machine.condition) for machine in fleet.machines()] == ["starting"] * 2 + ["stopped"] * 4


def test_a_create_that_is_cancelled_leaves_nothing(fleet: Fleet, state: Path) -> None:
    operation = Operation(lambda step: operation.cancel() if step.done else None)
    with pytest.raises(Cancelled):
        fleet.create(["m-{001..300}"], "tiny", SPARSE, operation=operation)
    assert fleet.names() == [] and list((state / "instances").glob("*")) == []


def test_a_copy_is_cancelled_between_two_pieces(fleet: Fleet, state: Path) -> None:
    [made] = fleet.create(["a"], "tiny", SPARSE)
    overlay = state / "instances" / str(made.uuid) / "overlay.img"
    pieces: list[int] = []

    class Watched(Operation):
        def check(self, doing: str = "") -> None:
            pieces.append(1)
            if doing == "copy":
                self.cancel()
            super().check(doing)

    with pytest.raises(Cancelled):
        fleet._host.copy_overlay(made, state / "copy.img", Watched())
    assert pieces and not (state / "copy.img").exists() and overlay.exists()
    write(overlay, "changed")
    operation = Operation()
    operation.cancel()
    with pytest.raises(Cancelled), fleet.overlays.changes("a", operation=operation) as found:
        list(found)


def test_a_guest_that_fails_is_not_told_as_cancelled(fleet: Fleet, host: SlowGuests) -> None:
    [made] = fleet.create(["a"], "tiny", SPARSE)
    operation = Operation()
    fleet.start(["a"], wait=False)
    host.power_off(made)
    operation.cancel()
    [outcome] = fleet.wait(["a"], operation=Operation())
    assert isinstance(outcome.error, GuestFailed)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


SCRIPT = Path(__file__).parents[2] / "bin" / "skinnybox"
WORDS = [sys.executable, str(SCRIPT), "--host", "memory", "--state"]


def begun(state: Path, *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*WORDS, str(state), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("seed", range(3))
def test_ctrl_c_at_any_moment_leaves_no_traceback(state: Path, master: Master, seed: int) -> None:
    """From the first import to the last line: a word, and 130; or it was done already."""
    chance = random.Random(seed)
    usual = time.monotonic()
    subprocess.run([*WORDS, str(state), "create", "first", "-m", "tiny", "--sparse"], check=True)
    usual = time.monotonic() - usual
    for number in range(8):
        with begun(state, "create", f"m{seed}{number}-{{01..40}}", "-m", "tiny", "--sparse") as process:
            time.sleep(chance.random() * 1.7 * usual)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=120)
        if "Traceback" in err and "skinnybox" not in err:
            continue  # Python's own first steps, before any code of ours
        assert "Traceback" not in err and "Exception ignored" not in err, err
        assert process.returncode in (0, 130, -signal.SIGINT), (process.returncode, err)
        made = out.count("created")
        assert made == (40 if process.returncode == 0 else 0) or (made, process.returncode) == (40, 130)
        assert process.returncode in (0, -signal.SIGINT) or "skinnybox: " in err
    left = subprocess.run([*WORDS, str(state), "list", "--names"], check=True, capture_output=True, text=True)
    assert (len(left.stdout.split()) - 1) % 40 == 0


def test_a_program_that_the_same_ctrl_c_ended_is_told_as_cancelled() -> None:
    with pytest.raises(Cancelled, match="was killed by SIGINT"), shown(True) as operation:
        operation.cancel()
        run.run(["sh", "-c", "kill -INT $$"])
    with pytest.raises(CommandFailed), shown(True):
        run.run(["sh", "-c", "kill -INT $$"])


def test_a_second_ctrl_c_does_not_wait(state: Path, master: Master) -> None:
    code = (
        "import sys, time\n"
        "from skinnybox.cli.progress import shown\n"
        "with shown(True) as operation:\n"
        "    print('on', flush=True)\n"
        "    while True: time.sleep(0.05)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "on\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert process.stderr.readline() + process.stderr.readline() == (
            "\nskinnybox: ending what goes on; Ctrl-C again leaves it at once\n"
        )
        assert process.poll() is None
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(60) == 130
        assert "left at once" in process.stderr.read()


def test_a_step_that_a_listener_hears_may_cancel_its_own_operation() -> None:
    heard: list[Step] = []

    def hear(step: Step) -> None:
        heard.append(step)
        operation.cancel()

    operation = Operation(hear)
    operation.step("one")
    with pytest.raises(Cancelled):
        operation.step("two")
    assert len(heard) == 1
