"""Values without a pool: errors, costs, what is told and what is believed."""

import base64
import dataclasses
import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

import pytest

from skinnybox.errors import Blocked, Conflict, Corrupt, NoSpace, SkinnyboxError, Unsupported
from skinnybox.hosts.xapi import errors, space, tags, xenstore_data
from skinnybox.hosts.xapi.guest_metrics import MOST_KEYS, Stamp, stamp_of
from skinnybox.model import Instance, RebaseTasks, SeedFile
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
    thin = space.cost({"type": "nfs"}, [], 1 * GIB, 100 * GIB)
    assert thin.each < 12 * KIB and thin.full > GIB and thin.clone == 212 * KIB and not thin.guess
    thick = space.cost({"type": "lvmoiscsi"}, [], 1 * GIB, 8 * GIB)
    assert thick.each == thick.full == 1032 * MIB and thick.clone > 8 * GIB
    twice = space.cost({"type": "linstor"}, [{"redundancy": "2"}], GIB, GIB)
    assert twice.each < 24 * KIB and twice.full == 2 * 1032 * MIB and twice.guess
    assert space.cost({"type": "something new"}, [], GIB, GIB).guess
    known = {"nfs": True, "ext": True, "lvm": False, "linstor": True, "something new": False}
    assert {kind: space.is_thin({"type": kind}, [{"location": "here"}]) for kind in known} == known
    assert not space.is_thin({"type": "linstor"}, [{"provisioning": "thick"}])


def test_what_is_told_fits_and_comes_back(new_instance: New) -> None:
    plain = new_instance()
    files = (SeedFile(path="/a", content=bytes(range(256)) * 64),)
    instance = dataclasses.replace(plain, seed=dataclasses.replace(plain.seed, files=files))
    told = xenstore_data.told(instance, blank=True)
    assert all(key.startswith("vm-data/skinnybox/") and len(value) <= 2000 for key, value in told.items())
    for name, message in (
        ("base", xenstore_data.contents_of(instance).base),
        ("seed", xenstore_data.contents_of(instance).seed),
    ):
        parts = int(told[f"{xenstore_data.PREFIX}{name}"])
        text = "".join(told[f"{xenstore_data.PREFIX}{name}-{number}"] for number in range(parts))
        assert base64.b64decode(text) == message
    assert told[xenstore_data.ORDER] == str(instance.uuid)
    assert xenstore_data.ORDER not in xenstore_data.told(instance, blank=False)


def test_an_identity_is_never_told(new_instance: New) -> None:
    instance = new_instance()
    contents = xenstore_data.contents_of(instance)
    assert xenstore_data.fits(contents, instance)
    assert not xenstore_data.fits(dataclasses.replace(contents, identity=b"a private key"), instance)
    assert not xenstore_data.fits(dataclasses.replace(contents, seed=b"another"), instance)


def test_what_others_told_stays(new_instance: New) -> None:
    instance = new_instance()
    before = {"vm-data/theirs": "1", "vm-data/skinnybox/seed-9": "old", "vm-data/skinnybox/nonce": "n"}
    after = xenstore_data.merged(before, xenstore_data.told(instance, blank=False))
    assert after["vm-data/theirs"] == "1"
    assert not {"vm-data/skinnybox/seed-9", "vm-data/skinnybox/nonce"} & set(after)


def test_records_are_packed_and_bounded(new_instance: New) -> None:
    instance = new_instance()
    record: dict[str, Any] = {
        "name_label": "web",
        "other_config": {tags.RECORD: tags.record_text(instance)},
    }
    assert tags.instance_from(record) == instance
    for damaged in ("", "%%%", "AAAA", tags.pack({"format": 1})):
        with pytest.raises(Corrupt, match="web"):
            tags.instance_from({"name_label": "web", "other_config": {tags.RECORD: damaged}})
    import random

    noise = random.Random(1).randbytes(512 * KIB)
    seed = dataclasses.replace(instance.seed, files=(SeedFile(path="/a", content=noise),))
    with pytest.raises(Unsupported, match="too large"):
        tags.record_text(dataclasses.replace(instance, seed=seed))


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
    assert stamp_of({"other": {"data-ts": text}}) is None
    assert stamp_of(None) is None and stamp_of({"other": {}}) is None


def test_a_report_of_failure() -> None:
    found = stamp_of({"other": {"data-ts": f"1 failed {'0' * 32} - - no overlay\x1b[2J here"}})
    assert found is not None and not found.ready
    assert found.reason == "no overlay\\x1b[2J here" and found.generation is None and found.overlay is None
    later = stamp_of({"other": {"data-ts": f"1 failed {'0' * 32} - 2 dax=off overlay=9/1 a=b went wrong"}})
    assert later is not None and later.overlay == (9, 1) and later.reason == "a=b went wrong"


