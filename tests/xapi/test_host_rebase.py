"""A machine of a pool put on another master, and back: its disks, what it is told, and its record."""

import random
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skinnybox.errors import Blocked
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import Condition
from skinnybox.hosts.xapi import tags
from skinnybox.hosts.xapi.host import XapiHost
from skinnybox.issues import Deed
from skinnybox.model import Instance, Master, TrialPhase
from skinnybox.operation import UNATTENDED
from skinnybox.overlays import inspect
from tests.emulators.xapi import EmulatedPool
from tests.rebased import REBASED, commit, rebase, rollback
from tests.samples import seal
from tests.xapi.furnished import SMALL, all_of, at_work, base_of, machine

pytestmark = pytest.mark.image
GUEST = at_work
BLOWS = 3
"""Of each command, in the core; `full` takes every call."""


@pytest.fixture
def newer(state: Path, tmp_path: Path) -> Master:
    return seal(state, tmp_path, "next", "1")


@pytest.fixture
def one(fleet: Fleet, newer: Master) -> Instance:
    """On `tiny`, off, and it has run."""
    (made,) = fleet.create(["one"], "tiny", SMALL)
    assert fleet.start(["one"], timeout=20.0)[0].ok
    fleet.kill(["one"])
    on_pool(fleet, newer)
    return made


def on_pool(fleet: Fleet, master: Master) -> None:
    fleet._host.add_master(master, fleet.masters.folder(master), UNATTENDED)


def drives(pool: EmulatedPool, instance: Instance) -> dict[str, dict[str, Any]]:
    """The disks it has attached, by their places."""
    attached = machine(pool, instance)["VBDs"]
    with pool.database() as database:
        of = [database.tables["VBD"][vbd] for vbd in attached]
        return {each["userdevice"]: dict(database.tables["VDI"][each["VDI"]]) for each in of}


def labels(fleet: Fleet) -> list[str]:
    return [kept.label for _, kept in fleet.overlays.snapshots(["one"])]


def ends(fleet: Fleet) -> bytes:
    with fleet._host.open_overlay(fleet.machine("one").instance, UNATTENDED) as overlay:
        return overlay.read_bytes()[-len(REBASED) :]


def is_whole(pool: EmulatedPool, fleet: Fleet) -> bool:
    """Whether record, row, master, overlay and what it is told speak of one master, and it comes up."""
    instance = fleet.machine("one").instance
    assert list(fleet._host.records()) == [instance]
    digest = instance.stack.images[0]
    with fleet._host.open_overlay(instance, UNATTENDED) as overlay:
        said = inspect.read_base(overlay).get("image") or ""
    assert said.split()[0] == digest
    (started,) = fleet.start(["one"], timeout=20.0)
    assert started.ok, started.error
    assert fleet.machine("one").condition is Condition.READY
    has = drives(pool, instance)
    of_layers = dict(zip("456789", instance.stack.images[1:], strict=False))
    assert {place: tags.digest_of(disk) for place, disk in has.items()} == {
        "0": digest, "1": None, **of_layers,
    }  # fmt: skip
    assert tags.role_of(has["1"]) == "overlay" and tags.LABEL not in has["1"]["other_config"]
    assert digest in "".join(base_of(machine(pool, instance)["xenstore_data"]))
    assert fleet.kill(["one"])[0].ok
    return True


def roles(pool: EmulatedPool) -> list[str]:
    found = (tags.role_of(record) for record in all_of(pool, "VDI"))
    return sorted(role for role in found if role not in ("master", "source", "layer"))


def test_its_master_its_overlay_and_what_it_is_told_change(
    pool: EmulatedPool, fleet: Fleet, one: Instance, newer: Master
) -> None:
    before = drives(pool, one)
    rebased = rebase(fleet, "one", newer)
    now = drives(pool, one)
    assert now["0"]["other_config"][tags.DIGEST] == newer.images[0].digest
    assert now["1"]["uuid"] != before["1"]["uuid"]
    assert newer.images[0].digest in "".join(base_of(machine(pool, one)["xenstore_data"]))
    assert ends(fleet) == REBASED and labels(fleet) == ["before-rebase-1"]
    assert roles(pool) == ["overlay", "snapshot"] and rebased == fleet.machine("one").instance
    assert is_whole(pool, fleet)
    pool.log.clear()
    restored, aside = rollback(fleet, "one")
    assert [pool.log.count(call) for call in ("import_raw_vdi", "export_raw_vdi", "VDI.copy")] == [0, 0, 0]
    after = drives(pool, one)
    assert restored == one and [after[place]["uuid"] for place in "01"] == [
        before[place]["uuid"] for place in "01"
    ]
    assert labels(fleet) == [aside] and roles(pool) == ["overlay", "snapshot"]
    assert is_whole(pool, fleet) and ends(fleet) != REBASED
    assert list(fleet._host.leftovers({one.uuid})) == []
    named = sorted(str(record["name_label"]) for record in all_of(pool, "VDI"))
    assert [name for name in named if name.startswith("one")] == [f"one {text}" for text in NAMES]


NAMES = ("overlay", "snapshot after-rebase-2")


def test_it_is_given_up_and_its_master_with_it(
    pool: EmulatedPool, fleet: Fleet, one: Instance, newer: Master
) -> None:
    rebase(fleet, "one", newer)
    before = fleet.capacity(1 << 30).space
    with pytest.raises(Blocked):
        fleet.masters.remove("tiny:1")
    commit(fleet, "one")
    assert labels(fleet) == [] and roles(pool) == ["overlay"]
    assert fleet.capacity(1 << 30).space.snapshots < before.snapshots
    assert fleet.masters.remove("tiny:1") and is_whole(pool, fleet)


