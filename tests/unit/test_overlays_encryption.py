"""Keys, and blank disks for those who encrypt them."""

import os
import secrets
from os import fsync  # that of the system, whatever a test has in its place
from pathlib import Path
from uuid import UUID

import pytest

from skinnybox.errors import Blocked, Conflict, NotFound, SkinnyboxError, UsageError
from skinnybox.model import Allocation, DataDisk, Encryption, Overlay
from skinnybox.model.encryption import check_encryption, parse_encryption
from skinnybox.overlays import space
from skinnybox.overlays.encryption import blank_again, is_of, key_of, put_blank, to_be_formatted
from skinnybox.sizes import MIB
from tests.samples import luks2_header

KEY = bytes(range(32))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


def put(file: Path, key: bytes = KEY, mode: int = 0o600) -> Encryption:
    file.write_bytes(key)
    file.chmod(mode)
    return Encryption(key_file=str(file))


def test_a_key_is_what_its_file_says_now(tmp_path: Path, state: Path) -> None:
    assert key_of(put(tmp_path / "key"), "web", state) == KEY
    assert key_of(put(tmp_path / "key", KEY[::-1], 0o400), "web", state) == KEY[::-1]
    put(tmp_path / "web.key")
    assert key_of(Encryption(key_file=f"{tmp_path}/{{name}}.key"), "web", state) == KEY
    first, second = (key_of(Encryption(), "web", state) for _ in range(2))
    assert len(first) == len(second) == 64 and first != second


@pytest.mark.parametrize(
    ("key", "mode", "error", "says"),
    [
        (KEY[:31], 0o600, UsageError, "has 31 bytes"),
        (KEY * 200, 0o600, UsageError, "has 4097 bytes"),
        (b"", 0o600, UsageError, "has 0 bytes"),
        (bytes(64), 0o600, UsageError, "no random key"),
        (KEY, 0o640, Blocked, "others may read"),
        (KEY, 0o604, Blocked, "others may read"),
        (KEY, 0o602, Blocked, "others may read"),
    ],
)
def test_what_is_no_key(
    tmp_path: Path, state: Path, key: bytes, mode: int, error: type[SkinnyboxError], says: str
) -> None:
    wrong = put(tmp_path / "key", key, mode)
    with pytest.raises(error, match=says) as refused:
        key_of(wrong, "web", state)
    assert refused.value.hint


def test_a_key_that_is_not_there_or_not_to_be_read(tmp_path: Path, state: Path) -> None:
    with pytest.raises(NotFound, match="is not there"):
        key_of(Encryption(key_file=str(tmp_path / "key")), "web", state)
    os.mkfifo(tmp_path / "fifo", 0o600)
    for name in ("fifo", "state"):
        with pytest.raises((UsageError, Blocked)):
            key_of(Encryption(key_file=str(tmp_path / name)), "web", state)


def test_a_key_is_never_beside_the_disks(tmp_path: Path, state: Path) -> None:
    put(state / "key")
    (tmp_path / "link").symlink_to("state/key")
    for name in ("state/key", "link"):
        with pytest.raises(Blocked, match="beside the disks"):
            key_of(Encryption(key_file=str(tmp_path / name)), "web", state)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_key_of_somebody_else(tmp_path: Path, state: Path) -> None:
    theirs = put(tmp_path / "key")
    os.chown(tmp_path / "key", 1234, 1234)
    with pytest.raises(Blocked, match="others may read or change"):
        key_of(theirs, "web", state)


@pytest.mark.parametrize("allocation", list(Allocation))
def test_a_blank_disk(tmp_path: Path, allocation: Allocation) -> None:
    disk = tmp_path / "overlay.img"
    put_blank(disk, 4 * MIB, allocation)
    assert (disk.stat().st_size, disk.stat().st_mode & 0o777) == (4 * MIB, 0o600)
    assert (disk.stat().st_blocks * 512 >= 4 * MIB) is (allocation is Allocation.RESERVED)
    with pytest.raises(Conflict):
        put_blank(disk, 4 * MIB, allocation)
    with disk.open("r+b", buffering=0) as file:
        assert to_be_formatted(file.fileno())
        file.seek(3 * MIB)
        file.write(b"x")
        assert not to_be_formatted(file.fileno())
        blank_again(file.fileno(), allocation)
        assert to_be_formatted(file.fileno()) and disk.read_bytes() == bytes(4 * MIB)
        fsync(file.fileno())
    assert (disk.stat().st_blocks * 512 >= 4 * MIB) is (allocation is Allocation.RESERVED)
    assert [path.name for path in tmp_path.iterdir()] == ["overlay.img"]


def test_where_nothing_can_be_zeroed_it_is_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(space, "zero", lambda descriptor, length: False)
    disk = tmp_path / "overlay.img"
    disk.write_bytes(secrets.token_bytes(MIB))
    with disk.open("r+b", buffering=0) as file:
        blank_again(file.fileno(), Allocation.RESERVED)
    assert disk.read_bytes() == bytes(MIB) and disk.stat().st_blocks * 512 >= MIB


@pytest.mark.parametrize(
    ("label", "ordered"), [(b"skinny-new", True), (b"skinny-overlay", False), (b"", False)]
)
def test_what_a_guest_began_it_may_begin_again(tmp_path: Path, label: bytes, ordered: bool) -> None:
    disk = tmp_path / "overlay.img"
    disk.write_bytes((b"LUKS\xba\xbe\0\2" + bytes(16) + label).ljust(MIB, b"\0"))
    with disk.open("rb", buffering=0) as file:
        assert to_be_formatted(file.fileno()) is ordered


@pytest.mark.parametrize(
    ("content", "opens"),
    [
        (b"", True),
        (b"x", False),
        (luks2_header(b"skinny-overlay", str(UUID(int=5))), True),
        (luks2_header(b"skinny-new", str(UUID(int=5))), True),
        (luks2_header(b"skinny-overlay", str(UUID(int=6))), False),
        (luks2_header(b"skinny-data", str(UUID(int=5))), False),
        (luks2_header(b"skinny-overlay", str(UUID(int=5)))[:190], False),
        (b"LUKS\xba\xbe\0\1" + luks2_header(b"skinny-overlay", str(UUID(int=5)))[8:], False),
    ],
)
def test_whose_a_disk_is(tmp_path: Path, content: bytes, opens: bool) -> None:
    disk = tmp_path / "overlay.img"
    disk.write_bytes(content.ljust(MIB, b"\0"))
    with disk.open("rb", buffering=0) as file:
        assert is_of(file.fileno(), UUID(int=5)) is opens


@pytest.mark.parametrize("text", ["random", "/etc/keys/web-01.key"])
def test_what_is_written(text: str) -> None:
    assert str(parse_encryption(text)) == text


@pytest.mark.parametrize("text", ["", "key", "Random", "./random", "/etc/../state/key", "/a\0b", "/a\nb"])
def test_what_is_no_path(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_encryption(text)
    assert refused.value.hint


def test_what_would_not_be_encrypted() -> None:
    overlay = Overlay(size=64 * MIB)
    check_encryption(Encryption(), overlay, None)
    check_encryption(None, Overlay(size=1), DataDisk(size=MIB, folders=("/data",)))
    with pytest.raises(UsageError, match="data disk is not encrypted"):
        check_encryption(Encryption(), overlay, DataDisk(size=MIB, folders=("/data",)))
    with pytest.raises(UsageError, match="too small"):
        check_encryption(Encryption(), Overlay(size=63 * MIB), None)
