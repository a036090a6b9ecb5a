"""A machine whose requests to its overlay are written down, and the disks that power cuts could have left."""

import random
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.emulation.user import user_of
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.specification import Specification
from skinnybox.hosts.qemu import command_line, launch
from skinnybox.model import Allocation, Instance, Overlay
from skinnybox.sandbox import confinement, jail
from skinnybox.sizes import MIB
from tests.faults.workload import Step, Workload, of_master
from tests.faults.writelog import BEFORE_ALL, Replay, logged
from tests.pace import within

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
    user = user_of(instance)
    if user is not None:
        shutil.chown(made.log, user, user)
    with monkeypatch.context() as patched:
        patched.setattr(launch, "argv", through(made.log))
        # The log is no file that QEMU was handed: shut in, it could not open it.
        patched.setattr(confinement, "WITHOUT", (jail.LANDLOCK, jail.EMPTY_ROOT))
        patched.setattr(confinement, "_weak", True)
        started = fleet.start([name], timeout=within(SECONDS))[0]
        assert started.ok, (started.error, fleet.console_log(name).decode(errors="replace"))
        made.ready = logged(made.log)
        tell(fleet, made, random.Random(seed), steps)
        fleet.kill([name])
    return made


def tell(fleet: Fleet, made: Recording, chance: random.Random, steps: int) -> None:
    """Give the steps to the guest, with unsynced writes beside them."""
    with fleet.console(made.instance.name) as console:
        console.settimeout(within(SECONDS))
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
