"""A master that another version of the file names: blocked, or with --rebase a rebase on trial."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from skinnybox.fleet.catalog.rows import Doing
from skinnybox.fleet.lease import leased
from skinnybox.fleet.plan.actions import Action, Choices, Target, Verb, plan
from skinnybox.fleet.plan.values import Desired
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import MachineView
from skinnybox.masters.manifest import as_bytes, record_of
from skinnybox.model import Instance, Overlay, Trial, TrialPhase
from skinnybox.sizes import GIB, MIB
from tests.fleet import rebasing
from tests.fleet.conftest import SPARSE, said
from tests.fleet.planned import FLEET, LAMP1, LAMP2, SPEC, machine, wanted
from tests.fleet.rebasing import agrees, guests, with_free
from tests.fleet.test_disks import image
from tests.fleet.test_rebase import put
from tests.fleet.test_rebase_do import fleet, two_masters, web

__all__ = ["fleet", "two_masters", "web"]

TRIAL = Trial(
    before=LAMP1, kept="before-rebase-1", since=datetime.now(UTC), phase=TrialPhase.BUILT, patience=300,
    started=None, identifier="ab",
)  # fmt: skip


def planned(now: MachineView, choices: Choices, **fields: object) -> tuple[Action, ...]:
    machines = (replace(wanted(stack=LAMP2), **fields),)  # type: ignore[arg-type]
    return plan(Desired(fleet=FLEET, machines=machines), [now], choices)


def test_without_a_word_it_is_blocked_and_says_which() -> None:
    [action] = planned(machine(wanted()), Choices())
    assert action.verb is Verb.BLOCKED and "--rebase puts it on that master" in (action.hint or "")
    assert "--recreate web-1" in (action.hint or "")


def test_with_it_it_is_a_rebase() -> None:
    [action] = planned(machine(wanted()), Choices(rebase=True))
    assert action.verb is Verb.REBASE and action.note == "on trial, with the way back"
    assert [(d.what, d.before, d.after) for d in action.differences] == [("master", "lamp:1", "lamp:2")]


def test_it_comes_before_what_needs_the_new_one() -> None:
    larger = replace(SPEC, overlay=Overlay(size=2 * GIB))
    actions = planned(machine(wanted()), Choices(rebase=True), specification=larger, state=Target.RUNNING)
    assert [action.verb for action in actions] == [Verb.REBASE, Verb.GROW, Verb.START]


def of_now(now: MachineView, trial: Trial, **fields: object) -> MachineView:
    return replace(now, instance=replace(now.instance, trial=trial, **fields))  # type: ignore[arg-type]


def test_one_that_is_not_committed_is_blocked() -> None:
    [action] = planned(of_now(machine(wanted()), TRIAL), Choices(rebase=True))
    assert action.verb is Verb.BLOCKED and action.reason == "it was rebased, and that is not committed"


def test_what_its_disk_is_needed_for_waits_for_the_decision() -> None:
    larger = replace(SPEC, overlay=Overlay(size=2 * GIB))
    now = of_now(machine(wanted(stack=LAMP2)), TRIAL)
    [action] = planned(now, Choices(), specification=larger)
    assert (action.verb, action.reason) == (Verb.BLOCKED, "its rebase is not decided yet")
    kept = of_now(machine(wanted(stack=LAMP2)), replace(TRIAL, phase=TrialPhase.PASSED))
    assert [action.verb for action in planned(kept, Choices(), specification=larger)] == [Verb.GROW]


FILE = (
    "version: 1\nfleet: w\nmachines:\n"
    "  web: {master: 'web:2', overlay: 64M, sparse: true, memory: 256M, cpus: 1, state: STATE}\n"
)


@pytest.mark.usefixtures("web")
@pytest.mark.parametrize("target", ["running", "stopped"])
def test_apply_does_it(
    fleet: Fleet, state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], target: str
) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(FILE.replace("STATE", target))
    blocked = said(capsys, "plan", str(file), "--adopt")
    assert blocked.code == 5 and "--rebase puts it on that master" in blocked.out
    done = said(capsys, "apply", str(file), "--adopt", "--rebase", "--timeout", "60")
    assert done.code == 0, done.err
    assert "web: master: web:1 -> web:2, passed" in done.out
    ready = {"running": "ready, kept", "stopped": "stopped, kept"}[target]
    assert agrees(fleet, state, "web").told == ready
    assert said(capsys, "plan", str(file), "--exit-code").code == 0


def test_what_a_rebase_refuses_is_blocked_in_the_plan_already(
    fleet: Fleet, web: Instance, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And costs its fellow nothing."""
    fleet.create(["web-2"], "web:1", SPARSE)
    with leased(fleet._host, fleet._catalog, web, Doing.SET) as held:
        held.commit(replace(web, moving="/other"))
    file = tmp_path / "fleet.yaml"
    file.write_text(FILE.replace("STATE", "stopped").replace("  web:", "  web{,-2}:"))
    shown = said(capsys, "plan", str(file), "--adopt", "--rebase", "--format", "json")
    actions = {(each["name"], each["action"]): each for each in json.loads(shown.out)}
    blocked = actions["web", "blocked"]
    assert shown.code == 5 and "being moved to /other" in blocked["reason"], blocked
    assert ("web", "rebase") not in actions and ("web-2", "rebase") in actions
    done = said(capsys, "apply", str(file), "--adopt", "--rebase", "--timeout", "60")
    assert done.code == 5 and "web-2: master: web:1 -> web:2, passed" in done.out, done


