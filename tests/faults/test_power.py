"""Power cuts: nothing that the guest had fsynced is lost, and the machine starts again."""

import random
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import NotFound
from skinnybox.fleet.create import Specification
from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.settings import Settings
from skinnybox.fleet.view import Condition
from skinnybox.hosts.qemu import command_line, launch
from skinnybox.model import Allocation, ChangeKind, Instance, Overlay
from skinnybox.overlays.ext4 import Volume, open_volume
from skinnybox.overlays.settle import settled
from skinnybox.sizes import MIB
from skinnybox.wire import decode
from tests.faults import small_guest
from tests.faults.workload import SEEDED, Step, Workload, allowed, of_master
from tests.faults.writelog import BEFORE_ALL, Replay, logged

pytestmark = [pytest.mark.boot, pytest.mark.timeout(900)]
SIZE = 64 * MIB
SECONDS = 60.0
NOISE = """
i=0; while sleep 0.03; do yes | head -c 90000 >/var/n-$((i += 1)); rm -f /var/n-$((i - 3)); done &
"""


@dataclass(slots=True, kw_only=True)
class Recording:
    """A machine's first run. `told` is, for each step the guest said it had done, how many requests had been
    logged then; before the first the machine said that it was `ready`."""

    instance: Instance
    before: Path
    log: Path
    seed: int
    ready: int = 0
    steps: list[Step] = field(default_factory=list)
    told: list[int] = field(default_factory=list)

    def done(self, requests: int) -> int:
        """How many steps were done for sure when no more than these requests had been logged."""
        return sum(count <= requests for count in self.told)

    def contents(self, steps: int) -> dict[str, bytes | None]:
        """The guest's files after so many steps."""
        files = of_master()
        for step in self.steps[:steps]:
            files.update(step.after)
        return files

    def untouched(self, steps: int) -> dict[str, bytes | None]:
        """Those of them that the next step leaves alone."""
        busy = {path for step in self.steps[steps : steps + 1] for path in step.after}
        return {path: data for path, data in self.contents(steps).items() if path not in busy}


@pytest.fixture(scope="module")
def fleet(test_kernel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """With the small guest as its master."""
    folder = tmp_path_factory.mktemp("power")
    state = folder / "state"
    small_guest.sealed(state / "masters", folder, test_kernel)
    with open_fleet(Settings(state=state)) as opened:
        yield opened
        if opened.names():
            opened.delete(opened.names(), force=True)


@pytest.fixture(scope="module")
def logs() -> Iterator[Path]:
    """A folder that QEMU, which runs as a user of its own, can reach."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


def through(log: Path) -> Callable[[command_line.Machine], list[str]]:
    """The product's command line, with the overlay's requests also written to a log."""

    def argv(machine: command_line.Machine) -> list[str]:
        words = command_line.argv(machine)
        at = next(n for n, word in enumerate(words) if "node-name=overlay," in word)
        options = words[at].split("node-name=overlay,")[1]
        below = words[at].replace("node-name=overlay,", "node-name=overlay-raw,")
        file = f"driver=file,filename={log},node-name=overlay-log,locking=off"
        filtered = f"driver=blklogwrites,file=overlay-raw,log=overlay-log,node-name=overlay,{options}"
        words[at : at + 1] = [below, "-blockdev", file, "-blockdev", filtered]
        return words

    return argv


def record(
    fleet: Fleet,
    logs: Path,
    monkeypatch: pytest.MonkeyPatch,
    allocation: Allocation,
    *,
    steps: int,
    seed: int,
) -> Recording:
    """Let a new machine live for some steps, and pull the plug."""
    name = f"{allocation}-{seed}"
    specification = Specification(overlay=Overlay(size=SIZE, allocation=allocation), memory=128 * MIB, cpus=1)
    instance = fleet.create([name], "small", specification)[0]
    made = Recording(instance=instance, before=logs / f"{name}.before", log=logs / f"{name}.log", seed=seed)
    shutil.copyfile(overlay_of(fleet, instance), made.before)
    made.log.touch()
    user = launch.user_of(instance)
    if user is not None:
        shutil.chown(made.log, user, user)
    with monkeypatch.context() as patched:
        patched.setattr(launch, "argv", through(made.log))
        started = fleet.start([name], timeout=SECONDS)[0]
        assert started.ok, (started.error, fleet.console_log(name).decode(errors="replace"))
        made.ready = logged(made.log)
        tell(fleet, made, random.Random(seed), steps)
        fleet.kill([name])
    return made


def tell(fleet: Fleet, made: Recording, chance: random.Random, steps: int) -> None:
    """Give the steps to the guest, with unsynced writes beside them."""
    with fleet.console(made.instance.name) as console:
        console.settimeout(SECONDS)
        console.sendall(NOISE.encode())
        for number, step in enumerate(Workload(chance=chance).steps(steps)):
            made.steps.append(step)
            console.sendall(f"{step.line} && echo did-$(({number} + 0)) || echo failed-{number}\n".encode())
            said = b""
            while not (found := re.search(rb"(did|failed)-%d\r?\n" % number, said)):
                said += console.recv(4096)
            assert found[1] == b"did", (step.line, said)
            made.told.append(logged(made.log))


def overlay_of(fleet: Fleet, instance: Instance) -> Path:
    return fleet.masters._store.parent / "instances" / str(instance.uuid) / "overlay.img"


def cuts(made: Recording, count: int, work: Path) -> Iterator[tuple[int, Path]]:
    """(requests logged, disk) of power cuts at random flushes, a third of them before the machine was ready.

    The disk is another one when the next is asked for.
    """
    chance = random.Random(made.seed)
    base, disk = work / "base.img", work / "cut.img"
    shutil.copyfile(made.before, base)
    replay = Replay(base, made.log)
    early = [flush for flush in (BEFORE_ALL, *replay.flushes) if flush + 1 < made.ready]
    late = replay.flushes[len(early) - 1 :]
    for flush in sorted(_some(early, count // 3, chance) + _some(late, count - count // 3, chance)):
        replay.forward(flush)
        run.run(["cp", "--sparse=always", base, disk])
        replay.lose(disk, chance)
        yield flush + 1, disk


def _some(flushes: list[int], count: int, chance: random.Random) -> list[int]:
    """`count` of them; the same one again, with other losses, where there are too few."""
    return [*chance.choices(flushes, k=max(0, count - len(flushes))),
            *chance.sample(flushes, min(count, len(flushes)))]  # fmt: skip


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
    with settled(disk) as image, open_volume(image) as volume:
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
    with settled(overlay_of(fleet, made.instance)) as image, open_volume(image) as volume:
        kept(volume, made, made.done(requests))


def resets(fleet: Fleet, made: Recording, disk: Path) -> None:
    """With what a cut left the machine can be reset, and starts then. To be done last: it has a new seed."""
    put(fleet, made, disk)
    assert fleet.overlays.reset([made.instance.name])[0].error is None
    comes_up(fleet, made)


def comes_up(fleet: Fleet, made: Recording) -> None:
    name = made.instance.name
    started = fleet.start([name], timeout=SECONDS)[0]
    assert started.error is None, (started.error, fleet.console_log(name).decode(errors="replace"))
    assert fleet.machine(name).condition is Condition.READY
    fleet.kill([name])


@pytest.mark.parametrize("allocation", list(Allocation))
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
