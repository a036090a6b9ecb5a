"""Data disks: made, kept through reset and restore, grown, given later, never taken; and what repair says."""

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from skinnybox.crc32c import crc32c
from skinnybox.errors import Blocked, Conflict, NoSpace, NotFound, SkinnyboxError, Unsupported
from skinnybox.fleet import data_disk
from skinnybox.fleet.batch import Outcome
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.catalog.rows import Doing
from skinnybox.fleet.lease import leased
from skinnybox.fleet.plan.actions import Choices
from skinnybox.fleet.repair import unknown_data
from skinnybox.fleet.reset import reset
from skinnybox.fleet.service import Fleet
from skinnybox.hosts.fake.host import FakeHost
from skinnybox.issues import Deed
from skinnybox.model import Allocation, DataDisk, DiskKind, Instance, Master, SeedFile
from skinnybox.model.datadisk import data_disk as made_of
from skinnybox.operation import UNATTENDED, Operation
from skinnybox.overlays import inspect
from skinnybox.overlays.seed import seed_message
from skinnybox.overlays.template import SEED_CAPACITY
from skinnybox.sizes import GIB, MIB
from skinnybox.wire import decode
from tests.fleet.conftest import SPARSE, open_fake, said
from tests.fleet.fleetfile import HEAD, File
from tests.fleet.repairing import found, mended
from tests.fleet.test_lease import dies_in
from tests.samples import seal

FOLDERS = ("/srv/data", "/var/lib/mysql")
WITH = replace(SPARSE, data=made_of(48 * MIB, FOLDERS, Allocation.SPARSE))


@pytest.fixture
def db(fleet: Fleet) -> Instance:
    return fleet.create(["db"], "tiny", WITH)[0]


def lies(state: Path, instance: Instance, kind: DiskKind = DiskKind.DATA) -> Path:
    return state / "instances" / str(instance.uuid) / f"{kind}.img"


def write(disk: Path, text: bytes) -> None:
    """As its guest would, where nothing of the filesystem is."""
    with disk.open("r+b") as file:
        file.seek(-len(text), 2)
        file.write(text)


def ends(disk: Path, text: bytes) -> bool:
    return disk.read_bytes().endswith(text)


def folders_told(disk: Path) -> list[str]:
    """By the seed on the overlay."""
    from skinnybox.ext4 import open_volume

    with open_volume(disk) as volume:
        text = b"".join(volume.read(volume.lookup(b"skinnybox/seed"), limit=1 << 16))
    return [line.value for line in decode(text, "seed").all("data")]


def error_of(outcomes: Sequence[Outcome[Any]]) -> SkinnyboxError | None:
    return outcomes[0].error


def test_it_is_made_with_its_machine(fleet: Fleet, db: Instance, state: Path) -> None:
    assert db.data == DataDisk(size=48 * MIB, folders=FOLDERS, allocation=Allocation.SPARSE)
    assert inspect.read_base(lies(state, db)).get("instance") == str(db.uuid)
    assert folders_told(lies(state, db, DiskKind.OVERLAY)) == list(FOLDERS)
    assert next(iter(fleet._host.records())) == db
    assert fleet.delete(["db"])[0].ok
    assert list((state / "instances").iterdir()) == []


def test_nothing_stays_of_a_create_that_has_no_room_for_it(
    fleet: Fleet, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: FakeHost, *words: object) -> None:
        if DiskKind.DATA in words:
            raise NoSpace("full")
        real(self, *words)  # type: ignore[arg-type]

    real = FakeHost.create_overlay
    monkeypatch.setattr(FakeHost, "create_overlay", full)
    with pytest.raises(NoSpace):
        fleet.create(["db"], "tiny", WITH)
    assert fleet.names() == [] and list((state / "instances").iterdir()) == []


def test_both_disks_have_to_fit(fleet: Fleet) -> None:
    space = fleet._host.space((), ())
    large = replace(WITH, data=made_of(space.free + GIB, FOLDERS, Allocation.RESERVED))
    with pytest.raises(NoSpace, match="1 reserved disks need"):
        fleet.create(["db"], "tiny", large)


