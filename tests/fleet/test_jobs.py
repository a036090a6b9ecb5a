"""Jobs: what was asked for, by whom, and what came of it. Never what decides about a machine."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from skinnybox.errors import Cancelled, CommandFailed, Conflict, NotFound
from skinnybox.fleet import jobs
from skinnybox.fleet.as_job import as_job
from skinnybox.fleet.catalog import jobs as table
from skinnybox.fleet.jobs import Actor, Condition, on_behalf_of
from skinnybox.fleet.power import Stopping
from skinnybox.fleet.service import Fleet
from skinnybox.model import Instance
from skinnybox.operation import Operation, Step
from tests.fleet.conftest import SPARSE, open_fake, said

Made = dict[str, Instance]


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_was_asked_for_is_told(fleet: Fleet) -> None:
    fleet.create(["a", "b"], "tiny", SPARSE)
    fleet.start(["a"])
    [made, started] = fleet.jobs.all()
    assert (made.verb, made.subjects, made.condition) == ("create", ("a", "b"), Condition.DONE)
    assert [result.name for result in made.results] == ["a", "b"]
    assert (started.verb, started.subjects, started.results[0].error) == ("start", ("a",), None)
    assert started.begun <= (started.ended or "")
    assert started.origin == f"process {os.getpid()}"


def test_what_failed_is_told_with_the_reason(fleet: Fleet) -> None:
    fleet.create(["a"], "tiny", SPARSE)
    fleet.start(["a"])
    fleet.delete(["a"])  # it runs
    with pytest.raises(NotFound):
        fleet.stop(["nobody"], Stopping())
    [*_, refused, unknown] = fleet.jobs.all()
    assert refused.condition is Condition.FAILED
    assert "needs it stopped" in (refused.results[0].error or "")
    assert (unknown.condition, unknown.subjects) == (Condition.FAILED, ("nobody",))
    assert "nobody" in (unknown.error or "")


def test_what_is_a_part_of_a_job_is_none_of_its_own(fleet: Fleet) -> None:
    fleet.create(["a"], "tiny", SPARSE)
    fleet.start(["a"])
    fleet.restart(["a"], Stopping())
    assert [job.verb for job in fleet.jobs.all()] == ["create", "start", "restart"]


def test_who_looks_on_leaves_no_job(fleet: Fleet) -> None:
    fleet.create(["a"], "tiny", SPARSE)
    fleet.machines(), fleet.names(), fleet.capacity(1 << 20), fleet.masters.all()
    assert len(fleet.jobs.all()) == 1


LOOKING = """
import sys
from skinnybox.cli.main import run_command
here = ["--state", sys.argv[1], "--host", "fake"]
for words in (["list"], ["show", "a"], ["capacity"], ["master", "list"], ["snapshot", "list", "a"]):
    assert run_command([*words, *here]) == 0, words
    print([name for name in sys.modules if "fleet.jobs" in name or "catalog.job" in name])
