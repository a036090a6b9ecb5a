"""Power cuts: nothing that the guest had fsynced is lost, and the machine starts again."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import NotFound
from skinnybox.ext4 import Volume, open_volume
from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.settings import Settings
from skinnybox.fleet.view import Condition
from skinnybox.model import Allocation, ChangeKind, Instance
from skinnybox.overlays.journal import replayed
from skinnybox.wire import decode
from tests.faults import small_guest
from tests.faults.power_cuts import SECONDS, Recording, cuts, overlay_of, record
from tests.faults.workload import SEEDED, allowed, of_master
from tests.pace import within

pytestmark = [pytest.mark.boot, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def fleet(test_kernel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """With the small guest as its master."""
    folder = tmp_path_factory.mktemp("power")
    state = folder / "state"
    small_guest.sealed(state / "masters", folder, test_kernel)
    with open_fleet(Settings(state=state, reach=False)) as opened:  # its guests have host keys, and no sshd
        yield opened
        if opened.names():
            opened.delete(opened.names(), force=True)


@pytest.fixture(scope="module")
def logs() -> Iterator[Path]:
    """A folder that QEMU, which runs as a user of its own, can reach."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


def seen(volume: Volume, path: str) -> bytes | None:
    """A file as the guest would read it."""
    try:
        node = volume.lookup(f"upper/{path}".encode())
    except NotFound:
        return of_master().get(path)
    return None if node.type == "c" else b"".join(volume.read(node))


def check(fleet: Fleet, made: Recording, requests: int, disk: Path) -> None:
    """Everything that must hold for what a cut left, without starting the machine."""
    mended(disk)
    done = made.done(requests)
    with replayed(disk) as image, open_volume(image) as volume:
        if requests >= made.ready:
            remembered(volume, made.instance, seeded=done > 0)
            under_way(volume, made, done)
        kept(volume, made, done)
    listed(fleet, made, done, disk)


def mended(disk: Path) -> None:
    """What the guest does before it mounts must be enough, and leave nothing to mend."""
    copy = disk.with_name("mended.img")
    run.run(["cp", "--sparse=always", disk, copy])
    run.run(["e2fsck", "-p", copy], ok=(0, 1))
    run.run(["e2fsck", "-fn", copy])


def remembered(volume: Volume, instance: Instance, *, seeded: bool) -> None:
    """What the guest made for itself before it said that it was ready. That its seed is applied must not be
    forgotten once there is something that applying it again would undo."""

    def text(path: str) -> bytes:
        return b"".join(volume.read(volume.lookup(path.encode())))

    assert decode(text("skinnybox/identity"), "identity").get("instance") == str(instance.uuid)
    if seeded:
        assert text("upper/var/lib/skinnybox/seed-applied").decode() == f"1 {instance.uuid}\n"


def kept(volume: Volume, made: Recording, done: int) -> None:
    """Every file is as the last step that was done left it."""
    for path, data in made.untouched(done).items():
        assert seen(volume, path) == data, (path, done)


def under_way(volume: Volume, made: Recording, done: int) -> None:
    before = {SEEDED: f"{made.instance.name}\n".encode(), **made.contents(done)}
    for step in made.steps[done : done + 1]:
        now = {path: seen(volume, path) for path in step.after}
        assert allowed(before, step, now), (step, now)


def listed(fleet: Fleet, made: Recording, done: int, disk: Path) -> None:
    """`changes` of a machine with this disk says of these files what became of them."""
    put(fleet, made, disk)
    with fleet.overlays.changes(made.instance.name) as found:
        kinds = {change.path.decode(): change.kind for change in found if change.type != "d"}
    for path, data in made.untouched(done).items():
        if path != SEEDED:
            assert kinds.get(path) is _kind(path, data), path


def _kind(path: str, data: bytes | None) -> ChangeKind | None:
    sealed = of_master().get(path)
    if data == sealed:
        return None
    if data is None:
        return ChangeKind.DELETED
    return ChangeKind.ADDED if sealed is None else ChangeKind.MODIFIED


def put(fleet: Fleet, made: Recording, disk: Path) -> None:
    run.run(["cp", "--sparse=always", disk, overlay_of(fleet, made.instance)])


def boots(fleet: Fleet, made: Recording, requests: int, disk: Path) -> None:
    """With what a cut left the machine starts, and starting takes nothing away."""
    put(fleet, made, disk)
    comes_up(fleet, made)
    with replayed(overlay_of(fleet, made.instance)) as image, open_volume(image) as volume:
        kept(volume, made, made.done(requests))


def resets(fleet: Fleet, made: Recording, disk: Path) -> None:
    """With what a cut left the machine can be reset, and starts then. To be done last: it has a new seed."""
    put(fleet, made, disk)
    assert fleet.overlays.reset([made.instance.name])[0].error is None
    comes_up(fleet, made)


def comes_up(fleet: Fleet, made: Recording) -> None:
    name = made.instance.name
    started = fleet.start([name], timeout=within(SECONDS))[0]
    assert started.error is None, (started.error, fleet.console_log(name).decode(errors="replace"))
    assert fleet.machine(name).condition is Condition.READY
    fleet.kill([name])


@pytest.mark.parametrize(
    "allocation", [Allocation.RESERVED, pytest.param(Allocation.SPARSE, marks=pytest.mark.full)]
)
def test_nothing_fsynced_is_lost(
    allocation: Allocation, fleet: Fleet, logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = record(fleet, logs, monkeypatch, allocation, steps=25, seed=1)
    assert made.told[-1] > made.ready > 0
    for number, (requests, disk) in enumerate(cuts(made, 5, tmp_path)):
        check(fleet, made, requests, disk)
        if number == (1 if allocation is Allocation.RESERVED else 4):
            boots(fleet, made, requests, disk)
    resets(fleet, made, disk)


@pytest.mark.full
@pytest.mark.parametrize("seed", [2, 3])
@pytest.mark.parametrize("allocation", list(Allocation))
def test_two_hundred_cuts(
    allocation: Allocation,
    seed: int,
    fleet: Fleet,
    logs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = record(fleet, logs, monkeypatch, allocation, steps=80, seed=seed)
    for number, (requests, disk) in enumerate(cuts(made, 50, tmp_path)):
        check(fleet, made, requests, disk)
        if number % 10 == 0:
            boots(fleet, made, requests, disk)
    resets(fleet, made, disk)
