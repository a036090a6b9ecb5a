"""What every host promises of an overlay that is kept, and of one that is put back, without being copied."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox.errors import Conflict, NotFound, UsageError
from skinnybox.hosts.base import Contents, Host
from skinnybox.hosts.building import Building
from skinnybox.model import Consistency, DiskKind, Instance, Overlay
from skinnybox.operation import Operation
from skinnybox.overlays.copy import copy_data
from skinnybox.sizes import MIB

New = Callable[..., Instance]
ContentsOf = Callable[..., Contents]
OLD, NEW = b"what it was", b"what it is"
LABELS = ("before-1", "after-1")


@pytest.fixture
def instance(host: Host, new: New, contents_of: ContentsOf) -> Instance:
    made = new(overlay=Overlay(size=48 * MIB))
    host.create_overlay(made, contents_of(made, b"an-identity"), Operation())
    host.define(made)
    rebuilt(host, made, OLD)
    return made


def build(text: bytes) -> Callable[[Path, Path], None]:
    """The same disk, with that at its end."""

    def fill(old: Path, new: Path) -> None:
        with old.open("rb") as source, new.open("r+b") as target:
            copy_data(source.fileno(), target.fileno(), Operation())
            target.seek(-len(text), 2)
            target.write(text)

    return fill


def rebuilt(host: Host, instance: Instance, text: bytes, keep: str | None = None) -> None:
    host.rebuild_overlay(instance, 48 * MIB, build(text), Operation(), keep=keep)


def ends(host: Host, instance: Instance, text: bytes, label: str | None = None) -> bool:
    kept = label and host.open_snapshot(instance, label, Operation())
    with kept or host.open_overlay(instance, Operation()) as path:
        return path.read_bytes().endswith(text)


def labels(host: Host, instance: Instance) -> list[str]:
    return [snapshot.label for snapshot in host.snapshots(instance)]


def no_look(old: Path, new: Path) -> None:
    """Who swaps may look at both."""


def test_what_is_kept_is_a_snapshot_of_before(host: Host, instance: Instance) -> None:
    rebuilt(host, instance, NEW, keep="before-1")
    assert ends(host, instance, NEW) and ends(host, instance, OLD, "before-1")
    (kept,) = host.snapshots(instance)
    assert (kept.label, kept.instance, kept.data) == ("before-1", instance, False)
    assert kept.consistent is Consistency.STOPPED
    assert kept.written <= host.space([instance], []).snapshots


def test_it_is_there_once_the_other_has_its_place_and_not_before(host: Host, instance: Instance) -> None:
    seen: list[list[str]] = []

    def ready() -> None:
        seen.append(labels(host, instance))

    building = {DiskKind.OVERLAY: Building(size=48 * MIB, build=build(NEW), keep="before-1")}
    host.rebuild_disks(instance, building, Operation(), ready)
    assert [*seen, labels(host, instance)] == [[], ["before-1"]]


def fails(error: Exception) -> Callable[..., None]:
    def raises(*words: object) -> None:
        raise error

    return raises


@pytest.mark.parametrize("at", ["build", "ready"])
def test_what_fails_keeps_nothing(host: Host, instance: Instance, at: str) -> None:
    how = fails(UsageError("no"))
    building = Building(size=48 * MIB, build=how if at == "build" else build(NEW), keep="before-1")
    with pytest.raises(UsageError):
        host.rebuild_disks(instance, {DiskKind.OVERLAY: building}, Operation(), how)
    assert ends(host, instance, OLD) and labels(host, instance) == []
    rebuilt(host, instance, NEW, keep="before-1")
    assert ends(host, instance, OLD, "before-1")


def test_a_label_that_is_taken_is_refused(host: Host, instance: Instance) -> None:
    host.take_snapshot(instance, "before-1", Operation())
    with pytest.raises(Conflict):
        rebuilt(host, instance, NEW, keep="before-1")
    assert ends(host, instance, OLD) and labels(host, instance) == ["before-1"]


def test_it_is_put_back_and_the_other_put_aside(host: Host, instance: Instance) -> None:
    rebuilt(host, instance, NEW, keep="before-1")
    later = replace(instance, memory=256 * MIB)
    host.swap_overlay(later, *LABELS, Operation(), no_look)
    assert ends(host, instance, OLD) and ends(host, instance, NEW, "after-1")
    (aside,) = host.snapshots(instance)
    assert (aside.label, aside.instance) == ("after-1", later)
    host.swap_overlay(instance, "after-1", "before-1", Operation(), no_look)
    assert ends(host, instance, NEW) and labels(host, instance) == ["before-1"]


def test_both_may_be_looked_at_where_they_are_files(
    host: Host, instance: Instance, in_a_folder: None
) -> None:
    rebuilt(host, instance, NEW, keep="before-1")
    with pytest.raises(UsageError):
        host.swap_overlay(instance, *LABELS, Operation(), fails(UsageError("no")))
    assert ends(host, instance, NEW) and labels(host, instance) == ["before-1"]
    ended: list[bool] = []

    def look(old: Path, new: Path) -> None:
        ended.extend((old.read_bytes().endswith(NEW), new.read_bytes().endswith(OLD)))

    host.swap_overlay(instance, *LABELS, Operation(), look)
    assert ended == [True, True]


def test_what_cannot_be_put_back_changes_nothing(host: Host, instance: Instance) -> None:
    with pytest.raises(NotFound):
        host.swap_overlay(instance, *LABELS, Operation(), no_look)
    host.take_snapshot(instance, "after-1", Operation())
    rebuilt(host, instance, NEW, keep="before-1")
    with pytest.raises(Conflict):
        host.swap_overlay(instance, *LABELS, Operation(), no_look)
    with host.open_overlay(instance, Operation()), pytest.raises(Conflict):
        host.swap_overlay(instance, "before-1", "after-2", Operation(), no_look)
    assert ends(host, instance, NEW) and labels(host, instance) == ["after-1", "before-1"]


def test_two_at_once_are_a_conflict(host: Host, instance: Instance) -> None:

    def second(old: Path, new: Path) -> None:
        with pytest.raises(Conflict):
            rebuilt(host, instance, NEW, keep="before-2")
        with pytest.raises(Conflict):
            host.swap_overlay(instance, *LABELS, Operation(), no_look)
        build(NEW)(old, new)

    host.rebuild_overlay(instance, 48 * MIB, second, Operation(), keep="before-1")
    assert labels(host, instance) == ["before-1"]


def test_what_is_kept_goes_with_the_machine(host: Host, instance: Instance, state: Path) -> None:
    rebuilt(host, instance, NEW, keep="before-1")
    host.delete(instance)
    assert host.snapshots(instance) == [] and list(state.glob("instances/*")) == []


def test_a_reset_and_a_growth_leave_what_is_kept(
    host: Host, instance: Instance, contents_of: ContentsOf
) -> None:
    rebuilt(host, instance, NEW, keep="before-1")
    host.replace_overlay(instance, contents_of(instance), Operation())
    host.rebuild_overlay(instance, 64 * MIB, lambda old, new: None, Operation())
    assert ends(host, instance, OLD, "before-1") and labels(host, instance) == ["before-1"]