"""


def test_who_looks_on_waits_for_none_of_it(fleet: Fleet, state: Path) -> None:
    """Not even for its import: commands that only read start as fast as they did without jobs."""
    fleet.create(["a"], "tiny", SPARSE)
    words = [sys.executable, "-c", LOOKING, str(state)]
    done = subprocess.run(words, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines().count("[]") == 5


def test_who_asks_is_who_signed_in(fleet: Fleet) -> None:
    with on_behalf_of(Actor(name="alice", origin="192.0.2.7")):
        fleet.create(["a"], "tiny", SPARSE)
    fleet.start(["a"])
    [hers, ours] = fleet.jobs.all()
    assert (hers.actor, hers.origin) == ("alice", "192.0.2.7")
    assert ours.actor != "alice"


def test_who_stands_behind_sudo_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "alice")
    monkeypatch.setattr(os, "getuid", lambda: 0)
    assert jobs.who_runs_this().name == "alice as root"


class Slow:
    """Something of a fleet that takes its time."""

    def __init__(self, fleet: Fleet) -> None:
        self._catalog = fleet._catalog

    @as_job("dawdle")
    def dawdle(self, names: list[str], operation: Operation) -> None:
        operation.note("this takes long")
        for number in range(600):
            operation.step("dawdling", done=number, total=600, detail="x")
            operation.sleep(0.05)


def test_another_process_ends_it(fleet: Fleet, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_POLL", 0.05)
    fleet.create(["a"], "tiny", SPARSE)
    seen: list[Step] = []
    ended: list[BaseException] = []

    def run() -> None:
        try:
            Slow(fleet).dawdle(["a"], Operation(seen.append))
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    with open_fake(state) as other:
        until(lambda: other.jobs.all()[-1].step is not None)
        [job] = other.jobs.all(running=True)
        assert job.step is not None and job.step["task"] == "dawdling"
        other.jobs.cancel(job.number)
        told = list(other.jobs.followed(job.number))
    thread.join(30)
    assert [type(error) for error in ended] == [Cancelled]
    assert (told[-1].condition, told[-1].log) == (Condition.CANCELLED, "this takes long\n")
    assert seen  # the caller's own listener heard of it as well
    with pytest.raises(Conflict, match="cancelled"):
        fleet.jobs.cancel(job.number)


def test_the_callers_own_cancel_ends_it(fleet: Fleet) -> None:
    fleet.create(["a"], "tiny", SPARSE)
    asked = Operation()
    asked.cancel()
    with pytest.raises(Cancelled):
        Slow(fleet).dawdle(["a"], asked)
    assert fleet.jobs.all()[-1].condition is Condition.CANCELLED


def test_a_program_that_the_same_ctrl_c_ended_was_not_the_fault(fleet: Fleet) -> None:
    """A terminal gives it to the programs we started as well."""

    class Building(Slow):
        @as_job("build")
        def build(self, names: list[str], operation: Operation) -> None:
            raise CommandFailed("mkfs was killed by SIGINT", returncode=-signal.SIGINT)

    fleet.create(["a"], "tiny", SPARSE)
    asked = Operation()
    with pytest.raises(CommandFailed):
        Building(fleet).build(["a"], asked)
    asked.cancel()
    with pytest.raises(CommandFailed):
        Building(fleet).build(["a"], asked)
    assert [job.condition for job in fleet.jobs.all()[1:]] == [Condition.FAILED, Condition.CANCELLED]


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.fleet.conftest import open_fake
from tests.fleet.test_jobs import Slow
from skinnybox.operation import Operation
with open_fake(Path(sys.argv[1])) as fleet:
    def listener(step): os.kill(os.getpid(), int(sys.argv[2]))
    Slow(fleet).dawdle(["a"], Operation(listener))
"""


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_what_a_killed_process_leaves_is_interrupted(fleet: Fleet, state: Path, by: signal.Signals) -> None:
    fleet.create(["a"], "tiny", SPARSE)
    words = [sys.executable, "-c", KILLED, str(state), str(int(by))]
    # Whoever runs us under nohup has us ignore one of them, and so would the child.
    child = subprocess.run(
        words, cwd=Path(__file__).parents[2], preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL)
    )
    assert child.returncode == -by
    job = fleet.jobs.all()[-1]
    assert (job.verb, job.condition, job.ended) == ("dawdle", Condition.INTERRUPTED, None)
    with pytest.raises(Conflict, match="interrupted"):
        fleet.jobs.cancel(job.number)
    assert [seen.condition for seen in fleet.jobs.followed(job.number)] == [Condition.INTERRUPTED]


def test_work_goes_on_where_no_job_can_be_written(fleet: Fleet, state: Path) -> None:
    fleet.create(["a"], "tiny", SPARSE)
    with closing(sqlite3.connect(state / "state.db")) as db, db:
        db.execute("CREATE TRIGGER no_jobs BEFORE INSERT ON jobs BEGIN SELECT RAISE(ABORT, 'no'); END")
    assert fleet.start(["a"])[0].ok
    assert len(fleet.jobs.all()) == 1


def test_the_first_machines_job_is_told_as_well(state: Path, master: object) -> None:
    """Their catalog is made by that very job."""
    with open_fake(state) as fleet:
        fleet.create(["a"], "tiny", SPARSE)
        [job] = fleet.jobs.all()
    assert (job.verb, job.condition, [result.name for result in job.results]) == (
        "create",
        Condition.DONE,
        ["a"],
    )


