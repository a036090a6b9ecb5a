"""What an archive says of its machine is believed as little as what it holds."""

import itertools
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from skinnybox.delta.archive.manifest import Manifest, Stack
from skinnybox.errors import NoArchive, SkinnyboxError, Unsupported
from skinnybox.fleet import restoring
from skinnybox.fleet.restoring import Restore, machine_of
from skinnybox.fleet.service import Fleet
from skinnybox.hosts.record import _sum, from_record, to_record
from skinnybox.model import Consistency, DiskKind, Encryption, Forward, Instance
from skinnybox.model.datadisk import data_disk
from skinnybox.overlays.seed import base_message, seed_message
from skinnybox.sizes import MIB
from tests.fleet import rebasing
from tests.fleet.conftest import SPARSE
from tests.fleet.test_rebase import two_masters
from tests.samples import an_instance

__all__ = ["two_masters"]
fleet = rebasing.fleet_of_two
VALUES: tuple[Any, ...] = (
    None, "", "x", "../x", "\0", "\udcff", "x" * 5000, -1, 0, 1, 1 << 31, 1 << 70, 1.5, True, [], ["x"], {},
    [[]], {"x": 1}, "web-02", "reserved", "bridge", "2026-01-01", [{"port": 22, "to": 22}],
)  # fmt: skip


def records(instance: Instance) -> Iterator[dict[str, Any]]:
    """Each value of the record as each of VALUES, also those within others; the sum fits."""
    whole = json.loads(json.dumps(to_record(instance)))
    del whole["sum"]
    for path, value in itertools.product(list(_places(whole)), VALUES):
        altered = json.loads(json.dumps(whole))
        place = altered
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        altered["sum"] = _sum(altered)
        yield altered


def _places(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*before, key)
        if isinstance(inner, dict | list):
            yield from _places(inner, (*before, key))


def manifest(instance: Instance, record: dict[str, Any]) -> Manifest:
    stack = Stack(master=instance.stack.master, reference="web:1", images=tuple(instance.stack.images))
    return Manifest(
        id=uuid4(), made=datetime.now(UTC), by="1", consistency=Consistency.STOPPED,
        disks=(DiskKind.OVERLAY,), machine=record, stack=stack,
    )  # fmt: skip


@pytest.mark.full
@pytest.mark.parametrize("new_identity", [False, True])
def test_records_of_strangers_are_machines_or_are_refused(fleet: Fleet, new_identity: bool) -> None:
    wanted = replace(
        SPARSE, data=data_disk(48 * MIB), forwards=(Forward(port=18080, to=80),), labels=(("a", "b"),),
        run_once="x", authorized_keys=(),
    )  # fmt: skip
    [instance] = fleet.create(["web"], "web:1", wanted)
    assert fleet.delete(["web"])[0].ok
    made = refused = 0
    for record in records(instance):
        try:
            _prepared(fleet, manifest(instance, record), Restore(sources=(), new_identity=new_identity))
            made += 1
        except SkinnyboxError as error:
            assert error.message.isprintable(), (record, error.message)
            refused += 1
    assert made > 50 and refused > 500, (made, refused)


def test_what_an_archive_says_of_its_machine_twice_has_to_agree() -> None:
    """What it boots from is in the machine's record and in the manifest, and the master is looked up by one
    of them and its images by the other."""
    instance = an_instance()
    found = manifest(instance, to_record(instance))
    assert machine_of(found) == instance
    other, digest = "sha256:" + "9" * 64, "8" * 64
    for stack in (replace(found.stack, master=other), replace(found.stack, images=(digest,))):
        with pytest.raises(NoArchive, match="boots from something else"):
            machine_of(replace(found, stack=stack))


@pytest.mark.parametrize("key_file", [None, "/etc/keys/{name}"])
def test_an_encrypted_machine_is_in_no_archive(key_file: str | None) -> None:
    instance = replace(an_instance(), encrypt=Encryption(key_file=key_file))
    with pytest.raises(Unsupported, match="is encrypted"):
        machine_of(manifest(instance, to_record(instance)))


def _prepared(fleet: Fleet, found: Manifest, wanted: Restore) -> None:
    """All that `restore` does before it reads what is in the archive."""
    told = restoring.machine_of(found)
    context = fleet._context
    restoring._refuse_taken(context, "web", told, wanted)
    with ExitStack() as held:
        master, told = restoring._here(context, held, found, told)
        new, _ = restoring._new(context, "web", told, wanted)
        restoring._check(context, new, master)
    assert from_record(to_record(new)) == new
    seed_message(new)
    base_message(new)