def test_a_plan_counts_it(fleet: Fleet, filed: Callable[[str], File]) -> None:
    file = filed("900T")
    file.write(file.path.read_text().replace("sparse: true", "sparse: false"))
    plan = fleet.files.plan(file.path, Choices())
    assert plan.refusal and plan.refusal.message.startswith("2 reserved disks need 9")
    filed("null").apply()
    file = filed("{size: 900T, folders: [/a]}")
    file.write(file.path.read_text().replace("sparse: true", "sparse: false"))
    plan = fleet.files.plan(file.path, Choices())
    assert plan.refusal and plan.refusal.message.startswith("1 reserved disks need 900.0T")


def test_an_old_master_is_refused_beforehand(fleet: Fleet, state: Path, tmp_path: Path) -> None:
    """Its guest part would refuse the seed, and the machine never come up."""
    seal(state, tmp_path, "old", "1", protocol=2)
    with pytest.raises(Unsupported, match="does not know data: it speaks protocol 2"):
        fleet.create(["db"], "old", WITH)
    plain = fleet.create(["plain"], "old", SPARSE)[0]
    outcome = fleet.overlays.give_data(["plain"], 48 * MIB, [])
    assert isinstance(error_of(outcome), Unsupported)
    assert not lies(state, plain).exists()


def test_a_host_without_them_refuses(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeHost, "features", replace(FakeHost.features, data=False))
    with pytest.raises(Unsupported, match="have no data disk"):
        fleet.create(["db"], "tiny", WITH)


def test_a_reset_keeps_it(fleet: Fleet, db: Instance, state: Path) -> None:
    write(lies(state, db), b"a row")
    assert fleet.overlays.reset(["db"])[0].ok
    assert ends(lies(state, db), b"a row")
    assert folders_told(lies(state, db, DiskKind.OVERLAY)) == list(FOLDERS)


def test_it_grows_and_never_shrinks(fleet: Fleet, db: Instance, state: Path) -> None:
    grown = fleet.overlays.grow(["db"], 96 * MIB, disk=DiskKind.DATA)[0].value
    assert grown is not None and (grown.before, grown.after) == (48 * MIB, 96 * MIB)
    now = fleet.machine("db").instance
    assert now.data is not None and now.data.size == 96 * MIB == lies(state, db).stat().st_size
    assert now.overlay == db.overlay
    again = fleet.overlays.grow(["db"], 48 * MIB, disk=DiskKind.DATA)
    assert isinstance(error_of(again), Blocked)


def test_a_machine_without_one_grows_none(fleet: Fleet) -> None:
    fleet.create(["web"], "tiny", SPARSE)
    outcome = fleet.overlays.grow(["web"], 96 * MIB, disk=DiskKind.DATA)[0]
    assert isinstance(outcome.error, NotFound)


def test_a_restored_system_leaves_the_data_alone(fleet: Fleet, db: Instance, state: Path) -> None:
    write(lies(state, db), b"first")
    assert fleet.overlays.snapshot(["db"], "one", data=True)[0].ok
    write(lies(state, db), b"later")
    assert fleet.overlays.restore(["db"], "one")[0].ok
    assert ends(lies(state, db), b"later")
    assert fleet.overlays.restore(["db"], "one", data=True)[0].ok
    assert ends(lies(state, db), b"first")


def test_a_smaller_data_disk_of_a_snapshot_is_grown(fleet: Fleet, db: Instance, state: Path) -> None:
    fleet.overlays.snapshot(["db"], "one", data=True)
    fleet.overlays.grow(["db"], 96 * MIB, disk=DiskKind.DATA)
    assert fleet.overlays.restore(["db"], "one", data=True)[0].ok
    assert inspect.read_shape(lies(state, db)).size == 96 * MIB


def test_data_that_were_not_kept_cannot_be_put_back(fleet: Fleet, db: Instance, state: Path) -> None:
    fleet.overlays.snapshot(["db"], "one")
    outcome = fleet.overlays.restore(["db"], "one", data=True)[0]
    assert isinstance(outcome.error, Blocked)
    assert outcome.error.message.startswith("there are no data in the snapshot")


