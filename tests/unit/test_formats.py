"""The rule of formats: fields are added freely; what an older reader would get wrong is refused there."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from skinnybox import formats, wire
from skinnybox.errors import Corrupt, SkinnyboxError, Unsupported
from skinnybox.fleet.catalog import catalog as fleet_state
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.hosts.record import _sum, from_record, to_record
from skinnybox.masters import manifest
from skinnybox.masters.manifest import from_manifest, to_manifest
from skinnybox.model import GUEST_PROTOCOL, Instance, Master
from tests.unit.test_hosts_record import FULL, PLAIN
from tests.unit.test_masters_catalogue import MASTER

FIRST = {
    "format", "uuid", "name", "stack", "overlay", "seed", "created", "memory", "cpus", "ssh_port", "ssh_user",
    "network",
}  # fmt: skip
"""What the first version wrote of an instance."""


@pytest.mark.parametrize(
    ("record", "error"),
    [
        ({"format": 1}, None),
        ({"format": 2, "needs": 1}, None),
        ({"format": 2}, Unsupported),
        ({"format": 3, "needs": 2}, Unsupported),
        ({}, Corrupt),
        ([], Corrupt),
        (None, Corrupt),
        ({"format": "1"}, Corrupt),
        ({"format": True}, Corrupt),
        ({"format": 0}, Corrupt),
        ({"format": 1, "needs": 2}, Corrupt),
        ({"format": 1, "needs": None}, Corrupt),
    ],
)
def test_the_rule(record: Any, error: type[SkinnyboxError] | None) -> None:
    if error is None:
        formats.check(record, 1, "it")
        return
    with pytest.raises(error, match="it ") as caught:
        formats.check(record, 1, "it")
    assert error is Corrupt or (caught.value.hint and "upgrade" in caught.value.hint)


@pytest.mark.parametrize("instance", [PLAIN, FULL])
def test_an_instance_of_the_next_format_that_only_adds_is_read(instance: Instance) -> None:
    record = to_record(instance)
    seed = {**record["seed"], "mood": "good"}
    later = {**record, "format": 2, "needs": 1, "new": {"a": 1}, "seed": seed}
    later["sum"] = _sum({key: later[key] for key in later if key != "sum"})
    assert from_record(json.loads(json.dumps(later))) == instance


def test_an_instance_of_the_first_version_is_read_with_what_came_later_at_its_default() -> None:
    record = {key: value for key, value in to_record(FULL).items() if key in FIRST}
    stack = {key: value for key, value in record["stack"].items() if key != "dax"}
    found = from_record({**record, "stack": stack})
    assert found == replace(
        FULL, autostart=False, bridge=None, fleet=None, stack=replace(FULL.stack, dax=False)
    )


def test_autostart_survives() -> None:
    assert from_record(to_record(replace(PLAIN, autostart=True))).autostart


def changed(tmp_path: Path, **fields: Any) -> Path:
    """A manifest that a later version sealed."""
    values = json.loads(to_manifest(MASTER, index="sha256:" + "e" * 64))
    path = tmp_path / "manifest.json"
    path.write_bytes(manifest.as_bytes({**values, **fields}))
    return path


def test_a_manifest_of_the_next_format_that_only_adds_is_read(tmp_path: Path) -> None:
    images = json.loads(to_manifest(MASTER, index="x"))["images"]
    other = {**images[0], "kind": "squashfs", "file": "root.squashfs", "blocks": 9}
    path = changed(tmp_path, format=2, needs=1, colour="blue", images=[*images, other])
    assert from_manifest(path)[0] == MASTER


def test_a_manifest_that_needs_a_later_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="format 2") as caught:
        from_manifest(changed(tmp_path, format=2))
    assert caught.value.hint and "upgrade" in caught.value.hint


def test_a_manifest_without_an_image_that_is_known_is_none(tmp_path: Path) -> None:
    for images in ([], [{"kind": "squashfs", "file": "a", "digest": "sha256:" + "0" * 64, "size": 1}]):
        with pytest.raises(Unsupported, match="no image that can be used"):
            from_manifest(changed(tmp_path, format=2, needs=1, images=images))


@pytest.mark.parametrize(
    ("protocol", "hint"), [(0, "build the master again"), (GUEST_PROTOCOL + 1, "upgrade Skinnybox")]
)
def test_a_master_whose_guest_part_is_not_understood(protocol: int, hint: str) -> None:
    other: Master = replace(MASTER, guest_protocol=protocol)
    with pytest.raises(Unsupported, match=f"speaks protocol {protocol}") as caught:
        formats.check_protocol(other)
    assert caught.value.hint == hint
    formats.check_protocol(MASTER)


def test_the_memory_of_an_older_format_is_migrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next format, with a column more: what is there stays, and the older version refuses it by name."""
    path = tmp_path / "state.db"
    old = Catalog(path)
    old.claim([PLAIN])
    old.confirm([PLAIN])
    old.close()
    known = fleet_state.MIGRATIONS
    monkeypatch.setattr(fleet_state, "MIGRATIONS", (*known, "ALTER TABLE instances ADD COLUMN mood TEXT"))
    new = Catalog(path)
    assert [row.instance for row in new.rows()] == [PLAIN]
    new.claim([replace(FULL, uuid=UUID(int=8), name="other")])
    new.close()
    monkeypatch.setattr(fleet_state, "MIGRATIONS", known)
    with pytest.raises(Unsupported, match="format 2, known: 1") as caught:
        Catalog(path)
    assert caught.value.hint and "skinnybox repair" in caught.value.hint


def test_a_message_may_have_more_lines_than_are_known() -> None:
    text = wire.encode("report", 1, [wire.Line("state", "ready"), wire.Line("mood", "good", b"\0")])
    assert wire.decode(text, "report").get("state") == "ready"
