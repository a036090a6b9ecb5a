"""Masters whose image is an ext4: which image new machines get, and what is told of it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox.errors import Unsupported
from skinnybox.fleet.power import Stopping
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import Condition
from skinnybox.masters import catalogue
from skinnybox.model import ImageFormat, ImageKind, Master
from tests.fleet.conftest import SPARSE, said
from tests.samples import seal


@pytest.fixture
def old(state: Path, tmp_path: Path) -> Master:
    """Of a kernel without EROFS."""
    made = seal(state, tmp_path, "old", "1", linux="4.15.0-213-generic")
    assert [image.kind for image in made.images] == [ImageKind.EXT4]
    return made


def test_a_machine_of_an_ext4_is_like_any_other(fleet: Fleet, old: Master) -> None:
    fleet.create(["a"], "old", SPARSE)
    assert fleet.machine("a").instance.stack.images == (old.images[0].digest,)
    fleet.start(["a"])
    assert fleet.machine("a").condition is Condition.READY
    with fleet.overlays.changes("a") as found:
        assert list(found) == []
    fleet.stop(["a"], Stopping())
    assert fleet.overlays.reset(["a"])[0].ok
    assert fleet.masters.verify("old") == old
    with pytest.raises(Unsupported, match="no image to be mapped"):
        fleet.create(["b"], "old", replace(SPARSE, dax=True))


def test_a_damaged_one_does_not_start(fleet: Fleet, old: Master, state: Path) -> None:
    fleet.create(["a"], "old", SPARSE)
    image = catalogue.folder(state / "masters", old) / "root.ext4"
    data = bytearray(image.read_bytes())
    data[-1] ^= 1
    image.chmod(0o600)
    image.write_bytes(data)
    (outcome,) = fleet.start(["a"])
    assert outcome.error is not None and "root.ext4" in outcome.error.message


def test_new_machines_get_the_image_that_was_asked_for_last(
    fleet: Fleet, state: Path, tmp_path: Path
) -> None:
    """Whoever was made before keeps his, with whichever master that has a mapped image as well."""
    seal(state, tmp_path, "tiny", "2", dax=True, linux="6.1")
    fleet.create(["first"], "tiny:2", replace(SPARSE, dax=False))
    both = seal(state, tmp_path, "tiny", "2", linux="6.1", image_format=ImageFormat.EXT4)
    assert [image.kind for image in both.images] == [
        ImageKind.EXT4, ImageKind.EROFS_PLAIN, ImageKind.EROFS_LZ4HC
    ]  # fmt: skip
    fleet.create(["second"], "tiny:2", SPARSE)
    fleet.create(["third"], "tiny:2", replace(SPARSE, dax=True))
    kinds = [
        image and image.kind
        for machine in fleet.machines(["first", "second", "third"])
        for image in [both.image(machine.instance.stack.images[0])]
    ]
    assert kinds == [ImageKind.EROFS_LZ4HC, ImageKind.EXT4, ImageKind.EROFS_PLAIN]
    assert all(outcome.ok for outcome in fleet.start(["*"]))


def test_it_is_told(old: Master, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--host", "fake", "--state", str(state))
    assert " ext4" in said(capsys, *where, "master", "list").out
    shown = json.loads(said(capsys, *where, "master", "show", "old", "--format", "json").out)
    assert (shown["image_kind"], shown["images"][0]["file"]) == ("ext4", "root.ext4")
