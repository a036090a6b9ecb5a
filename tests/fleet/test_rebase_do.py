"""`rebase`: a trial that passes, hangs, lies or dies, and the way back."""

import errno
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import Blocked, Conflict, GuestFailed, NoSpace, NotFound, TimedOut, Unsupported
from skinnybox.fleet.power import Stopping
from skinnybox.fleet.rebase_rollout import Rollout
from skinnybox.fleet.rebase_run import Stage
from skinnybox.fleet.rebases import Wishes
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import Condition
from skinnybox.hosts.fake.host import FakeHost
from skinnybox.model import Instance, TrialPhase
from skinnybox.overlays import inspect, space
from skinnybox.sizes import MIB
from tests.fleet import rebasing
from tests.fleet.conftest import SPARSE, said
from tests.fleet.rebasing import agrees, guests, has, moved, on_new, rebase
from tests.fleet.test_disks import image
from tests.fleet.test_rebase import _tree, put, two_masters
from tests.samples import seal
from tests.unit.elves import an_elf

__all__ = ["two_masters"]
fleet = rebasing.fleet_of_two


@pytest.fixture
def web(fleet: Fleet, state: Path) -> Instance:
    """Off, on web:1, with a file of its own."""
    [instance] = fleet.create(["web"], "web:1", SPARSE)
    put(image(state, instance), "own", "mine")
    return instance


def test_one_that_was_off_has_its_trial_and_is_off_again(fleet: Fleet, state: Path, web: Instance) -> None:
    found = moved(fleet, "web")
    assert (found.old, found.new, found.stage, found.kept) == (
        "web:1",
        "web:2",
        Stage.PASSED,
        "before-rebase-1",
    )
    machine = agrees(fleet, state, "web")
    assert machine.instance.stack.reference == "web:2" and machine.told == "stopped, kept"
    assert has(state, web, "own") == "mine"
    kinds = [str(event.kind) for event in fleet.events(["web"])]
    assert kinds == ["trial", "started", "ready", "rebased", "ended"]
    [(_, kept)] = fleet.overlays.snapshots(["web"])
    assert kept.label == "before-rebase-1" and kept.instance.stack == web.stack
    assert moved(fleet, "web").stage is Stage.THERE


def test_one_that_ran_runs_again(fleet: Fleet, state: Path, web: Instance) -> None:
    fleet.start(["web"])
    assert moved(fleet, "web").stage is Stage.PASSED
    assert agrees(fleet, state, "web").told == "ready, kept"


BAD = {
    "hangs": (rebasing.hangs, TimedOut, "was not ready on web:2 after 1 s"),
    "fails": (rebasing.fails, GuestFailed, "is failed on web:2: dpkg --configure -a ended with 1"),
    "checks": (rebasing.checks_itself, TimedOut, "its check fails: curl"),
    "start": (rebasing.lies_about_its_start, TimedOut, "was not ready on web:2"),
    "system": (rebasing.lies_about_its_system, GuestFailed, "is mismatch on web:2: booted"),
    "tasks": (rebasing.lies_about_its_tasks, TimedOut, "was not ready on web:2"),
    "unit": (rebasing.lacks_a_unit, TimedOut, "not active since its rebase: apache2.service"),
    "dies": (rebasing.dies, GuestFailed, "went off on web:2 before it was ready"),
}


@pytest.mark.parametrize("ran", [False, True])
@pytest.mark.parametrize("bad", BAD)
def test_what_is_not_ready_has_its_old_system_back(
    fleet: Fleet, state: Path, web: Instance, monkeypatch: pytest.MonkeyPatch, bad: str, *, ran: bool
) -> None:
    guest, kind, why = BAD[bad]
    if ran:
        fleet.start(["web"])
    guests(monkeypatch, on_new(guest, fleet.masters.find("web:2").images[0].digest))
    before = image(state, web).stat().st_ino
    [outcome] = rebase(fleet, "web")
    assert isinstance(outcome.error, kind) and why in outcome.error.message
    assert "on web:1 again" in outcome.error.message and "snapshot after-rebase-2" in outcome.error.message
    assert ("it was started again" in outcome.error.message) is ran
    machine = agrees(fleet, state, "web")
    assert machine.instance == web and image(state, web).stat().st_ino == before
    assert machine.condition is (Condition.READY if ran else Condition.STOPPED)
    assert str(fleet.events(["web"])[-2 if ran else -1].kind) in ("rolled-back", "started")
    assert [kept.label for _, kept in fleet.overlays.snapshots(["web"])] == ["after-rebase-2"]


