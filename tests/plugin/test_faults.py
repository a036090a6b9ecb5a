"""The pool fails or vanishes at each step: nothing is left behind, or the next call repairs it."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import XenAPI

from skinnybox import run
from tests.emulators.xapi import EmulatedPool
from tests.plugin.conftest import PLUGIN, Dom0, details, furnished

STEPS = (
    ("pool.add_to_other_config", 1), ("pool.add_to_other_config", 2), ("VDI.get_all_records", 1),
    ("VM.get_by_name_label", 2),
    ("SR.get_all_records", 1), ("VM.clone", 2), ("VM.get_record", 2), ("VM.add_to_other_config", 1),
    ("VM.set_name_description", 1), ("VM.provision", 2), ("VDI.create", 2), ("VBD.create", 4),
    ("VM.set_xenstore_data", 1), ("VM.add_tags", 1), ("VM.set_blocked_operations", 2),
    ("VM.add_to_other_config", 4), ("VM.add_to_other_config", 8), ("VM.remove_from_other_config", 1),
)  # fmt: skip


@pytest.mark.parametrize(("step", "at"), STEPS)
def test_an_error_at_any_step_leaves_nothing(dom0: Dom0, step: str, at: int) -> None:
    """A call of a batch of two, refused, and failing after it was done."""
    before = dom0.counts()
    dom0.pool.faults.fail(step, "SR_BACKEND_FAILURE_46", "", "", "the storage is gone", at=at)
    first = details(dom0.batch)
    dom0.pool.faults.clear()
    dom0.pool.faults.fail_after(step, "INTERNAL_ERROR", "it was done", at=at)
    second = details(dom0.batch)
    dom0.pool.faults.clear()
    assert first == ["SR_BACKEND_FAILURE_46", "", "", "the storage is gone"]
    assert second == ["INTERNAL_ERROR", "it was done"]
    again = dom0.batch()
    assert [each["name"] for each in again["machines"]] == ["web-01", "web-02"]
    for each in again["machines"]:
        dom0.call("delete", name=each["uuid"])
    assert dom0.counts() == before


def cut(dom0: Dom0, call: Callable[[], Any], step: int) -> bool:
    """As if the plugin were killed before its `step`-th call; False when it did not get that far."""
    fault = dom0.pool.faults.drop_before("*", at=step + 1, times=1 << 20)
    try:
        call()
    except XenAPI.Failure as failure:
        assert failure.details[0] == "SKINNYBOX_NO_ANSWER", failure.details
    finally:
        dom0.pool.faults.clear()
    return bool(fault.met)


def is_sound(dom0: Dom0, names: list[str]) -> None:
    """Exactly these machines, each whole; nothing else was left."""
    listed = dom0.call("list")
    assert [each["name"] for each in listed["machines"]] == names
    assert listed["unfinished"] == [] and listed["orphans"] == []
    assert all(each["overlay_vdi"] and each["master_vdi"] for each in listed["machines"])
    counts = dom0.counts()
    assert (counts["VDI"], counts["VBD"]) == (1 + len(names), 2 * len(names)) and counts["journal"] == 0


@pytest.mark.parametrize("stride", [4, pytest.param(1, marks=pytest.mark.full)])
def test_a_provision_killed_at_each_step_is_repaired_by_the_next_call(dom0: Dom0, stride: int) -> None:
    """Not committed: it is as if nothing was. Committed: the machine is there. Never anything in between."""
    outcomes: set[tuple[str, ...]] = set()
    step = 1
    while cut(dom0, dom0.provision, step):
        assert dom0.refused("delete", name="nobody")[0] == "SKINNYBOX_NOT_FOUND"
        names = dom0.names()
        is_sound(dom0, names)
        outcomes.add(tuple(names))
        for name in names:
            dom0.call("delete", name=name)
        step += stride
    assert step > 25 and outcomes == {(), ("web-01",)}


@pytest.mark.full
def test_a_batch_killed_at_each_step_is_all_or_nothing(dom0: Dom0) -> None:
    outcomes: set[tuple[str, ...]] = set()
    step = 1
    while cut(dom0, lambda: dom0.batch(last=3), step):
        dom0.provision("other")
        dom0.call("delete", name="other")
        names = dom0.names()
        is_sound(dom0, names)
        outcomes.add(tuple(names))
        for name in names:
            dom0.call("delete", name=name)
        step += 1
    assert outcomes == {(), ("web-01", "web-02", "web-03")}


@pytest.mark.parametrize("step", [12, 40])
def test_the_same_batch_again_after_a_kill(dom0: Dom0, step: int) -> None:
    """Its names are free again, since what it claimed is repaired first."""
    assert cut(dom0, lambda: dom0.batch(last=3), step)
    again = dom0.batch(last=3)
    assert len(again["machines"]) == 3 and again["repaired"] == ["web-01", "web-02", "web-03"]
    is_sound(dom0, ["web-01", "web-02", "web-03"])


@pytest.mark.parametrize("stride", [5, pytest.param(1, marks=pytest.mark.full)])
def test_a_template_killed_half_way_is_repaired(bare: Dom0, stride: int) -> None:
    before = bare.counts()
    step = 1
    while cut(bare, lambda: bare.thin_template(network="lan"), step):
        bare.refused("delete", name="nobody")
        found = bare.api.VM.get_by_name_label("thin")
        assert not any("making" in each for each in bare.names())
        for each in found:
            bare.api.VM.destroy(each)
        assert bare.counts() == before
        step += stride
    assert step > 15


def test_answers_that_were_lost_once_are_asked_for_again(dom0: Dom0) -> None:
    """The SDK repeats a call whose connection broke: two clones then, and one has to go."""
    dom0.pool.faults.drop_after("VM.clone")
    dom0.pool.faults.drop_after("VDI.create")
    dom0.pool.faults.drop_after("pool.add_to_other_config", at=1)
    dom0.provision()
    dom0.pool.faults.clear()
    dom0.provision("web-02")
    is_sound(dom0, ["web-01", "web-02"])


def test_somebody_else_is_busy_with_it(dom0: Dom0) -> None:
    dom0.pool.faults.busy("VM.provision", times=2)
    assert dom0.provision()["name"] == "web-01"


def test_the_storage_fills_up_half_way(plugins: Path) -> None:
    """It held, when it was asked; somebody else was faster."""
    with EmulatedPool(plugins=plugins) as pool, pool.session() as api:
        dom0 = furnished(pool, api, sr="lvm")
        dom0.thin_template()
        before = dom0.counts()
        pool.faults.fill(dom0.sr, 1600 << 20)
        assert details(dom0.batch, last=2)[0] == "SR_BACKEND_FAILURE_44"
        assert dom0.counts() == before


def test_what_is_at_work_is_left_alone(dom0: Dom0) -> None:
    """A call that still runs, here or lately on another host of the pool; one long ago is over."""
    pool = dom0.api.pool.get_all()[0]
    call = "0b6f1c1e-5f0e-4c5f-9a53-6d8f0b3a1c11"
    dom0.api.VM.clone(dom0.api.VM.get_by_name_label("thin")[0], f"skinnybox is making web-01 ({call})")
    for since, alive in ((time.time() - 60, True), (time.time() - 7 * 3600, False)):
        entry = {"host": "beta", "boot": "another", "pid": 1, "ticks": "1", "since": int(since)}
        dom0.api.pool.remove_from_other_config(pool, f"skinnybox:call:{call}")
        dom0.api.pool.add_to_other_config(pool, f"skinnybox:call:{call}", json.dumps(entry))
        if alive:
            assert dom0.refused("provision", template="thin", master="lamp:1", name="web-01") == [
                "SKINNYBOX_NAME_TAKEN",
                "web-01",
            ]
            assert dom0.call("list")["unfinished"] == ["web-01"]
        else:
            assert dom0.provision()["repaired"] == ["web-01"]
    is_sound(dom0, ["web-01"])


def test_two_calls_at_once_never_make_one_name_twice(dom0: Dom0) -> None:
    """The slower one sees the claims of the faster."""
    dom0.pool.faults.slow("VM.provision", 1.0, times=1)
    with dom0.pool.session() as other:
        common = {"template": "thin", "master": "lamp:1", "name": "web-01"}
        task = other.Async.host.call_plugin(dom0.pool.hosts[0], "skinnybox", "provision", common)
        while not any("making" in each for each in dom0.names()):
            time.sleep(0.02)
        assert dom0.refused("provision", **common) == ["SKINNYBOX_NAME_TAKEN", "web-01"]
        while other.task.get_status(task) == "pending":
            time.sleep(0.05)
        assert other.task.get_status(task) == "success"
    is_sound(dom0, ["web-01"])


def test_the_session_ends_in_the_middle(dom0: Dom0) -> None:
    """The SDK of the caller logs in and calls again when it hears so; that call finds what the first left."""
    dom0.pool.faults.expire_session("VDI.create")
    assert dom0.provision()["repaired"] == ["web-01"]
    is_sound(dom0, ["web-01"])


def test_without_a_pool_it_prints_one_answer_and_nothing_else() -> None:
    """Run by hand, with nobody at the other end."""
    from tests.emulators.xapi import plugins as protocol

    request = "<methodCall><methodName>list</methodName><params><param><value>x</value></param><param><value>"
    request += "<struct></struct></value></param></params></methodCall>"
    sdk = Path(XenAPI.__file__).parents[1]
    env = {"PYTHONPATH": f"{protocol.DOM0}:{sdk}", "XAPI_EMULATOR": "http://127.0.0.1:9"}
    done = run.run([PLUGIN, request], env=env)
    assert b"SKINNYBOX_NO_ANSWER" in done.stdout and done.stdout.startswith(b"<?xml")
    assert done.stderr == b""
