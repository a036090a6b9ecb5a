"""What every host promises about overlays and records, without starting anything."""

import dataclasses
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox.errors import Conflict, Corrupt, NotFound, Unsupported, UsageError
from skinnybox.hosts.base import Contents, Host
from skinnybox.model import (
    Allocation,
    Instance,
    Master,
    Overlay,
    SeedFile,
    StaticNetwork,
    Swap,
    ThrowAway,
    Thrown,
)
from skinnybox.operation import Operation
from skinnybox.sizes import GIB, KIB, MIB
from tests.samples import a_layer, write_out

New = Callable[..., Instance]
ContentsOf = Callable[..., Contents]


def test_an_overlay_is_made_once(host: Host, new: New, contents_of: ContentsOf) -> None:
    instance = new()
    host.create_overlay(instance, contents_of(instance), Operation())
    with host.open_overlay(instance, Operation()) as path:
        before = path.read_bytes()
    with pytest.raises(Conflict):
        host.create_overlay(instance, contents_of(instance, b"other"), Operation())
    with host.open_overlay(instance, Operation()) as path:
        assert path.read_bytes() == before


@pytest.mark.parametrize("allocation", Allocation)
def test_an_overlay_has_its_size_and_its_messages(
    host: Host, new: New, contents_of: ContentsOf, allocation: Allocation
) -> None:
    instance = new(overlay=Overlay(size=48 * MIB, allocation=allocation))
    host.create_overlay(instance, contents_of(instance, b"identity-of-a-guest"), Operation())
    with host.open_overlay(instance, Operation()) as path:
        data = path.read_bytes()
    assert len(data) == 48 * MIB
    messages = contents_of(instance)
    assert all(message in data for message in (messages.base, messages.seed, b"identity-of-a-guest"))


def test_a_large_seed_fits(host: Host, new: New, contents_of: ContentsOf) -> None:
    plain = new()
    instance = replace(plain, seed=replace(plain.seed, files=(SeedFile(path="/a", content=bytes(40 * KIB)),)))
    host.create_overlay(instance, contents_of(instance), Operation())
    with host.open_overlay(instance, Operation()) as path:
        assert contents_of(instance).seed in path.read_bytes()


def test_what_a_guest_has_to_know_before_its_root_is_in_its_seed(
    host: Host, new: New, contents_of: ContentsOf
) -> None:
    instance = new(swap=Swap(size=8 * MIB), throw_away=ThrowAway(kind=Thrown.MEMORY))
    host.create_overlay(instance, contents_of(instance), Operation())
    host.define(instance)
    with host.open_overlay(instance, Operation()) as path:
        assert f"\nswap file {8 * MIB}\nthrow-away memory\nend\n".encode() in path.read_bytes()
    assert [*host.records()] == [instance]


def test_an_impossible_overlay_leaves_nothing(
    host: Host, new: New, contents_of: ContentsOf, state: Path
) -> None:
    instance = new(overlay=Overlay(size=1 * MIB))
    with pytest.raises(UsageError):
        host.create_overlay(instance, contents_of(instance), Operation())
    assert not list(state.glob("instances/*"))


def test_an_open_overlay_is_nobody_elses(host: Host, new: New, contents_of: ContentsOf) -> None:
    instance = new()
    host.create_overlay(instance, contents_of(instance), Operation())
    host.define(instance)
    host.refuse_used(instance)
    with host.open_overlay(instance, Operation()):
        with pytest.raises(Conflict), host.open_overlay(instance, Operation()):
            pass
        with pytest.raises(Conflict):
            host.refuse_used(instance)
        with pytest.raises(Conflict):
            host.replace_overlay(instance, contents_of(instance), Operation())
        with pytest.raises(Conflict):
            host.delete(instance)
    assert list(host.records()) == [instance] and set(host.written([instance])) == {instance.uuid}
    host.delete(instance)
    assert list(host.records()) == [] and host.written([instance]) == {}


def test_a_replaced_overlay_is_a_fresh_one(host: Host, new: New, contents_of: ContentsOf) -> None:
    instance = new()
    host.create_overlay(instance, contents_of(instance, b"first-identity"), Operation())
    host.replace_overlay(instance, contents_of(instance, b"second-identity"), Operation())
    with host.open_overlay(instance, Operation()) as path:
        data = path.read_bytes()
        assert [entry.name for entry in path.parent.iterdir()] == ["overlay.img"]
    assert b"second-identity" in data and b"first-identity" not in data


def test_a_deleted_disk_is_gone(host: Host, new: New, contents_of: ContentsOf) -> None:
    instance = new()
    host.create_overlay(instance, contents_of(instance), Operation())
    host.delete(instance)
    host.delete(instance)
    assert host.written([instance]) == {}
    with pytest.raises(NotFound), host.open_overlay(instance, Operation()):
        pass


def test_written_counts_each_disk(host: Host, new: New, contents_of: ContentsOf) -> None:
    with_disk, without = new("a"), new("b")
    host.create_overlay(with_disk, contents_of(with_disk), Operation())
    found = host.written([with_disk, without])
    assert set(found) == {with_disk.uuid}
    assert 0 < found[with_disk.uuid] <= 1 * MIB


def test_a_record_comes_back_as_it_was(host: Host, new: New) -> None:
    plain = new()
    seed = replace(
        plain.seed,
        network=StaticNetwork(address="10.0.0.5/24", gateway="10.0.0.1", dns=("10.0.0.2",)),
        authorized_keys=("ssh-ed25519 AAAA me",),
        files=(SeedFile(path="/etc/motd", content=b"\0\xff\n", mode=0o600, owner="a:b"),),
        run_once="#!/bin/sh\necho 'ä'\n",
    )
    instance = replace(plain, seed=seed, ssh_port=22001)
    host.define(instance)
    assert list(host.records()) == [instance]


