"""A master whose kernel has no EROFS: its image is an ext4, and all else is as with any other."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import MachineView
from skinnybox.model import ChangeKind, ImageKind
from tests.boot import ordinary
from tests.boot.conftest import CACHE, Create
from tests.boot.settled import overlay_is_clean
from tests.boot.test_firmware import (  # that, too, with this master
    boot,
    master_disk,
    test_a_machine_on_firmware_and_a_read_only_disk,
)

__all__ = ["boot", "master_disk", "test_a_machine_on_firmware_and_a_read_only_disk"]

pytestmark = [pytest.mark.full, pytest.mark.timeout(2400)]

REFERENCE = "no-erofs:tests"
NONE_THERE = "find /usr/lib/modules -name 'erofs.ko*' -delete"
MAKE = "echo mine >/srv/mine; rm /etc/issue.net; echo other >/etc/issue; chmod 0700 /usr/share/doc; sync"
SHOW = "cat /srv/mine /etc/issue; test ! -e /etc/issue.net; hostname; cat /etc/machine-id"


@pytest.fixture(scope="module")
def master(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """In place of the one all other tests share: `create` takes it."""
    recipe = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    recipe.write_text(json.dumps({"scripts": [NONE_THERE], "packages": ["attr"]}))
    if REFERENCE in [known.reference for known in fleet.masters.all()]:
        fleet.masters.remove(REFERENCE)
    made = fleet.masters.build(REFERENCE, recipe)
    assert [image.kind for image in made.images] == [ImageKind.EXT4]
    yield REFERENCE
    fleet.masters.remove(REFERENCE)


def test_a_guest_whose_master_is_an_ext4_lives(
    fleet: Fleet, create: Create, up: Callable[[str], MachineView], down: Callable[[str], None],
    sh: Callable[[str, str], str],
) -> None:  # fmt: skip
    create("plain")
    up("plain")
    look = "skinnybox-guest look findmnt -no FSTYPE /media/root-ro"
    assert sh("plain", f"! grep erofs /proc/filesystems; {look}") == "ext4\n"
    assert sh("plain", "systemctl is-system-running --wait || systemctl --failed --no-legend") == "running\n"
    unspoilt = "touch /media/root-ro/x 2>/dev/null && exit 1; test ! -e /media/root-ro/lost+found"
    sh("plain", f"skinnybox-guest look sh -ec '{unspoilt}'")
    sh("plain", MAKE)
    down("plain")
    overlay_is_clean(fleet, "plain")
    with fleet.overlays.changes("plain") as found:
        kinds = {change.path: change.kind for change in found}
    assert kinds[b"srv/mine"] is ChangeKind.ADDED
    assert kinds[b"etc/issue"] is ChangeKind.MODIFIED
    assert kinds[b"usr/share/doc"] is ChangeKind.METADATA
    assert kinds[b"etc/issue.net"] is ChangeKind.DELETED
    assert fleet.overlays.reset(["plain"])[0].error is None
    up("plain")
    sh("plain", "test ! -e /srv/mine; test -e /etc/issue.net")


@ordinary.CAN_BOOT
def test_it_becomes_an_ordinary_disk(
    fleet: Fleet, create: Create, up: Callable[[str], MachineView], down: Callable[[str], None],
    sh: Callable[[str, str], str], tmp_path: Path,
) -> None:  # fmt: skip
    create("flat")
    up("flat")
    sh("flat", MAKE)
    before = sh("flat", SHOW)
    down("flat")
    ordinary.boots_as_it_was(fleet, "flat", before, SHOW, CACHE / "ssh" / "id_ed25519", tmp_path)