def test_who_only_asks_in_vain_makes_no_catalog(tmp_path: Path) -> None:
    with open_fake(tmp_path / "nothing") as fleet:
        with pytest.raises(NotFound):
            fleet.start(["a"])
        assert fleet.jobs.all() == []
    assert not (tmp_path / "nothing").exists()


def test_only_so_many_are_kept(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "KEPT", 3)
    fleet.create(["a"], "tiny", SPARSE)
    for _ in range(5):
        fleet.kill(["a"])
    assert [job.number for job in fleet.jobs.all()] == [4, 5, 6]


def test_a_long_log_is_bounded(fleet: Fleet) -> None:
    fleet.create(["a"], "tiny", SPARSE)

    class Loud(Slow):
        @as_job("shout")
        def shout(self, names: list[str], operation: Operation) -> None:
            for _ in range(3000):
                operation.note("x" * 100)

    Loud(fleet).shout(["a"], Operation())
    assert len(fleet.jobs.all()[-1].log) == table.LONGEST_LOG


def test_what_is_said_before_a_long_silence_is_told_meanwhile(fleet: Fleet) -> None:
    fleet.create(["a"], "tiny", SPARSE)
    told = threading.Event()

    def work(operation: Operation) -> None:
        operation.note("now it takes long")
        while not told.is_set():
            operation.sleep(0.05)

    number = fleet.background.begin(Actor(name="x", origin="y"), "work", [], work)
    until(lambda: fleet.jobs.one(number).log == "now it takes long\n")
    told.set()
    fleet.background.end()


def test_an_earlier_version_reads_the_catalog(made: Made, state: Path) -> None:
    """Jobs are no part of the format."""
    with closing(sqlite3.connect(state / "state.db")) as db, db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        db.execute("DROP TABLE jobs")
    with open_fake(state) as fleet:
        assert fleet.jobs.all() == []
        assert fleet.start(["a"])[0].ok
        assert len(fleet.jobs.all()) == 1


@pytest.mark.parametrize("broken", ["subjects = '{'", "condition = 'x'", "step = '[1'", "results = '[[1]]'"])
def test_a_job_that_cannot_be_read_is_damage_with_a_name(made: Made, state: Path, broken: str) -> None:
    with closing(sqlite3.connect(state / "state.db")) as db, db:
        db.execute(f"UPDATE jobs SET {broken}")
    with open_fake(state) as fleet:
        with pytest.raises(Exception, match="job 1 cannot be read"):
            fleet.jobs.all()
        assert fleet.start(["a"])[0].ok


def test_the_command_line(made: Made, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = ("--state", str(state), "--host", "memory")
    assert said(capsys, "start", *here, "a").code == 0
    shown = said(capsys, "jobs", "list", *here, "--format", "json")
    records = json.loads(shown.out)
    assert [record["verb"] for record in records] == ["create", "start"]
    assert records[1]["results"] == [{"name": "a", "error": None}]
    table_ = said(capsys, "jobs", "list", *here, "-n", "1").out.splitlines()
    assert len(table_) == 2
    assert table_[1].split()[:4] == ["2", "start", "a", "done"]
    assert "1 done" in said(capsys, "jobs", "show", *here, "2").out
    assert said(capsys, "jobs", "list", *here, "--running", "--no-headers").out == ""
    followed = said(capsys, "jobs", "follow", *here, "2")
    assert (followed.code, followed.out) == (0, "job 2: done\n")
    assert said(capsys, "jobs", "cancel", *here, "2").code == Conflict.exit_code
    assert said(capsys, "jobs", "show", *here, "9").code == NotFound.exit_code
    assert said(capsys, "delete", *here, "-y", "a").code != 0  # it runs
    assert said(capsys, "jobs", "follow", *here, "3").code == 1


def test_the_first_job_of_a_server_has_a_number(tmp_path: Path) -> None:
    """It is answered with, though there is no catalog yet."""
    with open_fake(tmp_path / "new") as fleet:
        number = fleet.background.begin(
            Actor(name="alice", origin="192.0.2.7"), "x", [], lambda operation: operation.sleep(0)
        )
        assert fleet.jobs.one(number).actor == "alice"
        fleet.background.end()