def test_all_of_it_goes_with_the_machine(
    pool: EmulatedPool, fleet: Fleet, one: Instance, newer: Master
) -> None:
    rebase(fleet, "one", newer)
    rollback(fleet, "one")
    rebase(fleet, "one", newer)
    assert fleet.delete(["one"])[0].ok and roles(pool) == []


def test_what_marks_of_a_killed_one_are_left_keep_nothing(
    pool: EmulatedPool, fleet: Fleet, one: Instance, newer: Master
) -> None:
    """Else the next reset would keep what it throws away."""
    dies(fleet, 2, lambda: rebase(fleet, "one", newer), only="VDI.add_to_other_config")
    with pool.database() as database:
        assert any(tags.LABEL in r["other_config"] for r in database.tables["VDI"].values())
    revived(fleet)
    assert labels(fleet) == [] and fleet.overlays.reset(["one"])[0].ok
    assert labels(fleet) == [] and roles(pool) == ["overlay"] and is_whole(pool, fleet)


class Killed(BaseException):
    """Nothing is done by who is dead, also not to clear up."""


def dies(fleet: Fleet, at: int, work: Callable[[], object], only: str = "") -> bool:
    """Whether it died before its call number `at` that changes the pool; of those with that name, if there is
    one."""
    host = fleet._host
    assert isinstance(host, XapiHost)
    sessions, left = host._pool.sessions, [at]
    real = sessions.call

    def call(method: str, *params: Any) -> Any:
        changes = not (method.startswith(("event.", "task.", "session.")) or ".get_" in method)
        left[0] -= changes and only in method
        if left[0] < 0:
            raise Killed
        return real(method, *params)

    patch = pytest.MonkeyPatch()
    for place in (sessions, host._pool):
        patch.setattr(place, "call", call)
    try:
        work()
        return False
    except Killed:
        return True
    finally:
        patch.undo()
        orphaned(fleet)


def orphaned(fleet: Fleet) -> None:
    """Its owner is dead, if it has one."""
    with closing(sqlite3.connect(fleet._catalog.path)) as db:
        db.execute("UPDATE instances SET owner = ? WHERE owner IS NOT NULL", (DEAD,))
        db.commit()


DEAD = "boot/1/1"


def revived(fleet: Fleet) -> None:
    """The next command that changes it."""
    assert fleet.set(["one"], {"cpus": 2})[0].ok and fleet.set(["one"], {"cpus": SMALL.cpus})[0].ok


def calls(fleet: Fleet, work: Callable[[], object]) -> int:
    """How many there are that change something."""
    host = fleet._host
    assert isinstance(host, XapiHost)
    before = host._pool.sessions.changes
    work()
    return host._pool.sessions.changes - before


@pytest.fixture(params=["rebase", "rollback", "commit"])
def what(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_killed_at_a_call(pool: EmulatedPool, fleet: Fleet, one: Instance, newer: Master, what: str) -> None:
    killed(pool, fleet, one, newer, what, lambda count: random.Random(what).sample(range(count), BLOWS))


@pytest.mark.full
def test_killed_at_every_call(
    pool: EmulatedPool, fleet: Fleet, one: Instance, newer: Master, what: str
) -> None:
    killed(pool, fleet, one, newer, what, range)


def killed(
    pool: EmulatedPool,
    fleet: Fleet,
    one: Instance,
    newer: Master,
    what: str,
    points: Callable[[int], Sequence[int]],
) -> None:
    """At each of these of its calls."""
    works: dict[str, Callable[[], object]] = {
        "rebase": lambda: rebase(fleet, "one", newer),
        "rollback": lambda: rollback(fleet, "one"),
        "commit": lambda: commit(fleet, "one"),
    }
    if what != "rebase":
        rebase(fleet, "one", newer)
    count = calls(fleet, works[what])
    for at in points(count):
        anew(fleet, newer, what)
        died = dies(fleet, at, works[what])
        revived(fleet)
        instance = fleet.machine("one").instance
        kept = [label for label in labels(fleet) if label.startswith("before-rebase")]
        aside = [label for label in labels(fleet) if label.startswith("after-rebase")]
        if instance.stack == one.stack:
            assert instance.trial is None and (what, kept) != ("commit", []), at
            assert len(aside) == (what == "rollback"), (at, labels(fleet))
        elif instance.trial is not None:
            assert kept == [instance.trial.kept] and aside == [], at
        else:
            assert what == "commit" and kept == [], at
        assert is_whole(pool, fleet), (at, died)
        for finding in fleet._host.leftovers({one.uuid}):
            assert finding.deed is Deed.REMOVE or "look again" in finding.what, finding


def anew(fleet: Fleet, newer: Master, what: str) -> None:
    """As it is to be before that."""
    instance = fleet.machine("one").instance
    if instance.trial is not None:
        rollback(fleet, "one")
    elif instance.stack.master == newer.id:
        fleet.delete(["one"])
        fleet.create(["one"], "tiny", replace(SMALL, layers=instance.stack.layers))
    for _, kept in fleet.overlays.snapshots(["one"]):
        fleet.overlays.delete_snapshot(["one"], kept.label)
    if what != "rebase":
        rebase(fleet, "one", newer, TrialPhase.PASSED)
