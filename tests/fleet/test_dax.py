"""Which image a new machine gets, and that it says so."""

from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox.errors import Unsupported
from skinnybox.fleet import specification, stacks
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import Condition
from skinnybox.masters import catalogue
from skinnybox.model import ImageKind, Master
from tests.fleet.conftest import SPARSE
from tests.samples import seal


@pytest.fixture
def both(state: Path, tmp_path: Path) -> Master:
    """A master with two images."""
    return seal(state, tmp_path, "both", "1", dax=True)


def test_the_first_image_is_for_who_says_nothing(fleet: Fleet, both: Master) -> None:
    assert both.images[0].kind is ImageKind.EROFS_PLAIN
    for name, dax, kind in (
        ("a", None, ImageKind.EROFS_PLAIN),
        ("b", True, ImageKind.EROFS_PLAIN),
        ("c", False, ImageKind.EROFS_LZ4HC),
    ):
        fleet.create([name], "both", replace(SPARSE, dax=dax))
        stack = fleet.machine(name).instance.stack
        image = both.image_of(kind)
        assert image is not None
        assert (stack.images, stack.dax) == ((image.digest,), kind is ImageKind.EROFS_PLAIN)
    fleet.start(["*"])
    assert {machine.condition for machine in fleet.machines()} == {Condition.READY}
    assert [m.current_report and m.current_report.dax for m in fleet.machines()] == [True, True, False]


def test_a_master_without_the_image_is_refused(fleet: Fleet, master: Master) -> None:
    assert fleet.create(["a"], "tiny", SPARSE)[0].stack.dax is False
    with pytest.raises(Unsupported, match=r"tiny:1 has no image to be mapped") as caught:
        fleet.create(["b"], "tiny", replace(SPARSE, dax=True))
    assert caught.value.hint and "--dax" in caught.value.hint
    assert fleet.names() == ["a"]


def test_a_host_without_dax_gets_the_other_image(fleet: Fleet, both: Master) -> None:
    features = replace(fleet._host.features, dax=False)
    with pytest.raises(Unsupported, match="cannot let a guest map"):
        specification.check(replace(SPARSE, dax=True), features)
    stack = stacks.stack(both, None, features)
    assert not stack.dax
    image = both.image(stack.images[0])
    assert image is not None and image.kind is ImageKind.EROFS_LZ4HC


def test_a_master_that_gets_its_second_image_keeps_its_machines(
    fleet: Fleet, master: Master, state: Path, tmp_path: Path
) -> None:
    fleet.create(["old"], "tiny", SPARSE)
    whole = seal(state, tmp_path, "tiny", "1", dax=True)
    assert whole.id == master.id and len(whole.images) == 2
    assert fleet.masters.dependants(whole) == ["old"]
    fleet.create(["new"], "tiny", SPARSE)
    assert [m.instance.stack.dax for m in fleet.machines(["new", "old"])] == [True, False]
    assert fleet.start(["old"])[0].ok
    with fleet.overlays.changes("new") as found:
        assert list(found) == []
    fleet.delete(["*"], force=True)
    fleet.masters.remove("tiny")
    assert not catalogue.folder(state / "masters", whole).exists()