def test_a_lost_one_comes_back_from_a_snapshot(fleet: Fleet, db: Instance, state: Path) -> None:
    write(lies(state, db), b"first")
    fleet.overlays.snapshot(["db"], "one", data=True)
    lies(state, db).unlink()
    assert fleet.overlays.restore(["db"], "one", data=True)[0].ok
    assert ends(lies(state, db), b"first")


def test_a_snapshot_of_before_it_had_one_tells_the_guest_of_it_again(fleet: Fleet, state: Path) -> None:
    """Its own seed does not: the machine would come up without its data."""
    web = fleet.create(["web"], "tiny", SPARSE)[0]
    fleet.overlays.snapshot(["web"], "one")
    assert fleet.overlays.give_data(["web"], 48 * MIB, ["/data"])[0].ok
    assert fleet.overlays.restore(["web"], "one")[0].ok
    now = fleet.machine("web").instance
    assert folders_told(lies(state, web, DiskKind.OVERLAY)) == ["/data"]
    assert now.seed.generation > web.seed.generation


def test_it_is_given_later_and_gets_folders(fleet: Fleet, state: Path) -> None:
    web = fleet.create(["web"], "tiny", SPARSE)[0]
    assert isinstance(error_of(fleet.overlays.give_data(["web"], None, ["/a"])), NotFound)
    assert fleet.overlays.give_data(["web"], 48 * MIB, [])[0].ok
    write(lies(state, web), b"a row")
    assert fleet.overlays.give_data(["web"], 48 * MIB, [])[0].ok  # nothing is done
    assert isinstance(error_of(fleet.overlays.give_data(["web"], 50 * MIB, [])), Conflict)
    assert fleet.overlays.give_data(["web"], None, ["/srv/data"])[0].ok
    now = fleet.machine("web").instance
    assert now.data is not None and now.data.folders == ("/data", "/srv/data")
    assert folders_told(lies(state, web, DiskKind.OVERLAY)) == ["/data", "/srv/data"]
    assert ends(lies(state, web), b"a row")


def left(fleet: Fleet) -> Instance:
    """A machine whose `set --data` was killed before anybody could write it down."""
    web = fleet.create(["web"], "tiny", SPARSE)[0]
    wanted = replace(web, data=made_of(48 * MIB, ["/data"], Allocation.SPARSE))
    data_disk.make(fleet._host, wanted, Operation())
    return web


def mount(disk: Path) -> None:
    """What the kernel writes into a superblock that it mounts to write."""
    with disk.open("r+b") as file:
        file.seek(1024)
        block = bytearray(file.read(1020))
        block[0x2C:0x30] = (1_700_000_000).to_bytes(4, "little")
        file.seek(1024)
        file.write(bytes(block) + crc32c(bytes(block)).to_bytes(4, "little"))


def test_one_that_a_killed_command_made_is_taken_as_it_is(fleet: Fleet, state: Path) -> None:
    """Where a machine has used it: its record was put back from a backup, and knows nothing of its data."""
    web = left(fleet)
    mount(lies(state, web))
    write(lies(state, web), b"a row")
    assert "knows of no data disk" in found(state)[f"instances/{web.uuid}/data.img"][1]
    assert isinstance(error_of(fleet.overlays.give_data(["web"], 64 * MIB, [])), Conflict)
    assert fleet.overlays.give_data(["web"], 48 * MIB, [])[0].ok
    assert ends(lies(state, web), b"a row")
    assert found(state) == {}


def test_one_that_nobody_used_makes_way_for_another(fleet: Fleet, state: Path) -> None:
    web = left(fleet)
    assert fleet.overlays.give_data(["web"], 64 * MIB, [])[0].ok
    assert lies(state, web).stat().st_size == 64 * MIB
    now = fleet.machine("web").instance
    assert now.data is not None and now.data.size == 64 * MIB and found(state) == {}


def test_one_that_nobody_used_is_cleared_away(fleet: Fleet, state: Path) -> None:
    web = left(fleet)
    deed, what = mended(state)[f"instances/{web.uuid}/data.img"]
    assert deed is Deed.REMOVE and "nothing was ever on it" in what
    assert not lies(state, web).exists() and fleet.machine("web").instance == web


