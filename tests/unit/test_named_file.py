"""Files that somebody named: nothing waits, nothing is endless."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from skinnybox import named_file
from skinnybox.errors import SkinnyboxError, UsageError
from skinnybox.fleet.access import public_key
from skinnybox.fleet.catalog import host_kind
from skinnybox.fleet.catalog.completion import master_references
from skinnybox.fleet.paths import default_state, read_settings, state_folder
from skinnybox.fleet.settings import load
from skinnybox.fleet.spec.content import content_of
from skinnybox.fleet.spec.reading import load as load_fleet
from skinnybox.hosts import events
from skinnybox.hosts.guest_io.run_folder import tail
from skinnybox.hosts.local.store import Store
from skinnybox.hosts.xapi.address import parse, password
from skinnybox.json_file import read_json
from skinnybox.masters import kernel, manifest, recipe

WAITS = pytest.mark.timeout(60)


def fifo(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    return path


def test_all_or_the_beginning(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"0123456789")
    assert named_file.content(file, 10) == named_file.head(file, 99) == b"0123456789"
    assert named_file.head(file, 4) == b"0123"
    with pytest.raises(OSError, match="larger than 9 bytes"):
        named_file.content(file, 9)
    assert named_file.content(Path("/proc/self/status"), 1 << 20).startswith(b"Name:")  # of size 0


@WAITS
def test_what_is_no_regular_file(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
    (tmp_path / "link").symlink_to("/dev/zero")
    for path in (
        fifo(tmp_path / "fifo"),
        Path("/dev/zero"),
        Path("/dev/tty"),
        tmp_path / "socket",
        tmp_path / "link",
    ):
        with pytest.raises(OSError, match="not a regular file"):
            named_file.content(path, 10)
    with pytest.raises(IsADirectoryError):
        named_file.content(tmp_path, 10)
    with pytest.raises(FileNotFoundError):
        named_file.content(tmp_path / "absent", 10)


@WAITS
@pytest.mark.skipif(not os.access("/proc/kmsg", os.R_OK), reason="only root reads /proc/kmsg")
def test_what_is_regular_by_name_only() -> None:
    """It gives what the kernel said last, and then waits for ever."""
    with pytest.raises(OSError, match=r"waits for somebody|Operation not permitted|larger than"):
        named_file.content(Path("/proc/kmsg"), 64 << 20)


def _settings(folder: Path) -> object:
    fifo(folder / "skinnybox" / "config.toml")
    return read_settings({"XDG_CONFIG_HOME": str(folder)})


def _key(folder: Path) -> object:
    fifo(folder / "id_ed25519")
    fifo(folder / "id_ed25519.pub")
    return public_key(folder)


def _password(folder: Path) -> object:
    return password(parse(f"xapi://u@pool?password-file={fifo(folder / 'password')}"), {})


def _record(folder: Path) -> object:
    fifo(folder / "instances" / "0" / "instance.json")
    return list(Store(folder).records())


@WAITS
@pytest.mark.parametrize(
    "reader",
    [
        lambda folder: content_of(str(fifo(folder / "x")), folder),
        lambda folder: load_fleet(fifo(folder / "fleet.yaml")),
        lambda folder: recipe.load(fifo(folder / "recipe.yaml")),
        lambda folder: host_kind.noted(fifo(folder / "host").parent),
        lambda folder: manifest.from_manifest(fifo(folder / "manifest.json")),
        lambda folder: kernel.kernel_version(fifo(folder / "vmlinuz")),
        lambda folder: tail(fifo(folder / "console.log"), 10),
        _settings,
        _key,
        _password,
        _record,
    ],
)
def test_whoever_reads_a_fifo_says_so(reader: Callable[[Path], object], tmp_path: Path) -> None:
    with pytest.raises((SkinnyboxError, ValueError, OSError), match=r"not a regular file|is damaged"):
        reader(tmp_path)


@WAITS
def test_whoever_can_do_without_does(tmp_path: Path) -> None:
    assert read_json(fifo(tmp_path / "x.json")) is None
    fifo(tmp_path / "masters" / "0a" / "manifest.json")
    assert master_references(tmp_path) == []


def test_a_uid_without_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a container has it: no home, unless HOME says one."""

    def unknown(_: object) -> object:
        raise KeyError("uid not found")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match="no home is known"):
        default_state()
    with pytest.raises(UsageError, match="no home is known"):
        load({}, {})
    assert (
        load({}, {"state": "/there"}).state == state_folder({"SKINNYBOX_STATE": "/there"}) == Path("/there")
    )
    with pytest.raises(UsageError, match="no home is known"):
        load({}, {"state": "~nobody-of-that-name/x"})


def test_a_fifo_in_the_place_of_the_journal_is_passed_over(tmp_path: Path) -> None:
    """`repair` names it; what can be read of the events is read."""
    fifo(tmp_path / "events.jsonl")
    assert list(events.read(tmp_path)) == []
