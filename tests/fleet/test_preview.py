"""What a creation would make, told beforehand: the same names, addresses and refusals as when it is made."""

from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox.errors import Conflict, NoSpace, SkinnyboxError, UsageError
from skinnybox.fleet import present_preview
from skinnybox.fleet.service import Fleet
from skinnybox.model import Allocation, Network, Overlay, StaticNetwork
from skinnybox.sizes import MIB
from tests.fleet.conftest import SPARSE, open_fake

BRIDGED = replace(
    SPARSE, network=Network.BRIDGE, bridge="br0", static_network=StaticNetwork(address="10.0.0.11/24")
)
RESERVED = replace(SPARSE, overlay=Overlay(size=64 * MIB, allocation=Allocation.RESERVED))


def test_it_tells_what_is_made_then(fleet: Fleet) -> None:
    told = fleet.preview(["web-{01..03}"], "tiny", BRIDGED, skip_existing=False)
    assert (told.refusal, told.master, told.skipped) == (None, "tiny:1", ())
    assert fleet.names() == []
    made = fleet.create(["web-{01..03}"], "tiny", BRIDGED)
    assert [(one.name, one.addresses) for one in told.machines] == [
        (one.name, one.seed.network.addresses) for one in made if one.seed.network
    ]


def test_it_writes_nothing(fleet: Fleet, state: Path) -> None:
    before = {path: path.lstat().st_mtime_ns for path in state.rglob("*")}
    fleet.preview(["web-{01..03}"], "tiny", RESERVED, skip_existing=False)
    assert {path: path.lstat().st_mtime_ns for path in state.rglob("*")} == before


def test_the_space_is_that_of_reserved_disks(fleet: Fleet) -> None:
    sparse = fleet.preview(["web-{01..03}"], "tiny", SPARSE, skip_existing=False)
    assert (sparse.need, sparse.promised, sparse.left) == (0, 3 * 64 * MIB, sparse.free)
    reserved = fleet.preview(["web-{01..03}"], "tiny", RESERVED, skip_existing=False)
    assert reserved.need == reserved.promised == 3 * 64 * MIB
    assert reserved.left == reserved.free - reserved.need


def test_what_there_is_refuses_it_as_it_would_refuse_the_creation(fleet: Fleet) -> None:
    fleet.create(["web-02"], "tiny", BRIDGED)
    huge = replace(RESERVED, overlay=Overlay(size=4 << 40, allocation=Allocation.RESERVED))
    for specification, kind in ((SPARSE, Conflict), (huge, NoSpace)):
        told = fleet.preview(["web-{01..03}"], "tiny", specification, skip_existing=kind is NoSpace)
        assert isinstance(told.refusal, kind)
        with pytest.raises(kind) as refused:
            fleet.create(["web-{01..03}"], "tiny", specification, skip_existing=kind is NoSpace)
        assert refused.value.message == told.refusal.message
        assert present_preview.preview(told)["refusal"]["detail"] == told.refusal.message


def test_those_that_exist_are_told_as_skipped(fleet: Fleet) -> None:
    fleet.create(["web-02"], "tiny", SPARSE)
    told = fleet.preview(["web-{01..03}"], "tiny", SPARSE, skip_existing=True)
    assert (told.skipped, told.refusal) == (("web-02",), None)
    assert [one.name for one in told.machines] == ["web-01", "web-03"]


@pytest.mark.parametrize("pattern", ["web-{3..1}", "-x", "web-{01..03}-{a"])
def test_what_cannot_be_right_is_raised(fleet: Fleet, pattern: str) -> None:
    with pytest.raises(UsageError):
        fleet.preview([pattern], "tiny", SPARSE, skip_existing=False)
    with pytest.raises(SkinnyboxError):
        fleet.preview(["a"], "none", SPARSE, skip_existing=False)


def test_an_empty_state_folder_stays_empty(tmp_path: Path) -> None:
    with open_fake(tmp_path / "none") as fleet, pytest.raises(SkinnyboxError):
        fleet.preview(["a"], "tiny", SPARSE, skip_existing=False)
    assert not (tmp_path / "none").exists()
