"""What a machine with an encrypted overlay is handed at its start, and when it is told to format."""

import base64
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox.errors import NotFound
from skinnybox.hosts.qemu import encrypted
from skinnybox.hosts.qemu.command_line import Descriptors
from skinnybox.masters.initramfs import encryption
from skinnybox.model import Allocation, Encryption, Instance
from skinnybox.overlays.encryption import put_blank
from skinnybox.overlays.seed import base_message, seed_message
from skinnybox.sizes import MIB
from tests.samples import a_master, an_instance
from tests.unit.test_hosts_qemu_command_line import OPENED

KEY = bytes(range(32))
Added = Callable[[Instance], tuple[Descriptors, dict[str, bytes]]]


@pytest.fixture
def key(tmp_path: Path) -> Encryption:
    (tmp_path / "key").write_bytes(KEY)
    (tmp_path / "key").chmod(0o600)
    return Encryption(key_file=str(tmp_path / "key"))


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    put_blank(tmp_path / "overlay.img", 4 * MIB, Allocation.SPARSE)
    return tmp_path / "overlay.img"


@pytest.fixture
def added(tmp_path: Path, disk: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Added]:
    """With an archive that is there already."""
    archive = tmp_path / "archive"
    archive.write_bytes(b"archive")
    monkeypatch.setattr(encryption, "initrd", lambda store, master, sealed: archive)
    (tmp_path / "state").mkdir()
    with ExitStack() as files, disk.open("r+b", buffering=0) as opened:

        def start(instance: Instance) -> tuple[Descriptors, dict[str, bytes]]:
            before = replace(OPENED, overlay=opened.fileno())
            sealed = tmp_path / "state/masters/one"
            found = encrypted.added(files, before, instance, a_master(), sealed, tmp_path / "state")
            assert found.initrd == before.initrd or os.pread(found.initrd, 100, 0) == b"archive"
            return found, {name: os.pread(number, 1 << 20, 0) for name, number in found.firmware}

        yield start


def test_who_is_not_encrypted_is_handed_nothing(added: Added) -> None:
    found, told = added(an_instance())
    assert (found.initrd, told) == (OPENED.initrd, {})


def test_a_blank_disk_is_to_be_formatted(added: Added, key: Encryption) -> None:
    instance = an_instance(encrypt=key)
    found, told = added(instance)
    assert list(told) == ["key", "base", "base-0", "seed", "seed-0", "format", "volume-key"]
    assert told["key"] == KEY and told["format"] == str(instance.uuid).encode()
    assert (told["base"], told["seed"]) == (b"1", b"1")
    assert base64.b64decode(told["base-0"]) == base_message(instance)
    assert base64.b64decode(told["seed-0"]) == seed_message(instance)
    assert len(told["volume-key"]) == 64 and added(instance)[1]["volume-key"] != told["volume-key"]
    for _, number in found.firmware:
        assert os.fstat(number).st_mode & 0o777 == 0o444 and os.fstat(number).st_nlink == 0
        assert not os.get_inheritable(number) and number in found.inherited()


def test_no_other_disk_is(added: Added, key: Encryption, disk: Path) -> None:
    with disk.open("r+b") as file:
        file.seek(3 * MIB)
        file.write(b"x")
    before = disk.read_bytes()
    _, told = added(an_instance(encrypt=key))
    assert list(told) == ["key", "base", "base-0", "seed", "seed-0"]
    assert disk.read_bytes() == before


def test_with_a_new_key_the_disk_begins_blank(added: Added, disk: Path) -> None:
    with disk.open("r+b") as file:
        file.write(b"of the last start" * 100)
    instance = an_instance(encrypt=Encryption())
    keys = set[bytes]()
    for _ in range(2):
        _, told = added(instance)
        assert "format" in told and disk.read_bytes() == bytes(4 * MIB)
        keys.add(told["key"])
    assert {len(key) for key in keys} == {64} and len(keys) == 2


def test_without_its_key_nothing_is_touched(added: Added, disk: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        added(an_instance(encrypt=Encryption(key_file=str(tmp_path / "missing"))))
    assert disk.stat().st_blocks == 0
