"""What every host promises about overlays that are copied, kept and put back, without starting anything."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from skinnybox.errors import Conflict, NotFound, UsageError
from skinnybox.hosts.base import Contents, Host
from skinnybox.model import Allocation, Consistency, Instance, Overlay
from skinnybox.operation import Operation
from skinnybox.sizes import MIB

New = Callable[..., Instance]
ContentsOf = Callable[..., Contents]
MOST = 6 * MIB
"""Of a copy of 48 MiB that holds nothing; VHDs take 2 MiB for every piece of metadata."""


@pytest.fixture(params=Allocation)
def instance(request: pytest.FixtureRequest, host: Host, new: New, contents_of: ContentsOf) -> Instance:
    made = new(overlay=Overlay(size=48 * MIB, allocation=request.param))
    host.create_overlay(made, contents_of(made, b"an-identity"), Operation())
    host.define(made)
    return made


def content(host: Host, instance: Instance) -> bytes:
    with host.open_overlay(instance, Operation()) as path:
        return path.read_bytes()


def lies(path: Path) -> list[str]:
    """What lies beside it; a host that keeps disks elsewhere lends it in a folder that goes."""
    return sorted(each.name for each in path.parent.iterdir())


def test_a_copy_has_the_same_bytes_and_holes(host: Host, instance: Instance, tmp_path: Path) -> None:
    copy = tmp_path / "copy.img"
    assert host.copy_overlay(instance, copy, Operation()) is Consistency.STOPPED
    assert copy.read_bytes() == content(host, instance)
    assert copy.stat().st_blocks * 512 < 2 * MIB
    assert copy.stat().st_mode & 0o777 == 0o600


def test_no_copy_of_an_open_overlay_or_of_none(
    host: Host, instance: Instance, new: New, tmp_path: Path
) -> None:
    with host.open_overlay(instance, Operation()), pytest.raises(Conflict):
        host.copy_overlay(instance, tmp_path / "copy", Operation())
    with pytest.raises(NotFound):
        host.copy_overlay(new("other"), tmp_path / "copy", Operation())
    assert list(tmp_path.glob("copy*")) == []


def test_a_rebuilt_overlay_has_its_size_and_its_promise(
    host: Host, kind: str, instance: Instance, state: Path
) -> None:
    def build(old: Path, new: Path) -> None:
        assert new.stat().st_size == 64 * MIB
        with new.open("r+b") as file:
            file.write(old.read_bytes()[: 8 * MIB])
            os.truncate(file.fileno(), 8 * MIB)
            os.truncate(file.fileno(), 64 * MIB)

    before = content(host, instance)
    host.rebuild_overlay(instance, 64 * MIB, build, Operation())
    with host.open_overlay(instance, Operation()) as path:
        assert path.stat().st_size == 64 * MIB
        if kind == "qemu" and instance.overlay.allocation is Allocation.RESERVED:
            assert path.stat().st_blocks * 512 >= 64 * MIB
    assert content(host, instance)[: 8 * MIB] == before[: 8 * MIB]
    assert not path.parent.exists() or lies(path) == ["instance.json", "overlay.img"]


def test_a_build_that_fails_changes_nothing(host: Host, instance: Instance) -> None:
    def build(old: Path, new: Path) -> None:
        new.write_bytes(b"half")
        raise UsageError("no")

    before = content(host, instance)
    with pytest.raises(UsageError):
        host.rebuild_overlay(instance, 64 * MIB, build, Operation())
    assert content(host, instance) == before
    with host.open_overlay(instance, Operation()) as path, pytest.raises(Conflict):
        host.rebuild_overlay(instance, 64 * MIB, build, Operation())
    assert not path.parent.exists() or lies(path) == ["instance.json", "overlay.img"]


def test_snapshots_are_kept_listed_and_deleted(host: Host, instance: Instance) -> None:
    first = host.take_snapshot(instance, "before", Operation())
    host.take_snapshot(instance, "2026-11-22T10-00-00Z", Operation())
    assert first.instance == instance and first.consistent is Consistency.STOPPED
    assert 0 < first.written < MOST
    assert [s.label for s in host.snapshots(instance)] == ["before", "2026-11-22T10-00-00Z"]
    assert host.snapshots(instance)[0] == first
    with host.open_snapshot(instance, "before", Operation()) as path:
        assert path.read_bytes() == content(host, instance)
    with pytest.raises(Conflict):
        host.take_snapshot(instance, "before", Operation())
    host.delete_snapshot(instance, "before")
    host.delete_snapshot(instance, "before")
    assert [s.label for s in host.snapshots(instance)] == ["2026-11-22T10-00-00Z"]
    with pytest.raises(NotFound), host.open_snapshot(instance, "before", Operation()):
        pass


@pytest.mark.parametrize("label", ["", ".hidden", "a/b", "../x", "a" * 65, "a b", "a\n", "ä"])
def test_a_label_is_no_path(host: Host, instance: Instance, label: str) -> None:
    with pytest.raises(UsageError):
        host.take_snapshot(instance, label, Operation())
    with pytest.raises(UsageError):
        host.delete_snapshot(instance, label)


def test_snapshots_are_accounted_and_go_with_the_disk(host: Host, instance: Instance, state: Path) -> None:
    assert host.space([instance], []).snapshots == 0
    snapshot = host.take_snapshot(instance, "one", Operation())
    assert snapshot.written <= host.space([instance], []).snapshots < MOST
    host.delete(instance)
    assert list(state.glob("instances/*")) == [] and host.snapshots(instance) == []


def test_what_a_kill_left_is_swept(host: Host, instance: Instance, state: Path, in_a_folder: None) -> None:
    folder = state / "instances" / str(instance.uuid)
    host.take_snapshot(instance, "whole", Operation())
    (folder / "snapshots" / "orphan.img").write_bytes(b"x")
    (folder / "snapshots" / ".half.img.new").write_bytes(b"x")
    (folder / ".0123.new").write_bytes(b"x")
    (folder / ".copy-abc.new").mkdir()
    assert [s.label for s in host.snapshots(instance)] == ["whole"]
    host.take_snapshot(instance, "next", Operation())
    assert sorted(p.name for p in (folder / "snapshots").iterdir()) == [
        "next.img", "next.json", "whole.img", "whole.json",
    ]  # fmt: skip
    host.rebuild_overlay(instance, 48 * MIB, lambda old, new: None, Operation())
    assert sorted(p.name for p in folder.iterdir()) == ["instance.json", "overlay.img", "snapshots"]
