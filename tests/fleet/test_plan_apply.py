"""Fleet files on the fake host: real overlays and records, machines only pretended."""

import tempfile
from dataclasses import replace
from pathlib import Path

from skinnybox import run
from skinnybox.errors import Blocked
from skinnybox.ext4 import open_volume
from skinnybox.fleet.batch import worst
from skinnybox.fleet.plan.actions import Choices
from skinnybox.fleet.view import Condition
from skinnybox.model import Allocation, Network, StaticNetwork
from skinnybox.overlays import inspect
from skinnybox.overlays.seed import seed_message
from skinnybox.sizes import MIB
from tests.fleet.conftest import SPARSE, open_fake, rewritten
from tests.fleet.fleetfile import BASIC, HEAD, File, conditions
from tests.samples import seal


def test_a_file_becomes_machines_and_then_there_is_nothing_to_do(file: File) -> None:
    assert file.plan() == [
        *(f"create {name}" for name in ("web-1", "web-2", "web-3", "db")),
        *(f"start web-{number}" for number in (1, 2, 3)),
    ]
    assert file.fleet.names() == []  # a plan changes nothing
    assert all(outcome.ok for outcome in file.apply())
    ready = {f"web-{number}": Condition.READY for number in (1, 2, 3)}
    assert conditions(file.fleet) == {"db": Condition.STOPPED, **ready}
    db = file.fleet.machine("db").instance
    assert (db.cpus, db.memory, db.overlay.allocation) == (2, 256 * MIB, Allocation.SPARSE)
    assert (db.fleet, db.autostart, db.network) == ("widgets", True, None)
    assert file.plan() == []
    assert file.apply() == []


def test_every_machine_has_its_own_address_and_the_same_seed(file: File, tmp_path: Path) -> None:
    (tmp_path / "motd").write_text("hello\n")
    (tmp_path / "hook").write_text("#!/bin/sh\n")
    (tmp_path / "hook").chmod(0o700)
    file.write(
        HEAD
        + "machines:\n  web-{1..3}:\n    address: 10.7.0.11/24\n    gateway: 10.7.0.1\n    dns: [10.7.0.1]\n"
        "    user: admin\n    run_once: 'echo hello'\n    files:\n"
        "      - {source: motd, target: /etc/motd}\n      - {source: hook, target: /usr/local/bin/hook}\n"
        "      - {content: x, target: /etc/x, mode: 0600, owner: 'www-data:www-data'}\n"
        "  db-{1..2}: {addresses: [10.7.0.5/24, 10.7.0.9/24]}\n"
    )
    file.apply()
    instances = {machine.name: machine.instance for machine in file.fleet.machines()}
    networks = {name: i.seed.network.address for name, i in instances.items() if i.seed.network}
    assert networks == {
        "web-1": "10.7.0.11/24", "web-2": "10.7.0.12/24", "web-3": "10.7.0.13/24",
        "db-1": "10.7.0.5/24", "db-2": "10.7.0.9/24",
    }  # fmt: skip
    seed = instances["web-2"].seed
    assert seed.network and (seed.network.gateway, seed.network.dns) == ("10.7.0.1", ("10.7.0.1",))
    modes = [(f.path, f.mode, f.owner, f.content) for f in seed.files]
    assert modes == [
        ("/etc/motd", 0o644, "root:root", b"hello\n"),
        ("/usr/local/bin/hook", 0o755, "root:root", b"#!/bin/sh\n"),
        ("/etc/x", 0o600, "www-data:www-data", b"x"),
    ]
    assert (seed.run_once, instances["web-2"].ssh_user) == ("echo hello", "admin")
    assert len({instance.seed.machine_id for instance in instances.values()}) == 5
    (tmp_path / "motd").write_text("changed\n")
    assert file.plan() == ["seed web-1", "seed web-2", "seed web-3"]


def test_addresses_that_machines_outside_the_file_have_are_not_given_again(file: File) -> None:
    bridged = replace(SPARSE, network=Network.BRIDGE, bridge="br0")
    file.fleet.create(
        ["router"], "tiny", replace(bridged, static_network=StaticNetwork(address="10.0.0.2/24"))
    )
    text = HEAD.replace("}", ", bridge: br0}") + "machines:\n  web-{1..2}: {address: '10.0.0.%s/24'}\n"
    file.write(text % "1")
    assert file.plan() == ["create web-1", "blocked web-2"]
    refused = {outcome.name: outcome.error for outcome in file.apply()}
    assert refused["web-1"] is None and str(refused["web-2"]).endswith("is the address of router")
    file.write(text % "{1,3}")
    file.apply()
    file.write(text % "{3,1}")  # they exchange theirs
    assert file.plan() == ["seed web-1", "seed web-2"]
    assert all(outcome.ok for outcome in file.apply())
    file.write(text % "{3,2}")
    assert file.plan() == ["blocked web-2"]
    file.write(text % "{3,1}" + "  router: {address: 10.0.0.2/24}\n")
    assert file.plan(adopt=True) == ["adopt router"]


