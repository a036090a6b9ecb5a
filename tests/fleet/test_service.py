import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox.errors import (
    Blocked,
    Conflict,
    Corrupt,
    NoSpace,
    NotFound,
    SkinnyboxError,
    Unsupported,
    UsageError,
)
from skinnybox.fleet.power import Stopping
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import Condition
from skinnybox.model import Allocation, Forward, Master, Network, Overlay, StaticNetwork
from skinnybox.sizes import MIB
from tests.fleet.conftest import SPARSE, open_fake
from tests.samples import seal


def test_a_batch_is_created_listed_and_deleted(fleet: Fleet, master: Master, state: Path) -> None:
    made = fleet.create(["web-{01..12}"], "tiny", SPARSE)
    assert [instance.name for instance in made] == [f"web-{number:02}" for number in range(1, 13)]
    machines = fleet.machines()
    assert {machine.condition for machine in machines} == {Condition.STOPPED}
    assert len({machine.instance.ssh_port for machine in machines}) == 12
    assert len({machine.instance.seed.machine_id for machine in machines}) == 12
    assert all(machine.written and machine.written < MIB for machine in machines)
    assert fleet.masters.dependants(master) == fleet.names()

    assert [outcome.ok for outcome in fleet.delete(["web-0*"])] == [True] * 9
    assert fleet.names() == ["web-10", "web-11", "web-12"]
    assert len(list((state / "instances").iterdir())) == 3


def test_a_name_clash_stops_all_before_anything_is_made(fleet: Fleet, state: Path) -> None:
    fleet.create(["b"], "tiny", SPARSE)
    with pytest.raises(Conflict, match="1 of 3 names are taken: b") as caught:
        fleet.create(["a", "b", "c"], "tiny", SPARSE)
    assert caught.value.hint and "--skip-existing" in caught.value.hint
    assert fleet.names() == ["b"]
    assert len(list((state / "instances").iterdir())) == 1
    made = fleet.create(["a", "b", "c"], "tiny", SPARSE, skip_existing=True)
    assert [instance.name for instance in made] == ["a", "c"]