def key_of(kind: str, size: int = 40) -> str:
    blob = len(kind).to_bytes(4, "big") + kind.encode() + bytes(size)
    return base64.b64encode(blob).decode()


def said(tail: str) -> Stamp:
    found = stamp_of({"other": {"data-ts": f"1 ready {'0' * 32} - 3 {tail}"}})
    assert found is not None and found.ready and found.generation == 3 and found.reason is None
    return found


def test_what_a_ready_guest_says_of_itself() -> None:
    key = key_of("ssh-ed25519")
    found = said(f"overlay=1000/250 dax=off key=ssh-ed25519:{key} mood=good key=ssh-rsa:{key_of('ssh-rsa')}")
    assert found.overlay == (1000, 250) and found.dax is False
    assert found.host_keys == (f"ssh-ed25519 {key}", f"ssh-rsa {key_of('ssh-rsa')}")
    assert said("dax=on").dax is True and said("").overlay is None


def test_what_a_guest_says_of_a_rebase() -> None:
    found = said("rebase=0af3/done inactive=apache2.service inactive=a/b dax=on")
    assert found.rebase == RebaseTasks(identifier="0af3", done=True)
    assert found.inactive_units == ("apache2.service",) and found.dax is True
    text = f"1 failed {'0' * 32} - 2 rebase=0af3/failed dax=off dpkg ended with 1"
    failed = stamp_of({"other": {"data-ts": text}})
    assert failed is not None and not failed.checking and failed.reason == "dpkg ended with 1"
    assert failed.rebase == RebaseTasks(identifier="0af3", done=False, why="dpkg ended with 1")


def test_a_guest_that_checks_itself_is_neither_ready_nor_failed() -> None:
    found = stamp_of({"other": {"data-ts": f"1 checking {'0' * 32} - 2 dax=off check fails: no route"}})
    assert found is not None and found.checking and not found.ready
    assert found.reason == "check fails: no route"


@pytest.mark.parametrize(
    "word",
    [
        "rebase=xyz/done", "rebase=/done", "rebase=1/perhaps", f"rebase={'1' * 65}/done", "inactive=a/b",
        "inactive=",
        "overlay=1/2", "overlay=0/0", "overlay=-1/0", "overlay=9999999999999999/1", "overlay=1", "dax=maybe",
        "key=", "key=ssh-ed25519", "key=ssh-ed25519:!!", f"key=ssh-rsa:{key_of('ssh-ed25519')}",
        f"key=ssh-rsa\n:{key_of('ssh-rsa')}", "=", "==",
    ],
)  # fmt: skip
def test_words_that_are_not_understood_are_passed_over(word: str) -> None:
    found = said(f"{word} dax=on")
    assert found.overlay is None and found.host_keys == () and found.dax is True
    assert found.rebase is None and found.inactive_units == ()


def test_a_guest_cannot_flood_its_report() -> None:
    keys = " ".join(f"key=ssh-rsa:{key_of('ssh-rsa', number)}" for number in range(1, 40))
    assert len(said(keys).host_keys) == MOST_KEYS
    assert said("x" * 100_000).host_keys == ()


@pytest.mark.parametrize(
    ("kind", "devices"),
    [
        *((kind, ()) for kind in ("lvm", "lvmoiscsi", "ext", "nfs", "smb", "zfs", "linstor", "new")),
        ("linstor", ({"redundancy": "2"}, {"redundancy": "2"})),
        ("linstor", ({"redundancy": "3", "provisioning": "thick"},)),
    ],
)
@pytest.mark.parametrize("size", [64 * MIB, 1 * GIB, 33 * GIB, 2040 * GIB])
def test_the_plugin_in_dom0_counts_the_same(
    kind: str, devices: tuple[dict[str, str], ...], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(__file__).parents[2]
    monkeypatch.syspath_prepend(str(root / "tests" / "emulators" / "xapi" / "dom0"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader = SourceFileLoader("plugin_in_dom0", str(root / "xenserver" / "skinnybox"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    plugin: Any = importlib.util.module_from_spec(spec)
    loader.exec_module(plugin)
    each, full, _ = plugin._costs({"type": kind}, list(devices), size)
    found = space.cost({"type": kind}, devices, size, size)
    assert (found.each, found.full) == (found.clone, found.clone_full) == (each, full)