def test_a_plan_says_of_each_machine_what_of_its_own_changes(file: File) -> None:
    text = (
        HEAD + "machines:\n  web-{1..3}:\n"
        "    values: {web-1: {site: a}, web-2: {site: b}, web-3: {site: c}}\n"
        "    files: [{target: /etc/site, content: '{site}', template: true}]\n"
    )
    file.write(text)
    assert all(outcome.ok for outcome in file.apply())
    contents = [m.instance.seed.files[0].content for m in file.fleet.machines()]
    assert (contents, file.plan()) == ([b"a", b"b", b"c"], [])
    file.write(text.replace("{site: b}", "{site: d}"))
    assert file.plan() == ["seed web-2"]
    file.apply()
    file.write(text.replace("{site: b}", "{site: d}") + "    hostname: '{name}-{site}'\n")
    planned = file.fleet.files.plan(file.path, Choices()).actions
    assert [action.differences[0].after for action in planned] == [
        "web-1-a", "web-2-d", "web-3-c"
    ]  # fmt: skip
    file.apply()
    assert [m.instance.seed.hostname for m in file.fleet.machines()] == ["web-1-a", "web-2-d", "web-3-c"]
    file.write(text.replace("{site: b}", "{site: d}"))
    assert file.plan() == ["seed web-1", "seed web-2", "seed web-3"]
    file.apply()
    assert [m.instance.seed.hostname for m in file.fleet.machines()] == ["web-1", "web-2", "web-3"]


def test_settings_change_in_place_and_at_the_next_start(file: File) -> None:
    file.apply()
    file.write(BASIC.replace("256M", "512M").replace("cpus: 2", "network: open"))
    assert file.plan() == ["set web-1", "set web-2", "set web-3", "set db"]
    said = {outcome.name: outcome.value for outcome in file.apply()}
    assert said["web-1"] == "memory 256.0M -> 512.0M; takes effect at its next start"
    assert said["db"] == "memory 256.0M -> 512.0M, cpus 2 -> 1, network none -> open"
    assert file.fleet.machine("db").instance.network is Network.OPEN
    assert file.plan() == []
    with open_fake(file.path.parent / "state") as again:  # as another process sees it
        assert again.machine("db").instance == file.fleet.machine("db").instance
        assert {i.uuid: i for i in again._host.records()}[again.machine("db").instance.uuid].cpus == 1


def test_power_is_brought_about(file: File) -> None:
    file.apply()
    file.write(BASIC.replace("{state: running}", "{state: stopped}"))
    assert file.plan() == ["stop web-1", "stop web-2", "stop web-3"]
    file.apply()
    assert set(conditions(file.fleet).values()) == {Condition.STOPPED}
    assert file.plan() == []


def test_what_left_the_file_is_named_and_only_pruned_when_told(file: File) -> None:
    file.fleet.create(["by-hand"], "tiny", SPARSE)
    file.apply()
    file.write(HEAD + "machines:\n  web-1: {state: running}\n")
    found = file.fleet.files.plan(file.path, Choices())
    assert (found.actions, found.extras) == ((), ("db", "web-2", "web-3"))
    file.apply()
    assert len(file.fleet.names()) == 5
    assert file.plan(prune=True) == ["delete db", "delete web-2", "delete web-3"]
    assert all(outcome.ok for outcome in file.apply(prune=True))
    assert file.fleet.names() == ["by-hand", "web-1"]


def test_a_machine_of_the_same_name_is_adopted_only_when_told(file: File) -> None:
    file.fleet.create(["db"], "tiny", SPARSE)
    before = file.fleet.machine("db").instance
    outcomes = {outcome.name: outcome for outcome in file.apply() if not outcome.ok}
    assert isinstance(outcomes["db"].error, Blocked)
    assert "made by hand" in str(outcomes["db"].error)
    assert worst(list(outcomes.values())) == 5
    assert file.fleet.machine("db").instance == before
    assert set(file.fleet.names()) == {"db", "web-1", "web-2", "web-3"}  # it stopped nothing else
    file.apply(adopt=True)
    adopted = file.fleet.machine("db").instance
    assert adopted == replace(before, fleet="widgets", cpus=2, autostart=True)
    assert file.plan() == []


