"""Machines of a pool that go onto another release: what they had is installed again here, in the appliance of
this computer, before anything goes to the pool. What runs in there is tests/boot/test_replay.py's."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.appliance.appliance import Appliance
from skinnybox.errors import Blocked, GuestFailed
from skinnybox.fleet import rebase_replay
from skinnybox.fleet.rebase_look import Look
from skinnybox.fleet.rebase_rollout import Rollout
from skinnybox.fleet.rebases import Wishes
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import Condition
from skinnybox.model import Instance
from skinnybox.operation import UNATTENDED
from tests.emulators.xapi import EmulatedPool
from tests.fleet.test_rebase import _tree
from tests.samples import seal
from tests.xapi.furnished import SMALL, all_of, at_work, host_on, plain_disk
from tests.xapi.test_host_rebase import drives, roles

pytestmark = pytest.mark.image
GUEST = at_work
Said = Callable[[str], None]
AGAIN, QUICK = Wishes(replay=True), Rollout(timeout=20)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """web:1 of one release and web:2 of the next."""
    folder = tmp_path / "state"
    for version, release in (("1", "12"), ("2", "13")):
        root = tmp_path / f"tree-web-{version}"
        _tree(root, version)
        (root / "etc/os-release").write_text(f'ID=debian\nVERSION_ID="{release}"\nPRETTY_NAME="Debian"\n')
        seal(folder, tmp_path, "web", version, unrelated=True)
    return folder


@pytest.fixture
def fleet(pool: EmulatedPool, state: Path) -> Iterator[Fleet]:
    with Fleet(state, host_on(pool, state, make_disk=plain_disk), boots_at_once=1) as fleet:
        yield fleet


@pytest.fixture
def web(fleet: Fleet) -> Instance:
    """Off; it has run."""
    (made,) = fleet.create(["web"], "web:1", SMALL)
    assert fleet.start(["web"], timeout=20.0)[0].ok
    fleet.kill(["web"])
    return made


@pytest.fixture
def appliances(monkeypatch: pytest.MonkeyPatch) -> list[Appliance]:
    """Those that were run; each leaves a file in the overlay, as a package manager would."""
    found: list[Appliance] = []

    def run_it(appliance: Appliance, name: str, heard: Said, scratch: Path) -> None:
        found.append(appliance)
        assert all(disk.file.is_file() for disk in appliance.disks) and appliance.kernel.is_file()
        overlay = next(disk.file for disk in appliance.disks if disk.writable)
        (scratch / "again").write_text("installed again")
        run.run(["debugfs", "-w", "-R", f"write {scratch}/again upper/again", overlay])
        heard("at install")

    monkeypatch.setattr(rebase_replay, "operate", run_it)
    monkeypatch.setattr(Look, "pass_gate", lambda *words, **more: None)
    return found


def again(fleet: Fleet) -> str:
    with fleet._host.open_overlay(fleet.machine("web").instance, UNATTENDED) as overlay:
        return run.run(["debugfs", "-R", "cat upper/again", overlay]).stdout.decode()


def test_it_is_installed_again_here_and_goes_to_the_pool_whole(
    pool: EmulatedPool, fleet: Fleet, web: Instance, appliances: list[Appliance]
) -> None:
    (outcome,) = fleet.rebases.run(["web"], "web:2", Wishes(), QUICK)
    assert isinstance(outcome.error, Blocked) and "--replay" in f"{outcome.error} {outcome.error.hint}"
    (outcome,) = fleet.rebases.run(["web"], "web:2", AGAIN, QUICK)
    assert outcome.error is None, outcome.error
    [appliance] = appliances
    assert [disk.serial for disk in appliance.disks] == ["skinny-master", "skinny-overlay", "skinny-packages"]
    now = fleet.machine("web").instance
    assert now.stack.reference == "web:2" and again(fleet) == "installed again"
    assert list(fleet._host.records()) == [now] and roles(pool) == ["overlay", "snapshot"]
    assert sorted(drives(pool, now)) == ["0", "1"], "no disk of packages is attached to it, or left there"
    assert fleet.start(["web"], timeout=20.0)[0].ok
    assert fleet.machine("web").condition is Condition.READY
    assert fleet.kill(["web"])[0].ok and fleet.rebases.rollback(["web"])[0].ok
    assert fleet.machine("web").instance.stack == web.stack and again(fleet) == ""


@pytest.mark.full
def test_what_fails_here_leaves_the_pool_as_it_was(
    pool: EmulatedPool, fleet: Fleet, web: Instance, appliances: list[Appliance],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    before = drives(pool, web)

    def refused(appliance: Appliance, name: str, heard: Said, scratch: Path) -> None:
        heard("install web: its maintainer script ended with 1")

    def broken(appliance: Appliance, name: str, heard: Said, scratch: Path) -> None:
        raise GuestFailed("it ended without a word")

    for act, kind in ((refused, Blocked), (broken, GuestFailed)):
        monkeypatch.setattr(rebase_replay, "operate", act)
        pool.log.clear()
        (outcome,) = fleet.rebases.run(["web"], "web:2", AGAIN, QUICK)
        assert isinstance(outcome.error, kind), outcome.error
        assert pool.log.count("import_raw_vdi") <= 1, "the new master at the most"
        assert fleet.machine("web").instance == web and list(fleet._host.records()) == [web]
        assert drives(pool, web) == before and roles(pool) == ["overlay"]
    assert not [record for record in all_of(pool, "VDI") if "package" in str(record["name_label"])]
    assert fleet.start(["web"], timeout=20.0)[0].ok