def test_one_that_somebody_is_just_making_is_not_cleared_away(fleet: Fleet, state: Path) -> None:
    """Judged before, done after another command has begun with it."""
    web = left(fleet)
    with closing(Catalog(state / "state.db")) as catalog:
        row = next(row for row in catalog.raw_rows() if row.uuid == str(web.uuid))
        judged = unknown_data.judged(fleet._host, catalog, web, 48 * MIB, lies(state, web), row)
        assert judged.act is not None
        with leased(fleet._host, fleet._catalog, web, Doing.RESEED), pytest.raises(Conflict):
            judged.act()
    assert lies(state, web).exists()


def test_one_that_its_overlay_knows_of_is_what_the_machine_waits_for(fleet: Fleet, state: Path) -> None:
    """Killed between the overlay and the record."""
    web = fleet.create(["web"], "tiny", SPARSE)[0]

    def killed(*words: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(FakeHost, "define", killed)
        fleet.overlays.give_data(["web"], 48 * MIB, [])
    deed, what = found(state)[f"instances/{web.uuid}/data.img"]
    assert deed is Deed.KEEP and f"set web --data {48 * MIB} takes this one" in what
    assert fleet.overlays.give_data(["web"], 48 * MIB, [])[0].ok and found(state) == {}


FAILS: dict[str, Callable[[Fleet], list[Outcome[Any]]]] = {
    "rebuild_overlay": lambda fleet: fleet.overlays.give_data(["web"], 48 * MIB, []),
    "replace_overlay": lambda fleet: reset_with_data(fleet),
}


def reset_with_data(fleet: Fleet) -> list[Outcome[Any]]:
    """As `apply --reset` does it."""
    web = fleet.machine("web").instance
    alter = partial(data_disk.given, size=48 * MIB, folders=[])
    return fleet._queries.each(
        ["web"], lambda _, way: reset(fleet._host, fleet._catalog, web, way, alter), "reset", UNATTENDED, 1
    )


@pytest.mark.parametrize("call", FAILS)
def test_nothing_stays_of_one_that_could_not_be_given(
    fleet: Fleet, state: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Neither is what was there before taken: another call made that."""

    def full(*words: object, **more: object) -> None:
        raise NoSpace("full")

    web = fleet.create(["web"], "tiny", SPARSE)[0]
    with monkeypatch.context() as patch:
        patch.setattr(FakeHost, call, full)
        assert isinstance(error_of(FAILS[call](fleet)), NoSpace)
    assert not lies(state, web).exists() and fleet.machine("web").instance == web
    data_disk.make(fleet._host, data_disk.given(web, 48 * MIB, []), UNATTENDED)
    with monkeypatch.context() as patch:
        patch.setattr(FakeHost, call, full)
        assert isinstance(error_of(FAILS[call](fleet)), NoSpace)
    assert lies(state, web).exists()
    assert FAILS[call](fleet)[0].ok and found(state) == {}


def test_nothing_stays_of_it_where_another_was_interrupted_before(
    fleet: Fleet, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host was told of what that had left, and not of the disk."""
    web = fleet.create(["web"], "tiny", SPARSE)[0]
    dies_in(state, "skinnybox.fleet.catalog.catalog.Catalog.record", "fleet.set(['web'], {'cpus': 3})")
    with monkeypatch.context() as patch:
        patch.setattr(FakeHost, "rebuild_overlay", lambda *words: pytest.fail("no room"))
        with pytest.raises(pytest.fail.Exception):
            fleet.overlays.give_data(["web"], 48 * MIB, [])
    assert not lies(state, web).exists() and fleet.machine("web").instance.cpus == 3


@pytest.mark.parametrize("call", FAILS)
def test_one_for_which_there_is_no_room_is_not_begun(
    fleet: Fleet, state: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Its overlay has to fit a second time as well, for a moment."""
    reserved = replace(SPARSE, overlay=replace(SPARSE.overlay, allocation=Allocation.RESERVED))
    fleet.create(["web"], "tiny", reserved)
    made: list[object] = []
    monkeypatch.setattr(FakeHost, "create_overlay", lambda *words: made.append(words))
    room = fleet._host.space((), ())
    monkeypatch.setattr(FakeHost, "space", lambda *words: replace(room, free=100 * MIB))
    error = error_of(FAILS[call](fleet))
    assert isinstance(error, NoSpace) and error.message.startswith("2 reserved disks need 112.0M")
    assert made == []


def test_one_whose_seed_does_not_fit_is_not_begun(fleet: Fleet, state: Path) -> None:
    """The overlay keeps a place of 16 KiB for it."""
    file = SeedFile(path="/etc/motd", content=b"x" * 11700)
    web = fleet.create(["web"], "tiny", replace(SPARSE, files=(file,)))[0]
    assert SEED_CAPACITY - 200 < len(seed_message(web)) < SEED_CAPACITY
    made: list[object] = []
    many = [f"/srv/{number:04}" for number in range(16)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeHost, "create_overlay", lambda *words: made.append(words))
        error = error_of(fleet.overlays.give_data(["web"], 48 * MIB, many))
    assert isinstance(error, Blocked) and "no room for such a seed" in error.message
    assert made == [] and not lies(state, web).exists()


def test_one_that_is_gone_keeps_its_machine_down(fleet: Fleet, db: Instance, state: Path) -> None:
    lies(state, db).unlink()
    assert not fleet.start(["db"])[0].ok
    deed, what = found(state)[f"instances/{db.uuid}/data.img"]
    assert deed is Deed.KEEP and "db has lost its data disk" in what
    mended(state)
    assert not lies(state, db).exists()


def test_a_record_follows_one_that_has_grown(fleet: Fleet, db: Instance, state: Path) -> None:
    """A `grow` that was killed before it could write it down."""
    with lies(state, db).open("r+b") as file:
        file.truncate(96 * MIB)
    mended(state)
    with open_fake(state) as again:
        now = again.machine("db").instance
        assert now.data is not None and now.data.size == 96 * MIB


def test_an_orphan_is_told_with_it(fleet: Fleet, db: Instance, state: Path) -> None:
    place = lies(state, db).parent
    (place / "instance.json").unlink()
    for path in state.glob("state.db*"):
        path.unlink()
    assert "and a data disk of 48.0M without a record" in found(state)[f"instances/{db.uuid}"][1]
    (place / "overlay.img").unlink()
    deed, what = found(state, delete_orphans=True)[f"instances/{db.uuid}"]
    assert deed is Deed.KEEP and "a data disk of 48.0M, with neither overlay nor record" in what


def test_capacity_counts_it(fleet: Fleet, db: Instance) -> None:
    assert fleet.capacity(GIB).space.promised == (64 + 48) * MIB


DB = "machines:\n  db: {data: %s}\n"


@pytest.fixture
def filed(fleet: Fleet, tmp_path: Path) -> Callable[[str], File]:
    def write_file(data: str) -> File:
        file = File(fleet, tmp_path / "fleet.yaml")
        file.write(HEAD + DB % data)
        return file

    return write_file


def test_a_fleet_file_makes_one(fleet: Fleet, filed: Callable[[str], File]) -> None:
    file = filed("{size: 48M, folders: [/var/lib/mysql, /srv/data]}")
    assert file.plan() == ["create db"]
    assert all(outcome.ok for outcome in file.apply())
    assert fleet.machine("db").instance.data == WITH.data
    assert file.plan() == []
    assert filed("{size: 48M, folders: [/srv/data, /var/lib/mysql]}").plan() == []


def test_a_fleet_file_adds_one_and_more_folders_and_grows_it(
    fleet: Fleet, filed: Callable[[str], File], state: Path
) -> None:
    filed("null").apply()
    file = filed("48M")
    assert file.plan() == ["seed db"]
    assert all(outcome.ok for outcome in file.apply())
    db = fleet.machine("db").instance
    assert db.data == made_of(48 * MIB, ["/data"], Allocation.SPARSE)
    write(lies(state, db), b"a row")
    file = filed("{size: 48M, folders: [/data, /srv/data]}")
    assert file.plan() == ["seed db"]
    assert all(outcome.ok for outcome in file.apply()) and file.plan() == []
    assert ends(lies(state, db), b"a row")
    file = filed("{size: 96M, folders: [/data, /srv/data]}")
    assert file.plan() == ["grow db"]
    assert all(outcome.ok for outcome in file.apply()) and file.plan() == []
    assert lies(state, db).stat().st_size == 96 * MIB


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("null", "never taken from a machine"),
        ("32M", "never shrinks"),
        ("{size: 48M, folders: [/other]}", "a folder stays on the data disk"),
    ],
)
def test_a_fleet_file_takes_nothing(fleet: Fleet, filed: Callable[[str], File], data: str, why: str) -> None:
    filed("48M").apply()
    before = fleet.machine("db").instance
    file = filed(data)
    assert file.plan() == ["blocked db"]
    (outcome,) = file.apply()
    assert isinstance(outcome.error, Blocked) and why in outcome.error.message
    assert fleet.machine("db").instance == before


def test_a_running_machine_is_stopped_first(fleet: Fleet, filed: Callable[[str], File]) -> None:
    filed("48M").apply()
    fleet.start(["db"])
    assert filed("96M").plan() == ["blocked db"]
    assert filed("{size: 48M, folders: [/data, /b]}").plan() == ["blocked db"]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("4", "from 32.0M"),
        ("{size: 48M, folders: [/etc]}", "of the system"),
        ("{size: 48M, folders: [/a, /a/b]}", "only one of them"),
        ("{folders: [/a]}", "size"),
        ("{size: 48M, disks: 2}", "disks"),
        ("[48M]", "size"),
        ("yes", "size"),
    ],
)
def test_mistakes_in_a_fleet_file(filed: Callable[[str], File], data: str, why: str) -> None:
    with pytest.raises(SkinnyboxError, match=why):
        filed(data).plan()


def test_the_command_line(
    state: Path, master: Master, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKINNYBOX_STATE", str(state))
    monkeypatch.setenv("SKINNYBOX_HOST", "memory")
    assert said(capsys, "create", "db", "-m", "tiny", "--data-dir", "/a").code == 2
    made = said(
        capsys, "create", "db", "-m", "tiny", "--sparse", "--overlay", "64M", "--data", "48M",
        "--data-dir", "/var/lib/mysql",
    )  # fmt: skip
    assert made.code == 0, made.err
    shown = json.loads(said(capsys, "list", "--format", "json").out)[0]
    assert (shown["data"], shown["data_folders"], shown["data_allocation"]) == (
        48 * MIB, ["/var/lib/mysql"], "sparse",
    )  # fmt: skip
    assert "48.0M" in said(capsys, "show", "db").out
    assert "grown from 48.0M to 64.0M" in said(capsys, "grow", "db", "64M", "--data").out
    assert "with its data" in said(capsys, "snapshot", "create", "db", "--label", "s", "--data").out
    listed = json.loads(said(capsys, "snapshot", "list", "--format", "json").out)[0]
    assert listed["data"] == 64 * MIB
    assert "its data stayed as they are" in said(capsys, "snapshot", "restore", "s", "db", "-y").out
    back = said(capsys, "snapshot", "restore", "s", "db", "-y", "--with-data")
    assert "with its data" in back.out and "db: its data become those of" in back.err
    more = said(capsys, "set", "db", "--data-dir", "/srv/data")
    assert more.code == 0 and "/srv/data, /var/lib/mysql" in more.out
    assert said(capsys, "set", "db", "--data-dir", "/etc").code == 2
    assert said(capsys, "set", "db", "--data-dir", "/b", "--memory", "1G").code == 2


def test_a_machine_with_nothing_but_its_data_is_not_forgotten(fleet: Fleet, state: Path) -> None:
    """What is known of it is all that can tell whose the data are."""
    made = fleet.create(["db"], "tiny", WITH)[0]
    for name in ("overlay.img", "instance.json"):
        (state / "instances" / str(made.uuid) / name).unlink()
    mended(state)
    with open_fake(state) as again:
        assert again.machine("db").instance == made and lies(state, made).exists()
