"""Many machines on another master: a few at a time, until one fails, and on from there."""

import errno
import json
import threading

import pytest

from skinnybox.delta.rebase import doing
from skinnybox.errors import Cancelled, UsageError
from skinnybox.fleet import rebase_rollout
from skinnybox.fleet.rebase_rollout import OnFail, Rollout
from skinnybox.fleet.rebases import Wishes
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import Condition
from skinnybox.hosts.fake.host import FakeHost
from skinnybox.model import Instance
from skinnybox.operation import Operation
from tests.fleet import rebasing
from tests.fleet.conftest import SPARSE, said
from tests.fleet.rebasing import guests, on_new, rebase
from tests.fleet.test_rebase_do import fleet, two_masters

__all__ = ["fleet", "two_masters"]

NAMES = ["web-1", "web-2", "web-3", "web-4"]


@pytest.fixture
def webs(fleet: Fleet) -> list[Instance]:
    """Four on web:1; the last of them is off."""
    made = fleet.create(NAMES, "web:1", SPARSE)
    assert all(each.ok for each in fleet.start(NAMES[:3]))
    return made


def on(fleet: Fleet) -> dict[str, str]:
    return {m.name: f"{m.instance.stack.reference} {m.condition}" for m in fleet.machines()}


def stages(results: list[object]) -> list[str]:
    return [str(each.value.stage) if each.value else "failed" for each in results]  # type: ignore[attr-defined]


@pytest.fixture
def third(fleet: Fleet, webs: list[Instance], monkeypatch: pytest.MonkeyPatch) -> None:
    """web-3 is never ready on web:2."""
    guest = on_new(rebasing.fails, fleet.masters.find("web:2").images[0].digest)
    guests(monkeypatch, guest, ("web-3",))


def test_all_of_them(fleet: Fleet, webs: list[Instance]) -> None:
    assert stages(rebase(fleet, "web-*")) == ["passed"] * 4
    assert on(fleet) == {**dict.fromkeys(NAMES[:3], "web:2 ready"), "web-4": "web:2 stopped"}
    assert stages(rebase(fleet, "web-*")) == ["there"] * 4