def test_a_trial_is_written_down_before_the_power_comes_on(
    fleet: Fleet, web: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = FakeHost.start, []

    def start(self: FakeHost, instance: Instance, *words: object) -> object:
        seen.append(next(each for each in self.records() if each.uuid == web.uuid).trial)
        return real(self, instance, *words)  # type: ignore[arg-type]

    monkeypatch.setattr(FakeHost, "start", start)
    moved(fleet, "web")
    assert seen[0] is not None and seen[0].phase is TrialPhase.RUNNING and seen[0].started is not None


def test_what_cannot_start_is_as_it_was(
    fleet: Fleet, state: Path, web: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(self: FakeHost, *words: object) -> None:
        raise Conflict("no memory for it")

    monkeypatch.setattr(FakeHost, "start", refused)
    [outcome] = rebase(fleet, "web")
    assert outcome.error and outcome.error.message.startswith("no memory for it; it has its system on web:1")
    assert agrees(fleet, state, "web").instance == web


def test_what_cannot_be_built_is_as_it_was_and_runs_as_it_ran(
    fleet: Fleet, state: Path, web: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    from skinnybox.delta.rebase import doing

    def disputed(*words: object, **more: object) -> None:
        raise Conflict("web: 1 in dispute: /etc/web.conf", hint="--dry-run lists them")

    monkeypatch.setattr(doing, "build", disputed)
    fleet.start(["web"])
    [outcome] = rebase(fleet, "web")
    assert isinstance(outcome.error, Conflict) and outcome.error.exit_code == 4
    assert "it stays on web:1, and it was started again" in outcome.error.message
    machine = agrees(fleet, state, "web")
    assert machine.instance == web and machine.told == "ready"
    assert fleet.overlays.snapshots(["web"]) == []


def test_what_does_not_take_its_place_is_as_it_was(
    fleet: Fleet, state: Path, web: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its record was ahead by then."""
    from skinnybox.hosts.local import copies

    def refused(beside: Path, target: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    fleet.start(["web"])
    with monkeypatch.context() as patch:
        patch.setattr(copies, "put_in_place", refused)
        [outcome] = rebase(fleet, "web")
    assert outcome.error is not None and "and it was started again" in outcome.error.message
    machine = agrees(fleet, state, "web")
    assert machine.instance == web and machine.told == "ready"
    assert moved(fleet, "web").stage is Stage.PASSED


def test_the_way_back_later(fleet: Fleet, state: Path, web: Instance) -> None:
    fleet.start(["web"])
    moved(fleet, "web")
    [back] = fleet.rebases.rollback(["web"])
    assert back.value is not None and back.value.stage is Stage.ROLLED_BACK
    assert back.value.why == "what it had on web:2 is in its snapshot after-rebase-2; it was started again"
    assert agrees(fleet, state, "web").instance == web and fleet.machine("web").told == "ready"
    [again] = fleet.rebases.rollback(["web"])
    assert isinstance(again.error, NotFound) and "has no rebase to decide" in again.error.message
    assert moved(fleet, "web").stage is Stage.PASSED


def test_one_that_cannot_be_put_back_runs_as_it_ran(
    fleet: Fleet, state: Path, web: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved(fleet, "web")
    assert fleet.overlays.grow(["web"], 96 * MIB)[0].ok  # so that it has to be copied
    fleet.start(["web"])

    def full(*words: object) -> None:
        raise NoSpace("full")

    with monkeypatch.context() as patch:
        patch.setattr(space, "make_blank", full)
        [outcome] = fleet.rebases.rollback(["web"])
    assert outcome.error is not None
    assert outcome.error.message == "full; it stays on web:2, and it was started again"
    assert agrees(fleet, state, "web").told == "ready, kept"
    assert fleet.rebases.rollback(["web"])[0].error is None


def test_no_image_is_written_in_place(fleet: Fleet, state: Path, web: Instance) -> None:
    """T14: what was before is the very file, with every byte of it; what comes is another."""

    def seen(path: Path) -> tuple[int, int, bytes]:
        return path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes()

    disk = image(state, web)
    before, kept = seen(disk), disk.with_name("snapshots")
    moved(fleet, "web")
    after = disk.stat().st_ino
    assert seen(kept / "before-rebase-1.img") == before and after != before[0]
    fleet.rebases.rollback(["web"])
    assert seen(disk) == before and (kept / "after-rebase-2.img").stat().st_ino == after


def test_giving_it_up(fleet: Fleet, web: Instance, capsys: pytest.CaptureFixture[str]) -> None:
    assert isinstance(fleet.rebases.commit(["web"])[0].error, NotFound)
    moved(fleet, "web")
    assert said(capsys, "rebase", "web", "--commit").code == 2
    done = said(capsys, "rebase", "web", "--commit", "--yes")
    assert done.code == 0 and done.out.splitlines()[1].split()[:4] == ["web", "web:1", "web:2", "committed"]
    assert fleet.machine("web").instance.trial is None and fleet.overlays.snapshots(["web"]) == []
    assert isinstance(fleet.rebases.rollback(["web"])[0].error, NotFound)


OF_ONTO = (
    "--dry-run", "--explain /etc", "--rules x", "--take /etc", "--keep 3", "--no-start", "--on-fail rollback",
    "--on-conflict ours", "--timeout 9", "--check true",
)  # fmt: skip


def test_what_is_said_of_a_rebase_is_no_word_of_giving_it_up(
    fleet: Fleet, web: Instance, capsys: pytest.CaptureFixture[str]
) -> None:
    moved(fleet, "web")
    for words in OF_ONTO:
        refused = said(capsys, "rebase", "web", "--commit", "--yes", *words.split())
        assert refused.code == 2 and f"{words.split()[0]} goes with --onto" in refused.err
    assert fleet.machine("web").instance.trial is not None


def test_one_way_back_and_no_more(fleet: Fleet, web: Instance) -> None:
    moved(fleet, "web")
    [outcome] = rebase(fleet, "web", onto="web:1")
    assert isinstance(outcome.error, Blocked) and outcome.error.hint
    assert "`skinnybox rebase web --commit` gives it up" in outcome.error.hint


def test_who_has_not_tried_one_master_is_told_what_helps_before_another(fleet: Fleet, web: Instance) -> None:
    """Not to commit: that is refused, as nothing is decided."""
    moved(fleet, "web", Rollout(start=False))
    [outcome] = rebase(fleet, "web", onto="web:1")
    assert isinstance(outcome.error, Blocked) and "that is not decided yet" in outcome.error.message
    hint = "`skinnybox start web` tries it; `skinnybox rollback web` takes it back"
    assert outcome.error.hint == hint


@pytest.mark.parametrize("ran", [False, True])
def test_what_is_in_dispute_is_told_with_a_command_that_says_all_of_it(
    fleet: Fleet, state: Path, web: Instance, capsys: pytest.CaptureFixture[str], *, ran: bool
) -> None:
    put(image(state, web), "etc/web.conf", "mine\n")
    if ran:
        fleet.start(["web"])
    refused = said(capsys, "rebase", "web", "--onto", "web:2")
    assert refused.code == 4 and "skinnybox: web: it is in dispute who wins: /etc/web.conf" in refused.err
    commands = re.findall("`skinnybox ([^`]*)`", refused.err)
    assert [said(capsys, *command.split()).code for command in commands] == [0, 4][not ran :]


def test_only_built(fleet: Fleet, state: Path, web: Instance) -> None:
    found = moved(fleet, "web", Rollout(start=False))
    assert found.stage is Stage.BUILT and agrees(fleet, state, "web").told == "stopped, trial at next start"
    assert moved(fleet, "web", Rollout(start=False)).stage is Stage.BUILT
    assert fleet.start(["web"])[0].ok
    assert fleet.machine("web").told == "ready, kept"


def test_one_that_runs_is_not_only_built(fleet: Fleet, web: Instance) -> None:
    fleet.start(["web"])
    [outcome] = rebase(fleet, "web", how=Rollout(start=False))
    assert isinstance(outcome.error, Blocked) and "--no-start needs it stopped" in outcome.error.message
    assert fleet.machine("web").condition is Condition.READY


def test_a_start_that_is_a_trial_and_fails(
    fleet: Fleet, state: Path, web: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved(fleet, "web", Rollout(start=False))
    guests(monkeypatch, on_new(rebasing.fails, fleet.masters.find("web:2").images[0].digest))
    [outcome] = fleet.start(["web"])
    assert isinstance(outcome.error, GuestFailed) and "on web:1 again" in outcome.error.message
    assert agrees(fleet, state, "web").instance == web


def test_a_trial_that_nobody_waits_for_is_decided_by_who_comes_next(
    fleet: Fleet, state: Path, web: Instance
) -> None:
    found = moved(fleet, "web", Rollout(wait=False, timeout=600))
    assert found.stage is Stage.TRIAL and found.until is not None
    assert fleet.machine("web").told.startswith("ready, trial until ")
    assert fleet.stop(["web"], Stopping())[0].ok
    assert agrees(fleet, state, "web").told == "stopped, kept"


def test_one_that_ended_before_it_was_ready_is_taken_back_by_who_comes_next(
    fleet: Fleet,
    state: Path,
    web: Instance,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    guests(monkeypatch, on_new(rebasing.hangs, fleet.masters.find("web:2").images[0].digest))
    moved(fleet, "web", Rollout(wait=False, timeout=600))
    fleet._host.power_off(web)
    assert fleet.machine("web").told.startswith("stopped, trial until ")
    started = said(capsys, "start", "web")
    assert started.code == 0 and "went off on web:2 before it was ready" in started.err
    assert agrees(fleet, state, "web").instance == web and fleet.machine("web").told == "ready"


def test_a_deadline_that_passed_unseen(
    fleet: Fleet, state: Path, web: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    from time import sleep

    guests(monkeypatch, on_new(rebasing.hangs, fleet.masters.find("web:2").images[0].digest))
    moved(fleet, "web", Rollout(wait=False, timeout=1))
    sleep(1.1)
    assert fleet.set(["web"], {"cpus": 2})[0].ok
    machine = agrees(fleet, state, "web")
    assert machine.condition is Condition.STOPPED and machine.instance.stack == web.stack
    assert machine.instance.cpus == 2


def test_wait_decides_what_is_over(fleet: Fleet, web: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    """How long a trial may last was said when it was begun, and who waits for less has not failed it."""
    with monkeypatch.context() as patch:
        guests(patch, rebasing.on_new(rebasing.hangs, fleet.masters.find("web:2").images[0].digest))
        moved(fleet, "web", Rollout(wait=False, timeout=600))
        for word in (fleet.wait, fleet.start):
            [early] = word(["web"], timeout=1)
            assert isinstance(early.error, TimedOut) and "its trial goes on until" in early.error.message
    assert fleet.wait(["web"])[0].ok and fleet.machine("web").told == "ready, kept"


def test_wait_takes_back_what_is_late(fleet: Fleet, web: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    guests(monkeypatch, rebasing.on_new(rebasing.hangs, fleet.masters.find("web:2").images[0].digest))
    moved(fleet, "web", Rollout(wait=False, timeout=2))
    [late] = fleet.wait(["web"])
    assert isinstance(late.error, TimedOut) and "on web:1 again" in late.error.message
    assert fleet.machine("web").instance == web


def test_the_form_that_programs_read(fleet: Fleet, web: Instance, capsys: pytest.CaptureFixture[str]) -> None:
    done = said(capsys, "rebase", "web", "--onto", "web:2", "--format", "json")
    assert json.loads(done.out) == [
        {"name": "web", "from": "web:1", "onto": "web:2", "state": "passed", "kept": "before-rebase-1",
         "until": None, "reason": None, "hint": None}
    ]  # fmt: skip
    shown = json.loads(said(capsys, "list", "--format", "json").out)[0]["trial"]
    assert (shown["phase"], shown["before"], shown["kept"]) == ("passed", "web:1", "before-rebase-1")
    assert shown["until"] is None
    assert "kept: web:1 before, in the snapshot before-rebase-1" in said(capsys, "show", "web").out
    columns = said(capsys, "list", "--columns", "name,trial", "--no-headers").out
    assert columns.split() == ["web", "kept"]


@pytest.fixture
def older(fleet: Fleet, state: Path, tmp_path: Path) -> str:
    """web:3, as web:2, with a guest part that knows of no rebase."""
    _tree(tmp_path / "tree-web-3", "2", protocol=3)
    return seal(state, tmp_path, "web", "3", unrelated=True).reference


def test_a_check_that_its_guest_does_not_know_is_refused_beforehand(
    fleet: Fleet, web: Instance, older: str
) -> None:
    fleet.start(["web"])
    [outcome] = rebase(fleet, "web", onto=older, how=Rollout(check="true"))
    assert isinstance(outcome.error, Unsupported) and "does not know check" in outcome.error.message
    assert fleet.machine("web").instance == web
    assert "ended" not in {str(event.kind) for event in fleet.events(["web"])}


def test_tasks_that_its_guest_does_not_know_are_refused_with_all_as_it_was(
    fleet: Fleet, state: Path, web: Instance, older: str
) -> None:
    """It would say nothing of them, and pass. The plan says so beforehand."""
    summary, told = fleet.rebases.plan("web", older, Wishes())
    assert summary.standing == "blocked" and told[-1].kind == "guest part" and "protocol 3" in told[-1].detail
    before = image(state, web).stat().st_ino
    [outcome] = rebase(fleet, "web", onto=older)
    assert isinstance(outcome.error, Unsupported) and "(configure)" in outcome.error.message
    assert agrees(fleet, state, "web").instance == web and image(state, web).stat().st_ino == before


def test_one_that_would_not_be_whole_is_as_it_was_and_runs_again(
    fleet: Fleet, state: Path, web: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the half of the gate that needs no machine: its program would not find what web:2 has no more."""
    _tree(tmp_path / "tree-libs-1", "1")
    _tree(tmp_path / "tree-libs-2", "2")
    (tmp_path / "tree-libs-1/usr/lib/libx.so.1").write_bytes(an_elf(soname="libx.so.1"))
    old, new = (seal(state, tmp_path, "libs", each, unrelated=True) for each in "12")
    [lib] = fleet.create(["lib"], old.reference, SPARSE)
    put(image(state, lib), "usr/local/bin/own", "")
    content = tmp_path / "own"
    content.write_bytes(an_elf(["libx.so.1"]))
    orders = ["rm upper/usr/local/bin/own", f"write {content} upper/usr/local/bin/own"]
    orders += ["set_inode_field upper/usr/local/bin/own mode 0100755"]
    for order in orders:
        run.run(["debugfs", "-w", "-R", order, image(state, lib)])
    fleet.start(["lib"])
    monkeypatch.setattr(FakeHost, "features", replace(FakeHost.features, boots=True))
    before = image(state, lib).stat().st_ino
    [outcome] = rebase(fleet, "lib", onto=new.reference)
    assert isinstance(outcome.error, Blocked) and "libx.so.1" in outcome.error.message
    assert "it was started again" in outcome.error.message
    assert agrees(fleet, state, "lib").instance == lib and image(state, lib).stat().st_ino == before
    assert list(fleet.overlays.snapshots(["lib"])) == []


def test_a_check_counts_from_the_trial_on(fleet: Fleet, state: Path, web: Instance) -> None:
    [outcome] = rebase(fleet, "web", how=Rollout(check="true"))
    assert outcome.error is None, outcome.error
    now = agrees(fleet, state, "web").instance
    assert (now.check, now.seed.generation) == ("true", 2)
    assert inspect.read_generation(image(state, now)) == 2


@pytest.mark.parametrize(
    ("before", "rebased", "since", "after"),
    [("", "true", "", None), ("", "true", "id", "id"), ("", None, "id", "id"), ("id", None, "", "id")],
)
def test_the_way_back_takes_the_check_of_the_rebase_and_no_other(
    fleet: Fleet, web: Instance, capsys: pytest.CaptureFixture[str], before: str, rebased: str | None,
    since: str, after: str | None,
) -> None:  # fmt: skip
    if before:
        said(capsys, "set", "web", "--check", before)
    [outcome] = rebase(fleet, "web", how=Rollout(check=rebased))
    if since:
        said(capsys, "set", "web", "--check", since)
    [back] = fleet.rebases.rollback(["web"])
    now = fleet.machine("web").instance
    assert outcome.error is None and back.error is None
    assert now.check == after and now.stack == web.stack


def test_one_whose_check_fails_is_as_it_was(
    fleet: Fleet, state: Path, web: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = fleet.masters.find("web:2").images[0].digest
    guests(monkeypatch, on_new(rebasing.checks_itself, digest))
    before = image(state, web).stat().st_ino
    [outcome] = rebase(fleet, "web", how=Rollout(timeout=1, check="curl"))
    assert isinstance(outcome.error, TimedOut) and "its check fails: curl" in outcome.error.message
    assert agrees(fleet, state, "web").instance == web and image(state, web).stat().st_ino == before
