"""What a guest must not start with: it says why, to the console and to the host, and goes off."""

import os
import time
import uuid
from collections.abc import Callable
from dataclasses import replace

import pytest

from skinnybox.errors import GuestFailed
from skinnybox.fleet.power import running
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import Condition, MachineView
from skinnybox.hosts.base import Contents
from skinnybox.hosts.qemu import command_line, launch
from skinnybox.model import ImageKind, Instance, image_uuid
from skinnybox.operation import Operation
from skinnybox.overlays.seed import base_message, seed_message
from tests.boot.conftest import MOST_SECONDS, Create
from tests.pace import within

Break = Callable[[Fleet, Instance, pytest.MonkeyPatch], None]


def _other_image(fleet: Fleet, instance: Instance, _: pytest.MonkeyPatch) -> None:
    other = replace(instance, stack=replace(instance.stack, images=("sha256:" + "ab" * 32,)))
    contents = Contents(base=base_message(other), seed=seed_message(instance))
    fleet._host.replace_overlay(instance, contents, Operation())


def _other_machine(fleet: Fleet, instance: Instance, _: pytest.MonkeyPatch) -> None:
    other = replace(instance, uuid=uuid.UUID(int=7))
    fleet._host.replace_overlay(
        instance, Contents(base=base_message(other), seed=seed_message(instance)), Operation()
    )


def _no_overlay(fleet: Fleet, instance: Instance, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(launch, "argv", lambda machine: _without_overlay(command_line.argv(machine)))


def _without_overlay(words: list[str]) -> list[str]:
    at = next(number for number, word in enumerate(words) if word.endswith("serial=skinny-overlay"))
    return words[: at - 1] + words[at + 1 :]


def _two_overlays(fleet: Fleet, instance: Instance, patch: pytest.MonkeyPatch) -> None:
    second = ["-blockdev", "driver=null-co,node-name=second,size=1048576"]
    device = ["-device", "virtio-blk-pci,drive=second,serial=skinny-overlay"]
    patch.setattr(launch, "argv", lambda machine: [*command_line.argv(machine), *second, *device])


def _damaged(fleet: Fleet, instance: Instance, _: pytest.MonkeyPatch) -> None:
    with fleet._host.open_overlay(instance, Operation()) as path, path.open("r+b") as file:
        for offset in range(0, path.stat().st_size, 1 << 20):
            file.seek(offset)
            file.write(os.urandom(1 << 16))


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (_other_image, r"the overlay belongs to the image abababab-.* and the disk skinny-master holds"),
        (_other_machine, r"the overlay belongs to the machine 00000000-0000-0000-0000-000000000007"),
        (_no_overlay, r"no disk called skinny-overlay"),
        (_two_overlays, r"several disks are called skinny-overlay"),
        (_damaged, r"overlay"),
    ],
)
def test_it_fails_closed(
    fleet: Fleet, create: Create, monkeypatch: pytest.MonkeyPatch, break_it: Break, reason: str
) -> None:
    machine = create("refused")
    break_it(fleet, machine.instance, monkeypatch)
    outcome = fleet.start(["refused"], timeout=within(MOST_SECONDS))[0]
    assert isinstance(outcome.error, GuestFailed)
    _until_off(fleet)
    found = fleet.machine("refused")
    assert found.condition is Condition.FAILED
    with pytest.raises(GuestFailed, match=reason):
        raise outcome.error
    console = fleet.console_log("refused").decode(errors="replace")
    assert "this machine does not start" in console
    assert "login:" not in console


def _until_off(fleet: Fleet) -> None:
    deadline = time.monotonic() + within(MOST_SECONDS)
    while running(fleet.machine("refused")):
        assert time.monotonic() < deadline, "it refused, but did not go off"
        time.sleep(0.2)


@pytest.mark.parametrize("dax", [True, False], ids=["mapped", "read"])
def test_another_variant_of_the_same_master_is_refused(fleet: Fleet, create: Create, dax: bool) -> None:
    """The same files under other inode numbers: to overlayfs another filesystem, and Operation() damage."""
    instance = create("refused").instance
    master = fleet.masters.by_id(instance.stack.master)
    other = master.image_of(ImageKind.EROFS_PLAIN)
    assert other is not None and other.digest not in instance.stack.images
    moved = replace(instance, stack=replace(instance.stack, images=(other.digest,), dax=dax))
    fleet._host.start(moved, master, fleet.masters.folder(master), Operation())
    _until_off(fleet)
    found = fleet.machine("refused")
    assert found.condition is Condition.FAILED
    wanted = image_uuid(instance.stack.images[0])
    assert found.reason and f"the overlay belongs to the image {wanted}" in found.reason
    assert str(other.uuid) in found.reason


def test_a_full_overlay_boots_and_says_so(
    fleet: Fleet, create: Create, up: Callable[[str], MachineView], down: Callable[[str], None],
    sh: Callable[[str, str], str],
) -> None:  # fmt: skip
    create("full")
    up("full")
    sh(
        "full",
        "dd if=/dev/zero of=/root/fill bs=64k 2>/dev/null || true; sync; ! touch /root/new/x 2>/dev/null",
    )
    down("full")
    machine = up("full")
    report = machine.current_report
    assert report is not None and report.overlay_size is not None and report.overlay_free is not None
    assert report.overlay_free < report.overlay_size * 0.02
    assert machine.reason == "its overlay is full"
    sh("full", "rm /root/fill; sync")
    down("full")
    with fleet.overlays.changes("full") as found:
        assert b"root/fill" not in [change.path for change in found]
