"""The small machines of a rebase, whose QEMU is killed at any moment of them: the machine is as it was,
nothing is left over, and the next call goes through. On the small system, whose package manager finds all
well: one kill is seconds there, and what a killed QEMU leaves is the same."""

import contextlib
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from skinnybox.fleet.rebase_rollout import Rollout
from skinnybox.fleet.rebases import Wishes
from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.settings import Settings
from skinnybox.fleet.specification import Specification
from skinnybox.masters import imports
from skinnybox.model import Acceleration, Allocation, Overlay
from skinnybox.operation import Operation
from skinnybox.sizes import MIB
from tests.faults import small_guest
from tests.faults.conftest import _digest
from tests.faults.leftovers import unexplained
from tests.faults.rebase_kills import _below
from tests.fleet.test_rebase import put
from tests.image import debianlike as debian
from tests.pace import within

pytestmark = [pytest.mark.full, pytest.mark.timeout(7200)]
KILLS = int(os.environ.get("SKINNYBOX_APPLIANCE_KILLS") or 20)
WELL = """#!/bin/sh
# Of what it installed the machine has a database of its own: only then the gate asks.
cd /var/lib/dpkg
case "$*" in *install*) cp status new && mv new status ;; esac
"""
ENV = """#!/bin/sh
# Busybox's own would run its own dpkg.
while [ "$1" != timeout ]; do shift; done
shift
[ "$1" != -k ] || shift 2
program=/usr/bin/$2
[ -x "$program" ] || program=$2
shift 2
exec "$program" "$@"
"""
NAMES = ("replay", "gate")
"""In which order they come."""


@dataclass(frozen=True)
class Ended:
    """`alive` is from when to when each small machine was there, in seconds since the call began."""

    error: str
    alive: tuple[tuple[float, float], ...]


def _sealed(store: Path, folder: Path, kernel: Path, version: str) -> None:
    made = small_guest.tree(folder / f"tree-{version}", small_guest.static_busybox())
    shutil.copytree(kernel / "lib/modules", made / "usr/lib/modules", ignore=small_guest._not_needed)
    (made / debian.INFO).mkdir(parents=True)
    (made / debian.STATUS).write_text("")
    debian.install(made, "web", version, {"/usr/bin/web": version}, conffiles={"/etc/web.conf": version})
    (made / "etc/os-release").write_text(f'ID=debian\nVERSION_ID="{version}"\nPRETTY_NAME="Small"\n')
    for name in ("env", "dpkg", "apt-get", "apt-mark", "update-alternatives"):
        (made / "usr/bin" / name).write_text(ENV if name == "env" else WELL)
        (made / "usr/bin" / name).chmod(0o755)
    imports.import_tree(
        made, store=store, name="small", version=version, as_is=True, unrelated=True,
        kernel=next(kernel.glob("boot/vmlinuz-*")), initrd=None, operation=Operation(),
    )  # fmt: skip
    shutil.rmtree(made)


@pytest.fixture
def state(test_kernel: Path, tmp_path: Path) -> Path:
    """With a machine of its own settings and its own file, on the first of two releases."""
    for version in ("12", "13"):
        _sealed(tmp_path / "state/masters", tmp_path, test_kernel, version)
    overlay = Overlay(size=64 * MIB, allocation=Allocation.SPARSE)
    with opened(tmp_path / "state") as fleet:
        [web] = fleet.create(["web"], "small:12", Specification(overlay=overlay, memory=192 * MIB))
    disk = tmp_path / "state/instances" / str(web.uuid) / "overlay.img"
    put(disk, "own", "mine")
    put(disk, "etc/web.conf", "mine")
    return tmp_path / "state"


@contextlib.contextmanager
def opened(state: Path) -> Iterator[Fleet]:
    with open_fleet(Settings(state=state, reach=False, accelerator=Acceleration.TCG)) as fleet:
        yield fleet


def rebased(state: Path, dies: tuple[int, float] | None) -> Ended:
    """Built, and not started; `dies` says which of its small machines, and how many seconds after it came."""
    said = state.with_name("said")
    child, begun = os.fork(), time.monotonic()
    if not child:
        _in_child(state, said)
    alive: dict[int, tuple[float, float]] = {}
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        now = time.monotonic() - begun
        for pid in filter(_is_qemu, _below(child)):
            alive[pid] = (alive.get(pid, (now, now))[0], now)
            number = list(alive).index(pid)
            if dies is not None and number == dies[0] and now - alive[pid][0] >= dies[1]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    return Ended(said.read_text(), tuple(alive.values()))


def _in_child(state: Path, said: Path) -> None:
    try:
        with opened(state) as fleet:
            [done] = fleet.rebases.run(["web"], "small:13", Wishes(replay=True), Rollout(start=False))
            said.write_text(done.error.message if done.error else "")
    except BaseException as error:
        said.write_text(repr(error))
    finally:
        os._exit(0)


def _is_qemu(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/exe").readlink().name.startswith("qemu-system")
    return False


def looked_at(state: Path) -> tuple[str, str, list[str]]:
    """Its record, its disk, and what is kept of it."""
    with opened(state) as fleet:
        instance = fleet.machine("web").instance
        kept = [snapshot.label for _, snapshot in fleet.overlays.snapshots(["web"])]
    disk = state / "instances" / str(instance.uuid) / "overlay.img"
    return repr(instance), _digest(disk), kept


def test_killed_at_any_moment_of_them(state: Path) -> None:
    seed = int(os.environ.get("SKINNYBOX_FAULTS_SEED") or random.randrange(1 << 32))
    print(f"SKINNYBOX_FAULTS_SEED={seed}")
    chance, before = random.Random(seed), looked_at(state)
    usual = through(state, before)
    seconds = [end - start for start, end in usual.alive]
    print(NAMES, [f"{each:.1f} s" for each in seconds], flush=True)
    assert len(seconds) == len(NAMES), usual
    for which, moment in moments(chance, KILLS):
        ended = rebased(state, (which, moment * seconds[which]))
        print(NAMES[which], [f"{end - start:.1f}" for start, end in ended.alive], ended.error, flush=True)
        if ended.error == "" and moment > 0.8:
            back_again(state, before)  # it had said that it is done
        else:
            assert "ended too early" in ended.error and NAMES[which] in ended.error, ended
        assert looked_at(state) == before
        assert unexplained(state) == []
    through(state, before)


def moments(chance: random.Random, count: int) -> list[tuple[int, float]]:
    """Which of them dies, and after what part of its usual time: spread over that, in no order."""
    each = -(-count // len(NAMES))
    found = [
        (which, (number + chance.random()) / each) for which in range(len(NAMES)) for number in range(each)
    ]
    return chance.sample(found, count)


def through(state: Path, before: tuple[str, str, list[str]]) -> Ended:
    """The same, and nobody kills anything; and back again."""
    ended = rebased(state, None)
    assert ended.error == "" and ended.alive[-1][1] < within(600), ended
    back_again(state, before)
    return ended


def back_again(state: Path, before: tuple[str, str, list[str]]) -> None:
    with opened(state) as fleet:
        assert fleet.machine("web").instance.stack.reference == "small:13"
        [back] = fleet.rebases.rollback(["web"])
        assert back.error is None, back.error
        fleet.overlays.delete_snapshot(["web"], looked_at(state)[2][0])
    assert looked_at(state) == before
