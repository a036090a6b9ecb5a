"""`copy` and `rename` on the fake host."""

from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import Conflict
from skinnybox.fleet.service import Fleet
from skinnybox.hosts.fake.host import FakeHost
from skinnybox.model import DiskKind, Forward, Instance, Network, StaticNetwork, ThrowAway, Thrown
from skinnybox.model.datadisk import data_disk
from skinnybox.operation import Operation
from skinnybox.overlays import inspect
from skinnybox.sizes import MIB
from tests.fleet import rebasing
from tests.fleet.conftest import SPARSE, said
from tests.fleet.rebasing import has
from tests.fleet.test_disks import image
from tests.fleet.test_lease import dies_in
from tests.fleet.test_rebase import put, two_masters

__all__ = ["two_masters"]
fleet = rebasing.fleet_of_two
Said = pytest.CaptureFixture[str]
OWN = (
    "srv/site",
    "etc/ssh/ssh_host_ed25519_key",
    "var/lib/systemd/random-seed",
    "var/lib/dhcp/dhclient.leases",
)


@pytest.fixture
def web(fleet: Fleet, state: Path) -> Instance:
    [instance] = fleet.create(["web"], "web:1", replace(SPARSE, data=data_disk(48 * MIB)))
    put(image(state, instance), "srv/site", "mine")
    for path in OWN[1:]:
        put_beside(image(state, instance), path)
    return instance


def put_beside(overlay: Path, path: str) -> None:
    """Where some of the folders are there already."""
    source = overlay.with_name("content")
    source.write_text("secret")
    folders = [str(folder) for folder in list(Path(path).parents)[-2::-1]]
    for order in (*(f"mkdir upper/{folder}" for folder in folders), f"write {source} upper/{path}"):
        run.run(["debugfs", "-w", "-R", order, overlay])
    source.unlink()


def data_file(state: Path, instance: Instance, path: str) -> bytes:
    disk = image(state, instance).with_name("data.img")
    return run.run(["debugfs", "-R", f"cat {path}", disk]).stdout


# --- copy


@pytest.mark.parametrize("running", [False, True])
def test_copies_have_what_it_made_its_own_and_are_others(
    fleet: Fleet, state: Path, web: Instance, capsys: Said, running: bool
) -> None:
    assert fleet.set(["web"], {"forwards": (Forward(port=18080, to=80),)})[0].ok
    if running:
        fleet.start(["web"])
    ended = said(capsys, "copy", "web", "web-{2..3}")
    assert (ended.code, ended.out) == (0, "web-2: copied from web\nweb-3: copied from web\n"), ended
    for name in ("web-2", "web-3"):
        copy = fleet.machine(name).instance
        disk = image(state, copy)
        assert has(state, copy, "srv/site") == "mine"
        assert [has(state, copy, path) for path in OWN[1:]] == [None] * 3
        assert (copy.seed.hostname, copy.seed.generation, copy.forwards) == (name, 1, ())
        assert copy.uuid != web.uuid and copy.seed.machine_id != web.seed.machine_id
        assert copy.ssh_port != web.ssh_port and copy.mac != web.mac
        assert inspect.read_base(disk).get("instance") == str(copy.uuid)
        assert inspect.read_identity(disk, web.uuid) == inspect.read_identity(disk, copy.uuid) == b""
        fleet.start([name])
    assert has(state, web, OWN[1]) == "secret"


def test_data_are_copied_when_that_is_said(fleet: Fleet, state: Path, web: Instance) -> None:
    disk = image(state, web).with_name("data.img")
    run.run(["debugfs", "-w", "-R", "mkdir folders/kept", disk])
    with_data, without = fleet.deltas.copy("web", ["b"], data=True)[0], fleet.deltas.copy("web", ["c"])[0]
    for copy, there in ((with_data, True), (without, False)):
        told = run.run(["debugfs", "-R", "ls -p folders", image(state, copy).with_name("data.img")]).stdout
        assert (b"/kept/" in told) is there
        with fleet._host.open_overlay(copy, Operation(), DiskKind.DATA) as data:
            assert inspect.read_base(data).get("instance") == str(copy.uuid)


def test_names_that_are_taken_leave_nothing(fleet: Fleet, state: Path, web: Instance, capsys: Said) -> None:
    ended = said(capsys, "copy", "web", "new", "web")
    assert ended.code == 4 and "there is a machine" in ended.err, ended
    assert "--skip-existing" not in ended.err, "copy has no such option"
    assert fleet.names() == ["web"] and len(list((state / "instances").iterdir())) == 1