def test_define_replaces_and_delete_forgets(host: Host, new: New) -> None:
    instance = new()
    host.define(instance)
    host.define(replace(instance, memory=GIB))
    assert [known.memory for known in host.records()] == [GIB]
    host.delete(instance)
    host.delete(instance)
    assert list(host.records()) == []


def test_an_overlay_has_the_size_it_was_given(host: Host, new: New, contents_of: ContentsOf) -> None:
    """Also where the storage rounds up."""
    instance = new(overlay=Overlay(size=33 * MIB, allocation=Allocation.SPARSE))
    with pytest.raises(NotFound):
        host.overlay_size(instance)
    host.create_overlay(instance, contents_of(instance), Operation())
    assert host.overlay_size(instance) == 33 * MIB
    for storage in host.storages(GIB, 8 * GIB):
        assert storage.each <= storage.full and storage.clone <= storage.clone_full
        assert storage.full >= GIB and storage.clone_full >= 8 * GIB


def test_no_machine_no_status(host: Host, new: New) -> None:
    instance = new()
    host.define(instance)
    assert host.statuses() == {}
    assert host.reports([instance.uuid]) == {}
    if host.features.console:
        assert host.console_log(instance.uuid) == b""
    else:
        with pytest.raises(Unsupported):
            host.console_log(instance.uuid)
    with pytest.raises(Conflict), host.console(instance.uuid):
        pass


def test_a_stopped_machine_is_stopped_gladly(host: Host, new: New) -> None:
    instance = new()
    host.shutdown(instance)
    host.power_off(instance)
    assert host.statuses() == {}


def test_masters_are_checked_and_taken_twice(host: Host, master: Master, sealed: Path) -> None:
    host.add_master(master, sealed, Operation())
    host.add_master(master, sealed, Operation())
    (sealed / "root.erofs").unlink()
    with pytest.raises(NotFound):
        host.add_master(master, sealed, Operation())
    host.remove_master(master)
    host.remove_master(master)


def test_layers_are_taken_twice_and_recorded(
    host: Host, new: New, contents_of: ContentsOf, sealed: Path, master: Master, tmp_path: Path
) -> None:
    layer = a_layer()
    [image] = layer.images
    (tmp_path / image.file).write_bytes(b"of a layer" * 1000)
    host.add_master(master, sealed, Operation())
    for _ in range(2):
        host.add_layers([(layer, image, tmp_path)], Operation())
    plain = new()
    stack = replace(
        plain.stack,
        images=(*plain.stack.images, image.digest), layers=(layer.reference,), layer_ids=(layer.id,),
    )  # fmt: skip
    instance = replace(plain, stack=stack)
    assert host.features.layers
    host.create_overlay(instance, contents_of(instance), Operation())
    host.define(instance)
    assert list(host.records()) == [instance]
    host.delete(instance)
    for _ in range(2):
        host.remove_layer(layer)


def test_a_start_without_a_kernel_leaves_nothing(
    host: Host, new: New, contents_of: ContentsOf, master: Master, sealed: Path
) -> None:
    instance = new()
    host.create_overlay(instance, contents_of(instance), Operation())
    host.define(instance)
    (sealed / "kernel").unlink()
    with pytest.raises(NotFound):
        host.start(instance, master, sealed, Operation())
    assert host.statuses() == {}
    host.delete(instance)


def test_a_start_without_a_disk_is_refused(host: Host, new: New, master: Master, sealed: Path) -> None:
    instance = new()
    with pytest.raises(NotFound):
        host.start(instance, master, sealed, Operation())
    assert host.statuses() == {}


def test_space_adds_up(host: Host, new: New, contents_of: ContentsOf, master: Master, state: Path) -> None:
    instances = [new(f"web-{number}") for number in range(3)]
    for instance in instances:
        host.create_overlay(instance, contents_of(instance), Operation())
    write_out(state)
    space = host.space(instances, [master])
    assert space.promised == 3 * 32 * MIB
    assert space.allocated == sum(host.written(instances).values())
    assert 0 < space.written <= space.allocated
    assert space.owed >= 0 and space.owed + space.allocated >= space.promised
    assert space.instances == 3
    assert space.masters == MIB
    assert 0 < space.free <= space.total


CAN = {
    "fake": {"console", "dax", "data", "layers", "encrypts"},
    "qemu": {"console", "dax", "data", "layers", "encrypts", "boots", "presses_a_button"},
    "xapi": {"data", "layers", "boots", "tells_name"},
}
"""What a host says that it cannot is refused to everybody; tests that run there would only be told so."""


def test_features_are_consistent(host: Host, kind: str) -> None:
    assert host.features.kind == kind
    assert host.features.default_network in host.features.networks
    values = {field.name: getattr(host.features, field.name) for field in dataclasses.fields(host.features)}
    assert {name for name, value in values.items() if value is True} == CAN[kind]


def test_doctor_has_hints_for_what_is_wrong(host: Host) -> None:
    checks = host.doctor()
    assert checks
    assert all(check.status in ("ok", "note", "warn", "fail") for check in checks)
    assert all(check.hint for check in checks if check.status in ("warn", "fail"))


def test_a_damaged_record_is_named(host: Host, new: New, state: Path, in_a_folder: None) -> None:
    instance = new()
    host.define(instance)
    record = next(state.glob("instances/*/instance.json"))
    record.write_text(json.dumps({"format": 1}))
    with pytest.raises(Corrupt, match=str(instance.uuid)):
        list(host.records())


def test_closing_twice_is_fine(host: Host) -> None:
    host.close()
    host.close()