@pytest.mark.parametrize(("said_so", "most"), [(None, 1), (1, 1), (2, 2)])
def test_so_many_are_unavailable_at_once(
    fleet: Fleet, webs: list[Instance], monkeypatch: pytest.MonkeyPatch, said_so: int | None, most: int
) -> None:
    real, lock, away, seen = doing.build, threading.Lock(), set[int](), list[int]()

    def build(*words: object, **more: object) -> object:
        with lock:
            away.add(threading.get_ident())
        seen.append(3 - sum(m.condition is Condition.READY for m in fleet.machines(NAMES[:3])))
        return real(*words, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(doing, "build", build)
    assert stages(rebase(fleet, "web-*", how=Rollout(max_unavailable=said_so))) == ["passed"] * 4
    assert max(seen) <= most and len(away) <= most


@pytest.mark.usefixtures("third")
def test_it_stops_where_one_fails_and_goes_on_from_there(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = rebase(fleet, "web-*")
    assert stages(done) == ["passed", "passed", "failed", "not begun"]
    assert done[3].value.why == "the rollout stopped at web-3"
    assert on(fleet) == {
        "web-1": "web:2 ready", "web-2": "web:2 ready", "web-3": "web:1 ready", "web-4": "web:1 stopped",
    }  # fmt: skip
    guests(monkeypatch, rebasing.good)
    monkeypatch.undo()
    monkeypatch.setenv("SKINNYBOX_HOST", "fake")
    assert stages(rebase(fleet, "web-*")) == ["there", "there", "passed", "passed"]


@pytest.mark.usefixtures("third")
def test_or_takes_back_what_it_did(fleet: Fleet, webs: list[Instance]) -> None:
    assert stages(rebase(fleet, "web-1")) == ["passed"]
    done = rebase(fleet, "web-*", how=Rollout(timeout=1, on_fail=OnFail.ROLLBACK))
    assert stages(done) == ["there", "rolled back", "failed", "not begun"]
    assert "web-3 failed" in (done[1].value.why or "")
    assert on(fleet) == {
        "web-1": "web:2 ready", "web-2": "web:1 ready", "web-3": "web:1 ready", "web-4": "web:1 stopped",
    }  # fmt: skip


@pytest.mark.usefixtures("third")
def test_the_last_table(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    shown = said(capsys, "rebase", "web-*", "--onto", "web:2", "--timeout", "1")
    lines = [line.split()[:4] for line in shown.out.splitlines()]
    assert lines[0] == ["NAME", "FROM", "ONTO", "STATE"] and shown.code == 1
    assert lines[1:3] == [["web-1", "web:1", "web:2", "passed"], ["web-2", "web:1", "web:2", "passed"]]
    assert "web-3 is failed on web:2" in shown.err and "not begun" in shown.out
    found = json.loads(said(capsys, "rebase", "web-4", "--onto", "web:2", "--format", "json").out)
    assert found[0]["state"] == "passed"


def test_what_is_cancelled_goes_on(
    fleet: Fleet, webs: list[Instance], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its trial was begun, and nobody has said that it failed."""
    operation, real = Operation(), FakeHost.start

    def start(self: FakeHost, *words: object) -> object:
        value = real(self, *words)  # type: ignore[arg-type]
        operation.cancel()
        return value

    with monkeypatch.context() as patch:
        guests(patch, rebasing.hangs)
        patch.setattr(FakeHost, "start", start)
        done = fleet.rebases.run(["web-*"], "web:2", Wishes(), Rollout(timeout=600), operation)
        assert all(isinstance(each.error, Cancelled) for each in done)
        assert "its trial goes on until" in done[0].error.message if done[0].error else False
    assert stages(rebase(fleet, "web-*")) == ["there", "passed", "passed", "passed"]
    assert on(fleet)["web-1"] == "web:2 ready"


def test_what_is_cancelled_takes_nothing_back(
    fleet: Fleet, webs: list[Instance], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What passed has passed, and is told so."""
    operation, real = Operation(), FakeHost.start

    def start(self: FakeHost, instance: Instance, *words: object, **more: object) -> object:
        if instance.name == "web-2":
            operation.cancel()
        return real(self, instance, *words, **more)  # type: ignore[arg-type]

    guests(monkeypatch, rebasing.hangs, ("web-2",))
    monkeypatch.setattr(FakeHost, "start", start)
    how = Rollout(timeout=600, on_fail=OnFail.ROLLBACK)
    done = fleet.rebases.run(["web-*"], "web:2", Wishes(), how, operation)
    assert stages([*done]) == ["passed", "failed", "failed", "failed"]
    assert all(isinstance(each.error, Cancelled) for each in done[1:])
    assert on(fleet)["web-1"] == "web:2 ready"


def test_it_stops_where_the_system_refuses_something(
    fleet: Fleet, webs: list[Instance], monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*words: object, **more: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/some/where")

    monkeypatch.setattr(rebase_rollout, "moved", denied)
    assert stages(rebase(fleet, "web-*")) == ["failed", "not begun", "not begun", "not begun"]


def test_it_is_a_job_with_all_of_them(fleet: Fleet, webs: list[Instance]) -> None:
    rebase(fleet, "web-*")
    job = fleet.jobs.all()[-1]
    assert job.verb == "rebase" and len(job.results) == 4


@pytest.mark.parametrize("wrong", [{"max_unavailable": 0}, {"max_unavailable": 2, "wait": False}])
def test_what_cannot_be_held_is_not_promised(wrong: dict[str, int | bool]) -> None:
    with pytest.raises(UsageError):
        Rollout(**wrong)  # type: ignore[arg-type]