def test_another_master_is_blocked_and_recreate_makes_anew(file: File, state: Path, tmp_path: Path) -> None:
    file.apply()
    seal(state, tmp_path, "tiny", "2")
    assert file.plan() == []  # `tiny` means any version of it
    file.write(BASIC.replace("master: tiny", "master: 'tiny:2'"))
    assert file.plan() == [f"blocked {name}" for name in ("web-1", "web-2", "web-3", "db")]
    before = {machine.name: machine.instance for machine in file.fleet.machines()}
    outcomes = file.apply(recreate=frozenset({"web-{1..2}"}))
    assert [(o.name, o.value) for o in outcomes if o.ok] == [
        ("web-1", "made anew"), ("web-2", "made anew"), ("web-1", "ready after 0.0 s"),
        ("web-2", "ready after 0.0 s"),
    ]  # fmt: skip
    after = {machine.name: machine.instance for machine in file.fleet.machines()}
    assert [after[n].stack.reference for n in sorted(after)] == ["tiny:1", "tiny:2", "tiny:2", "tiny:1"]
    assert after["web-1"].uuid != before["web-1"].uuid
    assert after["web-3"] == before["web-3"]
    assert file.plan() == ["blocked web-3", "blocked db"]


def test_a_new_seed_comes_to_a_stopped_machine_and_its_delta_stays(file: File, state: Path) -> None:
    file.apply()
    file.write(BASIC.replace("cpus: 2", "cpus: 2, run_once: 'true'").replace("running", "running, user: me"))
    assert file.plan() == ["seed db", *(f"blocked web-{number}" for number in (1, 2, 3))]
    before = file.fleet.machine("db").instance
    overlay = state / "instances" / str(before.uuid) / "overlay.img"
    write(overlay, "/upper/kept", "all mine")
    outcomes = {outcome.name: outcome for outcome in file.apply()}
    assert outcomes["db"].value == "a new seed, generation 2, is applied at its next start"
    assert "a new seed needs it stopped" in str(outcomes["web-1"].error)
    after = file.fleet.machine("db").instance
    assert after == replace(before, seed=replace(before.seed, generation=2, run_once="true"))
    assert file.plan() == ["blocked web-1", "blocked web-2", "blocked web-3"]
    assert inspect.read_generation(overlay) == 2
    with open_volume(overlay) as volume:
        assert b"".join(volume.read(volume.lookup(b"upper/kept"))) == b"all mine"
        node = volume.lookup(b"skinnybox/seed")
        assert seed_message(after) in b"".join(volume.read(node))
    run.run(["e2fsck", "-fn", overlay])
    file.write(BASIC)
    assert "a new seed, generation 3" in str({o.name: o.value for o in file.apply()}["db"])


def test_a_seed_without_room_is_blocked_and_comes_with_a_reset(file: File, state: Path) -> None:
    file.apply()
    file.write(BASIC.replace("cpus: 2", f"cpus: 2, run_once: '{'x' * 20_000}'"))
    (outcome,) = file.apply()
    assert isinstance(outcome.error, Blocked)
    assert outcome.error.hint and "--reset" in outcome.error.hint
    (outcome,) = file.apply(reset=frozenset({"db"}))
    assert outcome.value == "reset, generation 2"
    assert file.plan() == []


def test_a_seed_of_which_the_record_got_lost_is_newer_the_next_time(file: File, state: Path) -> None:
    """Killed between overlay and record, and started: what it applied must not count as what it is given."""
    file.apply()
    before = file.fleet.machine("db").instance
    file.write(BASIC.replace("cpus: 2", "cpus: 2, run_once: 'one'"))
    file.apply()
    rewritten(file.fleet, before)
    file.write(BASIC.replace("cpus: 2", "cpus: 2, run_once: 'two'"))
    file.apply()
    assert file.fleet.machine("db").instance.seed.generation == 3


def test_a_machine_grows_when_the_file_says_so(file: File) -> None:
    file.apply()
    file.write(BASIC.replace("cpus: 2", "cpus: 2, overlay: 96M").replace("running", "running, overlay: 96M"))
    assert file.plan() == ["grow db", *(f"blocked web-{number}" for number in (1, 2, 3))]
    outcomes = {outcome.name: outcome for outcome in file.apply()}
    assert outcomes["db"].value == "overlay 64.0M -> 96.0M"
    assert file.fleet.machine("db").instance.overlay.size == 96 * MIB
    assert file.plan() == ["blocked web-1", "blocked web-2", "blocked web-3"]
    file.write(BASIC)
    assert "never shrinks" in str(file.apply()[0].error)


def write(overlay: Path, path: str, text: str) -> None:
    """As a guest would have."""
    with tempfile.NamedTemporaryFile("w") as source:
        source.write(text)
        source.flush()
        run.run(["debugfs", "-w", "-R", f"write {source.name} {path}", overlay])