def test_what_fails_half_way_leaves_nothing(
    fleet: Fleet, state: Path, web: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = FakeHost.define

    def second(self: FakeHost, instance: Instance) -> None:
        if instance.name == "c":
            raise Conflict("somebody has it")
        usual(self, instance)

    monkeypatch.setattr(FakeHost, "define", second)
    with pytest.raises(Conflict, match="somebody has it"):
        fleet.deltas.copy("web", ["b", "c"])
    assert fleet.names() == ["web"] and len(list((state / "instances").iterdir())) == 1


def test_a_copy_that_is_killed_is_cleared_away(
    fleet: Fleet, state: Path, web: Instance, capsys: Said
) -> None:
    dies_in(state, "skinnybox.hosts.fake.host.FakeHost.define", "fleet.deltas.copy('web', ['b'])")
    assert said(capsys, "repair", "-y").code == 0
    assert fleet.names() == ["web"] and len(list((state / "instances").iterdir())) == 1


@pytest.mark.parametrize(
    ("more", "why"), [({"throw_away": ThrowAway(kind=Thrown.MEMORY)}, "keeps what it writes in its memory")]
)
def test_what_cannot_be_read_is_refused(
    fleet: Fleet, more: dict[str, object], why: str, capsys: Said
) -> None:
    fleet.create(["odd"], "web:1", replace(SPARSE, **more))  # type: ignore[arg-type]
    ended = said(capsys, "copy", "odd", "b")
    assert ended.code == 6 and why in ended.err, ended
    assert fleet.names() == ["odd"]


# --- rename


def test_it_is_called_otherwise_and_is_who_it_was(
    fleet: Fleet, state: Path, web: Instance, capsys: Said
) -> None:
    ended = said(capsys, "rename", "web", "www")
    assert (ended.code, ended.out) == (0, "web: now www\n"), ended
    assert fleet.names() == ["www"]
    after = fleet.machine("www").instance
    assert (after.uuid, after.mac, after.ssh_port) == (web.uuid, web.mac, web.ssh_port)
    assert (after.seed.hostname, after.seed.machine_id) == ("www", web.seed.machine_id)
    assert after.seed.generation > web.seed.generation
    assert [row.instance for row in fleet._catalog.rows()] == list(fleet._host.records()) == [after]
    assert said(capsys, "rename", "www", "www").code == 0
    fleet.create(["web"], "web:1", SPARSE)
    fleet.start(["www"])


def test_a_hostname_of_its_own_stays(fleet: Fleet) -> None:
    fleet.create(["a"], "web:1", replace(SPARSE, hostname="mail"))
    assert fleet.deltas.rename("a", "b").seed.hostname == "mail"


def test_what_cannot_be_a_name_is_refused(fleet: Fleet, web: Instance, capsys: Said) -> None:
    fleet.create(["b"], "web:1", SPARSE)
    for new, code in (("b", 4), ("B", 2), ("a.b", 2), ("-", 2)):
        assert said(capsys, "rename", "web", new).code == code, new
    assert said(capsys, "rename", "nobody", "c").code == 3
    fleet.start(["web"])
    ended = said(capsys, "rename", "web", "c")
    assert ended.code == 5 and "needs it stopped" in ended.err
    assert fleet.machine("web").instance == web


def test_a_rename_that_fails_at_the_host_never_was(
    fleet: Fleet, web: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise Conflict("somebody has it")

    with monkeypatch.context() as patch:
        patch.setattr(FakeHost, "define", fail)
        with pytest.raises(Conflict, match="somebody has it"):
            fleet.deltas.rename("web", "www")
    assert fleet.names() == ["web"] and fleet.machine("web").instance.name == "web"
    fleet.create(["www"], "web:1", SPARSE)


@pytest.mark.parametrize(
    ("place", "left"),
    [
        ("skinnybox.hosts.fake.host.FakeHost.rebuild_disks", "web"),
        ("skinnybox.fleet.catalog.catalog.Catalog.record", "www"),
    ],
)
def test_a_rename_that_is_killed_is_done_or_was_not(
    fleet: Fleet, state: Path, web: Instance, place: str, left: str
) -> None:
    """By what the host says: its record is the truth."""
    dies_in(state, place, "fleet.deltas.rename('web', 'www')")
    [row] = fleet._catalog.rows()
    assert fleet.set([*fleet.names()], {"cpus": 2})[0].ok
    assert fleet.names() == [left] and fleet.machine(left).instance.uuid == row.instance.uuid
    fleet.create([{"web": "www", "www": "web"}[left]], "web:1", SPARSE)  # the other name is nobody's
    assert left in {record.name for record in fleet._host.records() if record.uuid == web.uuid}


def test_an_address_of_its_own_is_taken(fleet: Fleet, capsys: Said) -> None:
    fixed = StaticNetwork(address="10.0.0.3/24", gateway="10.0.0.1")
    fleet.create(["a"], "web:1", replace(SPARSE, network=Network.BRIDGE, bridge="br0", static_network=fixed))
    ended = said(capsys, "copy", "a", "b")
    assert ended.code == 4 and "10.0.0.3" in ended.err, ended
    assert fleet.names() == ["a"]