@pytest.mark.usefixtures("web")
def test_a_master_of_a_later_skinnybox_blocks_who_goes_there(
    fleet: Fleet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And not the plan of all."""
    manifest = fleet.masters.folder(fleet.masters.find("web:2")) / "manifest.json"
    manifest.chmod(0o600)
    manifest.write_bytes(as_bytes({**record_of(manifest), "guest_protocol": 99}))
    file = tmp_path / "fleet.yaml"
    file.write_text(FILE.replace("STATE", "stopped") + "  other: {master: 'web:1', sparse: true}\n")
    shown = said(capsys, "plan", str(file), "--adopt", "--rebase", "--format", "json")
    actions = {(each["name"], each["action"]): each for each in json.loads(shown.out)}
    assert shown.code == 5 and "speaks protocol 99" in actions["web", "blocked"]["reason"], shown
    assert ("other", "create") in actions


def test_what_the_plan_deletes_first_is_room_for_a_rebase(
    fleet: Fleet, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And so is what a killed one had begun to build: who is off finds out as it is built."""
    fleet.create(["web", "goes"], "web:1", replace(SPARSE, overlay=Overlay(size=64 * MIB), fleet="w"))
    with_free(monkeypatch, 10 * MIB)
    file = tmp_path / "fleet.yaml"
    file.write_text(FILE.replace("STATE", "stopped").replace("true", "false", 1))
    shown = said(capsys, "plan", str(file), "--rebase", "--prune", "--format", "json")
    assert [each["action"] for each in json.loads(shown.out)] == ["delete", "rebase"], shown
    assert shown.code == 0 and shown.err == ""
    done = said(capsys, "apply", str(file), "--rebase", "--prune", "--yes", "--timeout", "60")
    assert done.code == 0 and "web: master: web:1 -> web:2, passed" in done.out, done


@pytest.mark.usefixtures("web")
def test_apply_that_stops_at_one_in_dispute_says_so(
    fleet: Fleet, state: Path, web: Instance, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not 130: nobody has interrupted it."""
    fleet.create(["web-2"], "web:1", SPARSE)
    put(image(state, web), "etc/web.conf", "mine\n")
    file = tmp_path / "fleet.yaml"
    file.write_text(FILE.replace("STATE", "stopped").replace("  web:", "  web{,-2}:"))
    done = said(capsys, "apply", str(file), "--adopt", "--rebase", "--parallel", "1")
    assert done.code == 4 and "web-2 stays on web:1: the rollout stopped at web\n" in done.err


@pytest.mark.usefixtures("web")
def test_apply_that_fails_leaves_it_as_it_was(
    fleet: Fleet,
    state: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(FILE.replace("STATE", "running"))
    guests(monkeypatch, rebasing.on_new(rebasing.fails, fleet.masters.find("web:2").images[0].digest))
    done = said(capsys, "apply", str(file), "--adopt", "--rebase", "--timeout", "60")
    assert done.code == 1 and "on web:1 again" in done.err
    assert agrees(fleet, state, "web").instance.stack.reference == "web:1"
