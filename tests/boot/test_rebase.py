"""A rebase of a real machine, on the small system: its own files and the new master's are there, and back."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from skinnybox.errors import GuestFailed, TimedOut
from skinnybox.fleet.rebase_rollout import Rollout
from skinnybox.fleet.rebase_run import Stage
from skinnybox.fleet.rebases import Wishes
from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.settings import Settings
from skinnybox.fleet.specification import Specification
from skinnybox.masters import imports
from skinnybox.masters.guest_part import guest_folder
from skinnybox.model import Acceleration, Allocation, Overlay
from skinnybox.operation import Operation
from skinnybox.sizes import MIB
from tests.boot.test_encrypted import down, told, up
from tests.faults import small_guest
from tests.pace import within

SECONDS = 240.0
SHOW = "cat /data/0 /data/1 /data/new /srv/mine /etc/site.conf 2>&1; echo asked-$((1 + 1))\n"
MAKE = "echo mine >/srv/mine; echo altered >/data/1; sync; echo asked-$((1 + 1))\n"


def _sealed(store: Path, folder: Path, kernel: Path, version: str) -> None:
    """`small:VERSION`: the second one has a file more and another one altered, the third never reports."""
    made = small_guest.tree(folder / f"tree-{version}", small_guest.static_busybox())
    modules = made / "usr/lib/modules"
    shutil.copytree(kernel / "lib/modules", modules, ignore=small_guest._not_needed)
    shutil.copy(guest_folder() / "inits/before-init", made / "usr/lib/skinnybox/before-init")
    for program in ("before-init", "rebase"):
        (made / "usr/lib/skinnybox" / program).chmod(0o755)  # as the installer does
    (made / "etc/os-release").write_text('ID=small\nVERSION_ID="1"\nPRETTY_NAME="Small"\n')
    (made / "data/0").write_text(f"zero of {version}\n")
    (made / "data/1").write_text("one\n")
    if version != "1":
        (made / "data/new").write_text("new\n")
    if version == "3":
        init = made / "sbin/init"
        init.write_text(init.read_text().replace("/usr/lib/skinnybox/report &", ": says nothing"))
    imports.import_tree(
        made, store=store, name="small", version=version, as_is=True, unrelated=True,
        kernel=next(kernel.glob("boot/vmlinuz-*")), initrd=None, operation=Operation(),
    )  # fmt: skip
    shutil.rmtree(made)


@pytest.fixture
def fleet(test_kernel: Path, tmp_path: Path) -> Iterator[Fleet]:
    state = tmp_path / "state"
    for version in "123":
        _sealed(state / "masters", tmp_path, test_kernel, version)
    # Its guests have host keys, and no sshd.
    with open_fleet(Settings(state=state, reach=False, accelerator=Acceleration.TCG)) as opened:
        yield opened
        if opened.names():
            opened.delete(opened.names(), force=True)


def shown(fleet: Fleet) -> list[str]:
    return [line.strip() for line in told(fleet, "web", SHOW).splitlines()]


def test_a_machine_moves_and_goes_back(fleet: Fleet) -> None:
    overlay = Overlay(size=96 * MIB, allocation=Allocation.SPARSE)
    fleet.create(["web"], "small:1", Specification(overlay=overlay, memory=192 * MIB))
    up(fleet, "web")
    told(fleet, "web", MAKE)
    down(fleet, "web")
    how = Rollout(timeout=within(SECONDS), stay_on=frozenset({"web"}))
    [done] = fleet.rebases.run(["web"], "small:2", Wishes(), how)
    assert done.error is None, (done.error, fleet.console_log("web").decode(errors="replace")[-3000:])
    assert done.value is not None and done.value.stage is Stage.PASSED
    machine = fleet.machine("web")
    report, trial = machine.current_report, machine.instance.trial
    assert report is not None and trial is not None and report.rebase is not None
    assert report.rebase.done and report.rebase.identifier == trial.identifier
    lines = shown(fleet)
    assert {"zero of 2", "altered", "new", "mine"} <= set(lines), lines
    down(fleet, "web")
    [back] = fleet.rebases.rollback(["web"])
    assert back.error is None, back.error
    up(fleet, "web")
    lines = shown(fleet)
    assert {"zero of 1", "altered", "mine"} <= set(lines) and "new" not in lines, lines
    down(fleet, "web")
    [failed] = fleet.rebases.run(["web"], "small:3", Wishes(), Rollout(timeout=within(20)))
    assert isinstance(failed.error, TimedOut | GuestFailed), failed
    assert "its system on small:1 again" in failed.error.message
    assert fleet.machine("web").instance.stack.reference == "small:1"
