"""What every host promises about data disks: that nothing touches one but who names it."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from skinnybox import layout
from skinnybox.errors import Conflict, NotFound, SkinnyboxError
from skinnybox.hosts.base import Contents, Host
from skinnybox.hosts.building import Building
from skinnybox.model import Allocation, DataDisk, DiskKind, Instance, Overlay
from skinnybox.operation import Operation
from skinnybox.overlays import inspect
from skinnybox.overlays.grow import grow
from skinnybox.overlays.seed import data_message
from skinnybox.sizes import MIB

New = Callable[..., Instance]
ContentsOf = Callable[..., Contents]
DATA = DiskKind.DATA


def on_data(instance: Instance) -> Contents:
    return Contents(base=data_message(instance))


@pytest.fixture(params=Allocation)
def instance(request: pytest.FixtureRequest, host: Host, new: New, contents_of: ContentsOf) -> Instance:
    data = DataDisk(size=40 * MIB, folders=("/data",), allocation=request.param)
    made = new(data=data, overlay=Overlay(size=32 * MIB, allocation=request.param))
    host.create_overlay(made, contents_of(made), Operation())
    host.create_overlay(made, on_data(made), Operation(), DATA)
    host.define(made)
    return made


def content(host: Host, instance: Instance, disk: DiskKind = DATA) -> bytes:
    with host.open_overlay(instance, Operation(), disk) as path:
        return path.read_bytes()


def mark(host: Host, instance: Instance, text: bytes) -> None:
    """As its guest writes to it."""
    at = 39 * MIB

    def build(old: Path, new: Path) -> None:
        before = old.read_bytes()
        with new.open("r+b") as file:
            file.write(before[:at] + text + before[at + len(text) :])

    host.rebuild_overlay(instance, 40 * MIB, build, Operation(), DATA)


def test_a_fresh_one_says_whose_it_is(host: Host, instance: Instance) -> None:
    assert host.overlay_size(instance, DATA) == 40 * MIB
    with host.open_overlay(instance, Operation(), DATA) as path:
        shape = inspect.read_shape(path)
        assert (shape.label, shape.size, shape.clean, shape.has_upper) == (
            "skinny-data",
            40 * MIB,
            True,
            False,
        )
        assert inspect.read_base(path).get("instance") == str(instance.uuid)


def test_it_is_made_once(host: Host, instance: Instance) -> None:
    mark(host, instance, b"a row")
    with pytest.raises(Conflict):
        host.create_overlay(instance, on_data(instance), Operation(), DATA)
    assert b"a row" in content(host, instance)


def test_one_that_was_just_made_can_be_discarded(host: Host, instance: Instance) -> None:
    """And is nobody's while somebody has it; a machine is deleted as one that never had any."""
    with host.open_overlay(instance, Operation(), DATA) as path:
        assert inspect.is_untouched(path)
        with pytest.raises(Conflict):
            host.discard_data(instance)
    overlay = content(host, instance, DiskKind.OVERLAY)
    for _ in range(2):
        host.discard_data(instance)
        with pytest.raises(NotFound):
            host.overlay_size(instance, DATA)
    assert content(host, instance, DiskKind.OVERLAY) == overlay
    host.create_overlay(instance, on_data(instance), Operation(), DATA)
    assert host.overlay_size(instance, DATA) == 40 * MIB


def of_both(*extra: Callable[[], None]) -> dict[DiskKind, Building]:
    """Each becomes a copy that says so at its end; `extra` comes while the second is built."""

    def build(kind: DiskKind, old: Path, new: Path) -> None:
        new.write_bytes(old.read_bytes()[:-7] + b"rebuilt")
        for each in extra if kind is DiskKind.OVERLAY else ():
            each()

    sizes = {DATA: 40 * MIB, DiskKind.OVERLAY: 32 * MIB}
    return {kind: Building(size=size, build=partial(build, kind)) for kind, size in sizes.items()}


def are_rebuilt(host: Host, instance: Instance) -> set[bool]:
    return {content(host, instance, kind).endswith(b"rebuilt") for kind in DiskKind}


def test_both_take_their_places_together(host: Host, instance: Instance, state: Path) -> None:
    called: list[str] = []
    host.rebuild_disks(instance, of_both(), Operation(), lambda: called.append("ready"))
    assert called == ["ready"] and are_rebuilt(host, instance) == {True}
    assert list(state.glob("instances/*/.*")) == []
    assert [each for each in host.leftovers({instance.uuid}) if "master" not in each.what] == []


def test_when_one_cannot_be_built_both_stay(host: Host, instance: Instance, state: Path) -> None:
    """Neither does one take its place when `ready` fails."""

    def fails() -> None:
        raise SkinnyboxError("for the test")

    called: list[str] = []
    for buildings, ready in ((of_both(fails), lambda: called.append("ready")), (of_both(), fails)):
        with pytest.raises(SkinnyboxError, match="for the test"):
            host.rebuild_disks(instance, buildings, Operation(), ready)
        assert are_rebuilt(host, instance) == {False}
    assert called == [] and list(state.glob("instances/*/.*")) == []
    assert [each for each in host.leftovers({instance.uuid}) if "master" not in each.what] == []
    assert host.overlay_size(instance, DATA) == 40 * MIB


def test_two_of_them_have_filesystems_of_their_own(
    host: Host, instance: Instance, new: New, contents_of: ContentsOf
) -> None:
    other = new("other", data=instance.data)
    host.create_overlay(other, contents_of(other), Operation())
    host.create_overlay(other, on_data(other), Operation(), DATA)
    uuid = slice(1024 + 0x68, 1024 + 0x78)
    found = {content(host, each, kind)[uuid] for each in (instance, other) for kind in DiskKind}
    assert len(found) == 4


