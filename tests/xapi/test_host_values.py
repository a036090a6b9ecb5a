"""Values without a pool: errors, costs, what is told and what is believed."""

import base64
import dataclasses
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from skinnybox.errors import Blocked, Conflict, Corrupt, NoSpace, SkinnyboxError, Unsupported
from skinnybox.hosts.xapi import errors, marks, observe, space, tell
from skinnybox.model import Instance, SeedFile
from skinnybox.sizes import GIB, KIB, MIB

New = Callable[..., Instance]


@pytest.mark.parametrize("code", errors.CODES)
def test_every_known_code_is_told_in_words(code: str) -> None:
    for count in range(6):
        found = errors.translated([code, *(f"p{number}" for number in range(count))])
        assert found.message and "{" not in found.message and code not in found.message


@pytest.mark.parametrize(
    ("details", "kind"),
    [
        (["SR_BACKEND_FAILURE_44", "", "There is insufficient space", ""], NoSpace),
        (["SR_BACKEND_FAILURE_38", "", "Unimplemented", ""], Unsupported),
        (["SR_BACKEND_FAILURE_999", "", "odd", ""], SkinnyboxError),
        (["OPERATION_BLOCKED", "ref", "because"], Blocked),
        (["VDI_IN_USE", "ref"], Conflict),
        (["HOST_NOT_ENOUGH_FREE_MEMORY", "12", "3"], NoSpace),
    ],
)
def test_kinds_of_errors(details: list[str], kind: type[SkinnyboxError]) -> None:
    assert type(errors.translated(details)) is kind


def test_an_unknown_code_is_shown_whole() -> None:
    found = errors.translated(["NEVER_SEEN", "first", "second"])
    assert "NEVER_SEEN first second" in found.message and found.hint
    assert errors.translated([]).message
    assert "odd" in errors.translated(["SR_BACKEND_FAILURE_999", "", "odd", ""]).message


@pytest.mark.parametrize(("size", "volume"), [(1, 1032), (4, 4112), (10, 10268), (2, 2060), (100, 102608)])
def test_thick_volumes(size: int, volume: int) -> None:
    """As published for sizes in GiB, in MiB."""
    assert space.thick(size * GIB) == volume * MIB


def test_costs_on_thin_and_thick_storage() -> None:
    thin = space.cost({"type": "nfs", "sm_config": {}}, 1 * GIB, 100 * GIB)
    assert thin.thin and thin.overlay < 12 * KIB and thin.clone == 212 * KIB
    thick = space.cost({"type": "lvmoiscsi", "sm_config": {}}, 1 * GIB, 8 * GIB)
    assert not thick.thin and thick.overlay == 1032 * MIB and thick.clone > 8 * GIB
    assert space.cost({"type": "linstor", "sm_config": {}}, GIB, GIB).thin
    assert not space.cost({"type": "something new", "sm_config": {}}, GIB, GIB).thin


def test_what_is_told_fits_and_comes_back(new_instance: New) -> None:
    plain = new_instance()
    files = (SeedFile(path="/a", content=bytes(range(256)) * 64),)
    instance = dataclasses.replace(plain, seed=dataclasses.replace(plain.seed, files=files))
    told = tell.told(instance, blank=True)
    assert all(key.startswith("vm-data/skinnybox/") and len(value) <= 2000 for key, value in told.items())
    for name, message in (
        ("base", tell.contents_of(instance).base),
        ("seed", tell.contents_of(instance).seed),
    ):
        parts = int(told[f"{tell.PREFIX}{name}"])
        text = "".join(told[f"{tell.PREFIX}{name}-{number}"] for number in range(parts))
        assert base64.b64decode(text) == message
    assert tell.may_format(told, instance.uuid) and not tell.may_format(told, uuid.uuid4())
    assert not tell.may_format(tell.told(instance, blank=False), instance.uuid)


def test_an_identity_is_never_told(new_instance: New) -> None:
    instance = new_instance()
    contents = tell.contents_of(instance)
    assert tell.fits(contents, instance)
    assert not tell.fits(dataclasses.replace(contents, identity=b"a private key"), instance)
    assert not tell.fits(dataclasses.replace(contents, seed=b"another"), instance)


def test_what_others_told_stays(new_instance: New) -> None:
    instance = new_instance()
    before = {"vm-data/theirs": "1", "vm-data/skinnybox/seed-9": "old", "vm-data/skinnybox/nonce": "n"}
    after = tell.merged(before, tell.told(instance, blank=False))
    assert after["vm-data/theirs"] == "1" and after["vm-data/skinnybox/nonce"] == "n"
    assert "vm-data/skinnybox/seed-9" not in after


def test_records_are_packed_and_bounded(new_instance: New) -> None:
    instance = new_instance()
    record: dict[str, Any] = {
        "name_label": "web",
        "other_config": {marks.RECORD: marks.record_text(instance)},
    }
    assert marks.instance_from(record) == instance
    for damaged in ("", "%%%", "AAAA", marks.pack({"format": 1})):
        with pytest.raises(Corrupt, match="web"):
            marks.instance_from({"name_label": "web", "other_config": {marks.RECORD: damaged}})
    import random

    noise = random.Random(1).randbytes(512 * KIB)
    seed = dataclasses.replace(instance.seed, files=(SeedFile(path="/a", content=noise),))
    with pytest.raises(Unsupported, match="too large"):
        marks.record_text(dataclasses.replace(instance, seed=seed))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        f"2 ready {'0' * 32} - 1",
        "1 ready nonce - 1",
        f"1 happy {'0' * 32} - 1",
        "1 ready",
        "x" * 9000,
    ],
)
def test_what_is_no_report(text: str) -> None:
    assert observe.stamp({"other": {"data-ts": text}}) is None
    assert observe.stamp(None) is None and observe.stamp({"other": {}}) is None


def test_a_report_of_failure() -> None:
    words = observe.stamp({"other": {"data-ts": f"1 failed {'0' * 32} - - no overlay\x1b[2J here"}})
    assert words is not None and words[1] == "failed" and words[5].startswith("no overlay")