def test_two_processes_cannot_create_one_name(fleet: Fleet, state: Path) -> None:
    """Both start at once; exactly one wins, and the other leaves nothing."""
    script = (
        "import sys; from pathlib import Path; from tests.fleet.conftest import SPARSE, open_fake\n"
        "with open_fake(Path(sys.argv[1])) as fleet: fleet.create(['x-{1..40}'], 'tiny', SPARSE)"
    )
    argv = [sys.executable, "-c", script, str(state)]
    root = Path(__file__).parents[2]
    both = [subprocess.Popen(argv, cwd=root, stderr=subprocess.PIPE) for _ in range(2)]
    said = [process.communicate()[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 1], said
    assert any(b"Conflict" in text for text in said), said
    assert len(fleet.names()) == len(list((state / "instances").iterdir())) == 40


@pytest.mark.parametrize("moment", range(1, 40, 3))
def test_a_create_killed_anywhere_is_explained_and_done_again(fleet: Fleet, state: Path, moment: int) -> None:
    """The process dies at its nth rename, link, write or commit; the next create finds its names free."""
    script = f"""
import os, sys
from pathlib import Path
from tests.fleet.conftest import SPARSE, open_fake
count = 0
def audit(event, arguments):
    global count
    if event in ("os.rename", "os.link", "os.mkdir", "os.truncate") or (
        event == "open" and arguments[1] and "w" in str(arguments[1])
    ):
        count += 1
        if count == {moment}:
            os._exit(9)
with open_fake(Path(sys.argv[1])) as fleet:
    sys.addaudithook(audit)
    fleet.create(["y-{{1..5}}"], "tiny", SPARSE)
"""
    argv = [sys.executable, "-c", script, str(state)]
    ended = subprocess.run(argv, cwd=Path(__file__).parents[2], check=False, capture_output=True)
    assert ended.returncode == 9, ended.stderr
    assert all(machine.condition is Condition.CREATING for machine in fleet.machines())
    fleet.create(["y-{1..5}"], "tiny", SPARSE)
    assert [machine.condition for machine in fleet.machines()] == [Condition.STOPPED] * 5
    assert len(list((state / "instances").iterdir())) == 5


def test_a_batch_that_does_not_fit_is_refused_up_front(fleet: Fleet, state: Path) -> None:
    huge = replace(SPARSE, overlay=Overlay(size=1 << 50, allocation=Allocation.RESERVED))
    with pytest.raises(NoSpace, match="reserved overlays need"):
        fleet.create(["a"], "tiny", huge)
    assert fleet.names() == []


def test_what_cannot_be_right_is_refused_before_anything_is_made(fleet: Fleet, state: Path) -> None:
    for wrong, error in (
        (replace(SPARSE, static_network=StaticNetwork(address="nonsense")), UsageError),
        (replace(SPARSE, authorized_keys=("two\nlines",)), UsageError),
    ):
        with pytest.raises(error):
            fleet.create(["a"], "tiny", wrong)
    with pytest.raises(NotFound, match="no master other"):
        fleet.create(["a"], "other", SPARSE)
    assert fleet.names() == []
    assert not list((state / "instances").glob("*"))


def test_an_odd_size_is_rounded_up(fleet: Fleet) -> None:
    fleet.create(
        ["a"], "tiny", replace(SPARSE, overlay=Overlay(size=64 * MIB + 1, allocation=Allocation.SPARSE))
    )
    assert fleet.machine("a").instance.overlay.size == 65 * MIB


def test_machines_start_stop_and_say_so(fleet: Fleet) -> None:
    fleet.create(["m-{1..3}"], "tiny", SPARSE)
    assert [outcome.ok for outcome in fleet.start(["m-*"])] == [True] * 3
    assert [machine.condition for machine in fleet.machines()] == [Condition.READY] * 3
    assert all(outcome.ok for outcome in fleet.start(["m-1"]))  # runs already: nothing to do
    with fleet.overlays.changes("m-1") as found:  # from a copy
        assert list(found) == []
    refused = fleet.delete(["m-1"])[0].error
    assert isinstance(refused, Blocked)
    refused = fleet.overlays.reset(["m-1"])[0].error
    assert isinstance(refused, Blocked)
    assert all(outcome.ok for outcome in fleet.stop(["m-*"], Stopping()))
    assert [machine.condition for machine in fleet.machines()] == [Condition.STOPPED] * 3
    fleet.start(["m-2"])
    assert fleet.delete(["m-*"], force=True)
    assert fleet.names() == []


def test_a_master_outlives_no_machine_that_needs_it(fleet: Fleet) -> None:
    fleet.create(["a"], "tiny", SPARSE)
    with pytest.raises(Blocked, match="tiny:1 is the master of a"):
        fleet.masters.remove("tiny:1")
    fleet.delete(["a"])
    fleet.masters.remove("tiny:1")
    assert fleet.masters.all() == []


def test_reset_raises_the_generation_and_keeps_who_it_is(fleet: Fleet) -> None:
    fleet.create(["a"], "tiny", SPARSE)
    before = fleet.machine("a").instance
    assert fleet.overlays.reset(["a"])[0].value == fleet.machine("a").instance
    after = fleet.machine("a").instance
    assert after.seed.generation == before.seed.generation + 1
    assert replace(after, seed=before.seed) == before
    with fleet.overlays.changes("a") as found:
        assert list(found) == []


def test_a_damaged_overlay_can_still_be_reset(fleet: Fleet, state: Path) -> None:
    fleet.create(["a"], "tiny", SPARSE)
    overlay = state / "instances" / str(fleet.machine("a").instance.uuid) / "overlay.img"
    with overlay.open("r+b") as file:
        file.write(os.urandom(1 << 20))
    with pytest.raises(Corrupt), fleet.overlays.changes("a"):
        pass
    assert fleet.overlays.reset(["a"])[0].ok
    with fleet.overlays.changes("a") as found:
        assert list(found) == []


def test_names_and_globs_that_mean_nothing(fleet: Fleet) -> None:
    fleet.create(["web-01"], "tiny", SPARSE)
    with pytest.raises(NotFound, match="web-1"):
        fleet.machines(["web-1"])
    with pytest.raises(NotFound):
        fleet.start(["db-*"])


def test_capacity_adds_up(fleet: Fleet, state: Path, tmp_path: Path) -> None:
    fleet.create(["a", "b"], "tiny", SPARSE)
    account = fleet.capacity(MIB)
    assert account.space.promised == 2 * 64 * MIB
    assert account.space.instances == 2
    assert 0 < account.space.written < 4 * MIB
    assert account.space.owed == account.space.promised - account.space.allocated
    assert account.taken == account.space.masters + account.space.allocated
    room = account.space.free - int(account.space.total * 0.02)
    assert account.fit == max(0, room - account.space.owed) // MIB  # what was promised is not given away
    assert account.sparse_each == max(MIB, account.space.written // 2)
    assert account.fit_sparse == max(0, room) // account.sparse_each


def test_a_newer_database_is_not_touched(fleet: Fleet, state: Path) -> None:
    with closing(sqlite3.connect(state / "state.db")) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(Unsupported, match="newer Skinnybox"):
        open_fake(state).names()


def test_a_state_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SkinnyboxError, match=r"the state folder .*/file/state cannot be used") as caught:
        open_fake(tmp_path / "file" / "state").names()
    assert caught.value.hint


def test_a_database_that_is_none_is_named(state: Path, tmp_path: Path) -> None:
    state.mkdir()
    (state / "state.db").write_bytes(b"no database at all" * 1000)
    with pytest.raises(Corrupt, match=r"state\.db is not a readable database"):
        open_fake(state).names()


def test_masters_are_found_by_name_version_and_id(fleet: Fleet, state: Path, tmp_path: Path) -> None:
    second = seal(state, tmp_path, "tiny", "2")
    assert fleet.masters.find("tiny").version == "2"
    assert fleet.masters.find("tiny:1").version == "1"
    assert fleet.masters.find(second.id.removeprefix("sha256:")[:12]) == second


def test_many_threads_may_wait_at_once(fleet: Fleet) -> None:
    fleet.create(["t-{1..20}"], "tiny", SPARSE)
    fleet.start(["t-*"], parallel=20)
    results: list[bool] = []
    threads = [
        threading.Thread(target=lambda: results.append(all(o.ok for o in fleet.wait(["t-*"]))))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 4


def test_an_unsupported_choice_names_the_host(fleet: Fleet) -> None:
    from skinnybox.fleet import specification
    from skinnybox.hosts.base import Features

    features = Features(
        kind="x",
        allocations=frozenset(),
        networks=frozenset(),
        default_network=None,
        console=False,
        dax=False,
        boots=False,
    )
    with pytest.raises(Unsupported, match="cannot keep sparse overlays"):
        specification.check(SPARSE, features)
    sparse = replace(features, allocations=frozenset([Allocation.SPARSE]))
    with pytest.raises(Unsupported, match="do not see what it calls them"):
        specification.check(replace(SPARSE, follow_name=True), sparse)
    specification.check(replace(SPARSE, follow_name=True), replace(sparse, tells_name=True))


def test_addresses_and_ports_count_up(fleet: Fleet) -> None:
    static = StaticNetwork(address="10.0.0.9/24", gateway="10.0.0.1", dns=("10.0.0.2",))
    wanted = replace(SPARSE, static_network=static, forwards=(Forward(port=8009, to=80),))
    fleet.create(["web-2"], "tiny", SPARSE)
    made = fleet.create(["web-{1..4}"], "tiny", wanted, skip_existing=True)
    assert [(each.name, each.seed.network, [way.port for way in each.forwards]) for each in made] == [
        (f"web-{number}", replace(static, address=f"10.0.0.{8 + number}/24"), [8008 + number])
        for number in (1, 3, 4)
    ]
    for names, other, why in (
        (["x-{1..3}"], replace(static, address="10.0.0.253/24"), "no room for 3 machines"),
        (["x-{1..3}"], replace(static, gateway="10.0.0.10"), "machine 2 of 3 would get the gateway's"),
        (["x-1", "x-2"], StaticNetwork(address="10.0.0.300/24"), "10.0.0.300"),
    ):
        with pytest.raises(UsageError, match=why):
            fleet.create(names, "tiny", replace(SPARSE, static_network=other))
    bridged = replace(SPARSE, network=Network.BRIDGE, bridge="br0")
    fleet.create(["y-{1..2}"], "tiny", replace(bridged, static_network=static))
    with pytest.raises(Conflict, match=r"10\.0\.0\.9 on br0 is the address of y-1"):
        fleet.create(
            ["z-{1..3}"], "tiny", replace(bridged, static_network=replace(static, address="10.0.0.8/24"))
        )
    assert not [name for name in fleet.names() if name[0] in "xz"]
