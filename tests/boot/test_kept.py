"""A master that was sealed by the version before, and the host of today: masters live for years."""

import filecmp
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.fleet.power import Stopping
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.specification import Specification
from skinnybox.masters.clean import clean
from skinnybox.model import Allocation, Overlay, SeedFile
from skinnybox.operation import Operation
from skinnybox.sizes import MIB
from tests.boot.conftest import MOST_SECONDS
from tests.kept import unpacked
from tests.pace import within

pytestmark = pytest.mark.full


@pytest.fixture(params=["its own initramfs", "ours"])
def kept_master(fleet: Fleet, master: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The Debian of the other tests, with the guest part of the version before in place of ours: as it was
    sealed then, and as whoever imports such a tree again has it sealed now."""
    tree, program = tmp_path / "tree", unpacked("program", tmp_path / "program")
    sealed = fleet.masters.find(master)
    image = next(image for image in sealed.images if image.file == "root.erofs")
    run.run(["fsck.erofs", f"--extract={tree}", fleet.masters.folder(sealed) / image.file])
    shutil.rmtree(tree / "usr/lib/skinnybox")
    run.run(run.tied(["sh", program / "guest" / "install-into.sh", tree]))
    clean(tree, Operation())
    for name in ("stack", "seed", "status"):
        installed = tree / "usr/lib/skinnybox/lib" / f"{name}.sh"
        assert filecmp.cmp(installed, program / "guest/lib" / f"{name}.sh", shallow=False)
    reference = "kept:1"
    kernel = next((tree / "boot").glob("vmlinuz-*"))
    by_its_own_hook = next((tree / "boot").glob("initrd.img-*"))
    initrd = by_its_own_hook if request.param == "its own initramfs" else None
    fleet.masters.import_tree(tree, reference, as_is=True, kernel=kernel, initrd=initrd)
    yield reference
    fleet.masters.remove(reference)


def test_a_master_of_the_version_before_lives_on(fleet: Fleet, kept_master: str) -> None:
    """Ready, reported, its own, changed, listed, reset, ready again."""
    specification = Specification(
        overlay=Overlay(size=128 * MIB, allocation=Allocation.SPARSE),
        memory=512 * MIB,
        cpus=1,
        files=(SeedFile(path="/etc/site", content=b"widgets\n", mode=0o640),),
        run_once="#!/bin/sh\necho ran >>/root/ran\n",
    )
    fleet.create(["kept"], kept_master, specification)
    try:
        outcome = fleet.start(["kept"], timeout=within(MOST_SECONDS))[0]
        assert outcome.ok, (outcome.error, fleet.console_log("kept")[-3000:])
        first = fleet.machine("kept")
        report = first.current_report
        assert report is not None and report.dax is False and report.seed_generation == 1
        assert report.overlay_size and report.addresses and first.host_keys
        done = fleet.remote.execute(
            ["kept"], ["sh", "-euc", "hostname; cat /etc/site; echo mine >/etc/mine; sync"]
        )[0]
        assert done.value is not None and done.value.stdout == b"kept\nwidgets\n", done
        assert fleet.stop(["kept"], Stopping(timeout=within(MOST_SECONDS)))[0].ok
        with fleet.overlays.changes("kept") as found:
            assert b"etc/mine" in {change.path for change in found}
        assert fleet.overlays.reset(["kept"])[0].ok
        outcome = fleet.start(["kept"], timeout=within(MOST_SECONDS))[0]
        assert outcome.ok, outcome.error
        again = fleet.machine("kept")
        assert again.host_keys == first.host_keys
        assert again.current_report is not None and again.current_report.seed_generation == 2
        done = fleet.remote.execute(["kept"], ["sh", "-c", "test ! -e /etc/mine"])[0]
        assert done.value is not None and done.value.code == 0
    finally:
        fleet.delete(["kept"], force=True)