def test_a_reset_leaves_it_as_it_is(host: Host, instance: Instance, contents_of: ContentsOf) -> None:
    mark(host, instance, b"a row")
    before = content(host, instance)
    host.replace_overlay(instance, contents_of(instance), Operation())
    assert content(host, instance) == before


def test_a_rebuilt_overlay_leaves_it_as_it_is(host: Host, instance: Instance) -> None:
    before = content(host, instance)
    host.rebuild_overlay(instance, 48 * MIB, lambda old, new: grow(old, new, Operation()), Operation())
    assert content(host, instance) == before


def test_it_grows_and_keeps_what_it_says(host: Host, instance: Instance) -> None:
    overlay = content(host, instance, DiskKind.OVERLAY)
    host.rebuild_overlay(
        instance, 64 * MIB, lambda old, new: grow(old, new, Operation(), DATA), Operation(), DATA
    )
    assert host.overlay_size(instance, DATA) == 64 * MIB
    with host.open_overlay(instance, Operation(), DATA) as path:
        assert inspect.read_base(path).get("instance") == str(instance.uuid)
    assert content(host, instance, DiskKind.OVERLAY) == overlay


def test_every_host_says_that_it_has_them(host: Host) -> None:
    assert host.features.data


def test_an_open_one_is_nobody_elses(host: Host, instance: Instance) -> None:
    with host.open_overlay(instance, Operation(), DATA):
        with pytest.raises(Conflict), host.open_overlay(instance, Operation(), DATA):
            pass
        with pytest.raises(Conflict):
            mark(host, instance, b"")
        with pytest.raises(Conflict):
            host.delete(instance)
    assert b"skinny-data" in content(host, instance)


def test_a_snapshot_has_it_only_when_asked(host: Host, instance: Instance) -> None:
    plain = host.take_snapshot(instance, "plain", Operation())
    mark(host, instance, b"a row")
    whole = host.take_snapshot(instance, "whole", Operation(), data=True)
    mark(host, instance, b"-----")
    assert (plain.data, whole.data) == (False, True)
    assert [each.data for each in host.snapshots(instance)] == [False, True]
    with pytest.raises(NotFound), host.open_snapshot(instance, "plain", Operation(), DATA):
        pass
    with host.open_snapshot(instance, "whole", Operation(), DATA) as path:
        assert b"a row" in path.read_bytes()
    with host.open_snapshot(instance, "whole", Operation()) as path:
        assert path.stat().st_size == 32 * MIB
    host.delete_snapshot(instance, "whole")
    with pytest.raises(NotFound), host.open_snapshot(instance, "whole", Operation(), DATA):
        pass
    assert [each.label for each in host.snapshots(instance)] == ["plain"]


def test_a_copy_of_it(host: Host, instance: Instance, tmp_path: Path) -> None:
    host.copy_overlay(instance, tmp_path / "copy", Operation(), DATA)
    assert (tmp_path / "copy").read_bytes() == content(host, instance)


def test_it_counts(host: Host, instance: Instance) -> None:
    space = host.space([instance], [])
    assert space.promised == 72 * MIB
    assert space.allocated + space.owed >= 72 * MIB
    alone = replace(instance, data=None)
    assert host.space([alone], []).promised == 32 * MIB


def test_it_is_told_with_what_is_there(host: Host, instance: Instance) -> None:
    (held,) = host.holdings()
    assert (held.overlay, held.data) == (32 * MIB, 40 * MIB)
    found = [finding.what for finding in host.leftovers({instance.uuid})]
    assert [what for what in found if "its master is gone" not in what] == []


def test_it_goes_with_its_machine(host: Host, instance: Instance, state: Path) -> None:
    host.take_snapshot(instance, "whole", Operation(), data=True)
    host.delete(instance)
    assert list(host.holdings()) == []
    with pytest.raises(NotFound):
        host.overlay_size(instance, DATA)
    assert not list(state.glob("instances/*"))


@pytest.mark.usefixtures("in_a_folder")
def test_a_snapshot_whose_data_are_gone_is_none(host: Host, instance: Instance, state: Path) -> None:
    """A record that says it has them is not taken for one without."""
    host.take_snapshot(instance, "whole", Operation(), data=True)
    folder = state / "instances" / str(instance.uuid) / layout.SNAPSHOTS.rpartition("/")[2]
    assert sorted(path.name for path in folder.iterdir()) == ["whole.data", "whole.img", "whole.json"]
    assert json.loads((folder / "whole.json").read_text())["data"] is True
    (folder / "whole.data").unlink()
    with pytest.raises(Exception, match="no record of a snapshot"):
        host.snapshots(instance)


@pytest.mark.usefixtures("in_a_folder")
def test_half_a_snapshot_is_swept_by_the_next(host: Host, instance: Instance, state: Path) -> None:
    """Killed before its record: neither of its copies stays."""
    host.take_snapshot(instance, "whole", Operation(), data=True)
    (folder,) = state.glob("instances/*/snapshots")
    (folder / "whole.json").unlink()
    found: list[Any] = list(host.leftovers({instance.uuid}))
    assert sorted(finding.path.name for finding in found) == ["whole.data", "whole.img"]
    host.take_snapshot(instance, "next", Operation())
    assert sorted(path.name for path in folder.iterdir()) == ["next.img", "next.json"]
