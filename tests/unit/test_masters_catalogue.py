import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Self

import pytest

from skinnybox.errors import Conflict, Corrupt, NotFound, SkinnyboxError, Unsupported
from skinnybox.masters import catalogue
from skinnybox.masters.manifest import from_manifest, to_manifest
from skinnybox.masters.seal import default_version, refuse_taken
from skinnybox.masters.workspace import workspace
from skinnybox.model import Master
from tests.samples import a_master

DIGEST = "sha256:" + "ab" * 32
MASTER = a_master(
    id="sha256:" + "1234567890abcdef" * 4,
    name="lamp",
    os="Debian GNU/Linux 12 (bookworm) \u00fc",
    created=datetime(2026, 11, 22, 10, 0, tzinfo=UTC),
)


def _put(store: Path, master: Master) -> Master:
    place = catalogue.folder(store, master)
    place.mkdir(parents=True)
    (place / "manifest.json").write_bytes(to_manifest(master, index=DIGEST))
    return master


@pytest.fixture
def store(tmp_path: Path) -> Path:
    _put(tmp_path, MASTER)
    _put(tmp_path, replace(MASTER, id="sha256:" + "12345678" + "0" * 56, version="2",
                           created=MASTER.created + timedelta(days=1)))  # fmt: skip
    _put(tmp_path, replace(MASTER, id="sha256:" + "f" * 64, name="deadbeef"))
    return tmp_path


def test_a_manifest_gives_back_the_master(tmp_path: Path) -> None:
    file = tmp_path / "manifest.json"
    file.write_bytes(to_manifest(MASTER, index=DIGEST))
    assert from_manifest(file) == (MASTER, DIGEST)


def test_one_flipped_bit_anywhere_in_a_manifest_is_found(tmp_path: Path) -> None:
    file = tmp_path / "manifest.json"
    data = to_manifest(MASTER, index=DIGEST)
    for position in range(len(data)):
        file.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        with pytest.raises((Corrupt, Unsupported), match=r"manifest\.json"):
            from_manifest(file)


@pytest.mark.parametrize(
    ("reference", "version"),
    [
        ("lamp", "2"), ("lamp:1", "1"), ("lamp:2", "2"), ("sha256:1234567890abcdef", "1"),
        ("1234567890", "1"), ("1234567800", "2"),
    ],
)  # fmt: skip
def test_a_master_is_found(store: Path, reference: str, version: str) -> None:
    assert catalogue.find(store, reference).version == version


def test_a_name_that_looks_like_digits_is_found(store: Path) -> None:
    assert catalogue.find(store, "deadbeef").name == "deadbeef"


def test_ambiguous_digits_are_refused(store: Path) -> None:
    with pytest.raises(Conflict, match="fits 2"):
        catalogue.find(store, "12345678")


@pytest.mark.parametrize("reference", ["lam", "lamp:3", "lmap", "sha256:" + "0" * 64])
def test_an_unknown_master_is_not_found_and_near_ones_are_named(store: Path, reference: str) -> None:
    with pytest.raises(NotFound) as caught:
        catalogue.find(store, reference)
    assert "lamp" in (caught.value.hint or "")


def test_an_empty_store_says_how_to_make_one(tmp_path: Path) -> None:
    assert catalogue.masters(tmp_path / "none") == []
    with pytest.raises(NotFound) as caught:
        catalogue.find(tmp_path / "none", "x")
    assert "build" in (caught.value.hint or "")


def test_the_list_is_by_name_then_age_and_skips_hidden_work(store: Path) -> None:
    (store / ".sealing-1-x").mkdir()
    assert [m.reference for m in catalogue.masters(store)] == ["deadbeef:1", "lamp:1", "lamp:2"]


def test_a_folder_with_another_masters_manifest_is_corrupt(store: Path) -> None:
    catalogue.folder(store, MASTER).rename(store / ("9" * 64))
    with pytest.raises(Corrupt, match="another master"):
        catalogue.masters(store)


def test_a_master_without_its_manifest_is_corrupt(store: Path) -> None:
    (catalogue.folder(store, MASTER) / "manifest.json").unlink()
    with pytest.raises(Corrupt, match=r"manifest\.json"):
        catalogue.masters(store)


def test_remove_is_idempotent_and_finishes_what_was_killed(store: Path) -> None:
    hidden = store / f".removing-{MASTER.id[7:]}"
    (hidden / "x").mkdir(parents=True)
    catalogue.remove(store, MASTER)
    catalogue.remove(store, MASTER)
    assert not hidden.exists()
    assert [m.version for m in catalogue.masters(store) if m.name == "lamp"] == ["2"]


def test_shared_locks_go_together_and_keep_an_exclusive_one_out(tmp_path: Path) -> None:
    got = threading.Event()

    def remove() -> None:
        with catalogue.locked(tmp_path, exclusive=True):
            got.set()

    thread = threading.Thread(target=remove)
    with catalogue.locked(tmp_path, exclusive=False), catalogue.locked(tmp_path, exclusive=False):
        thread.start()
        assert not got.wait(0.2)
    assert got.wait(60)
    thread.join()


class LateInTheDay(datetime):
    """A clock that stands still: the real one may pass midnight between two looks."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return cls(2026, 11, 22, 23, 30, tzinfo=UTC).astimezone(tz)


def test_default_versions_are_dates_and_never_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skinnybox.masters.seal.datetime", LateInTheDay)
    today = "2026-11-22"
    assert default_version(tmp_path, "lamp") == today
    _put(tmp_path, replace(MASTER, version=today))
    assert default_version(tmp_path, "lamp") == f"{today}.2"
    _put(tmp_path, replace(MASTER, version=f"{today}.2", id="sha256:" + "2" * 64))
    assert default_version(tmp_path, "lamp") == f"{today}.3"
    assert default_version(tmp_path, "other") == today


def test_a_taken_reference_is_refused_early(store: Path) -> None:
    refuse_taken(store, "lamp", "3")
    with pytest.raises(Conflict, match="lamp:2"):
        refuse_taken(store, "lamp", "2")


def test_work_of_the_dead_is_swept_and_of_the_living_is_not(tmp_path: Path) -> None:
    (tmp_path / ".sealing-1-dead" / "deep").mkdir(parents=True)
    (tmp_path / ".removing-dead").mkdir()
    with workspace(tmp_path, "work") as one:
        (one / "file").touch()
        with workspace(tmp_path, "sealing") as two:
            assert sorted(item.name for item in tmp_path.iterdir()) == sorted([".lock", one.name, two.name])
            assert (one / "file").exists()
        assert not two.exists()
    assert not one.exists()


def test_a_full_disk_is_no_space(tmp_path: Path) -> None:
    with (
        pytest.raises(SkinnyboxError) as caught,
        workspace(tmp_path, "work"),
        Path("/dev/full").open("wb") as f,
    ):
        f.write(b"x" * 100_000)
    assert caught.value.exit_code == 7
    assert [item.name for item in tmp_path.iterdir()] == [".lock"]
