"""Encrypted overlays, on a small system with a kernel of Debian: on disk, with other keys, grown, reset."""

import base64
import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import GuestFailed, NotFound
from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.settings import Settings
from skinnybox.fleet.specification import Specification
from skinnybox.fleet.view import Condition
from skinnybox.model import Allocation, Encryption, Overlay, Swap
from skinnybox.sizes import MIB
from tests.faults import small_guest
from tests.pace import within

SECONDS = 120.0
MARKER = "plaintext-that-nobody-reads"
ASK = "cat /srv/it 2>&1; df -m / | tail -n 1; echo asked-$((1 + 1))\n"

pytestmark = pytest.mark.skipif(
    run.find("cryptsetup") is None, reason="no cryptsetup (Debian: cryptsetup-bin)"
)


@pytest.fixture
def fleet(test_kernel: Path, tmp_path: Path) -> Iterator[Fleet]:
    """With the small guest as its master."""
    state = tmp_path / "state"
    small_guest.sealed(state / "masters", tmp_path, test_kernel)
    with open_fleet(Settings(state=state, reach=False)) as opened:  # its guests have host keys, and no sshd
        yield opened
        if opened.names():
            opened.delete(opened.names(), force=True)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "web.key"
    put(file, secrets.token_bytes(32))
    return file


def put(file: Path, key: bytes) -> None:
    file.write_bytes(key)
    file.chmod(0o600)


def make(fleet: Fleet, name: str, key: Path | None, allocation: Allocation) -> Path:
    overlay = Overlay(size=96 * MIB, allocation=allocation)
    encryption = Encryption(key_file=None if key is None else str(key))
    wanted = Specification(overlay=overlay, memory=192 * MIB, encrypt=encryption, swap=Swap(size=4 * MIB))
    (instance,) = fleet.create([name], "small", wanted)
    return fleet._catalog.path.parent / "instances" / str(instance.uuid) / "overlay.img"


def up(fleet: Fleet, name: str) -> None:
    started = fleet.start([name], timeout=within(SECONDS))[0]
    assert started.ok, (started.error, fleet.console_log(name).decode(errors="replace"))


def told(fleet: Fleet, name: str, line: str) -> str:
    """What the guest's shell says to it, up to the word `asked-2`."""
    with fleet.console(name) as console:
        console.settimeout(within(SECONDS))
        console.sendall(line.encode())
        said = b""
        while b"asked-2" not in said:
            said += console.recv(4096)
    return said.decode()


def mib(said: str) -> int:
    """Of its root, as it said to ASK."""
    return int(re.findall(r"\n\S+ +([0-9]+) ", said)[-1])


def down(fleet: Fleet, name: str) -> None:
    with fleet.console(name) as console:
        console.sendall(b"sync; poweroff -f\n")
    deadline = time.monotonic() + within(SECONDS)
    while fleet.machine(name).condition is not Condition.STOPPED:
        assert time.monotonic() < deadline, fleet.machine(name)
        time.sleep(0.1)


def digest(disk: Path) -> str:
    return hashlib.sha256(disk.read_bytes()).hexdigest()


def forms(key: bytes) -> list[bytes]:
    return [key, key.hex().encode(), base64.b64encode(key)]


def seen_by_others(secret: list[bytes]) -> list[str]:
    """Processes whose words or environment say it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        for part in ("cmdline", "environ"):
            try:
                text = (process / part).read_bytes()
            except OSError:
                continue
            found += [f"{process}/{part}" for form in secret if form in text]
    return found


def kept_in(state: Path, secret: list[bytes]) -> list[Path]:
    """Files of a state folder that say it."""
    files = [path for path in state.rglob("*") if path.is_file() and not path.is_socket()]
    return [path for path in files if any(form in path.read_bytes() for form in secret)]


def test_a_key_of_ones_own(fleet: Fleet, key: Path, tmp_path: Path) -> None:
    secret = forms(key.read_bytes())
    disk = make(fleet, "web", key, Allocation.SPARSE)
    assert disk.stat().st_blocks == 0
    up(fleet, "web")
    assert seen_by_others(secret) == [] and kept_in(tmp_path / "state", secret) == []
    small = mib(told(fleet, "web", f"echo {MARKER} >/srv/it; sync; {ASK}"))
    grown = fleet.overlays.grow(["web"], 128 * MIB)[0].value
    assert grown and grown.live and not grown.followed and "at its next start" in str(grown.why)
    assert mib(told(fleet, "web", ASK)) == small
    report = fleet.machine("web").current_report
    assert report is not None and report.swap
    down(fleet, "web")
    content = disk.read_bytes()
    assert content.startswith(b"LUKS\xba\xbe\0\2") and MARKER.encode() not in content
    assert b"skinny-overlay" in content[:4096] and b"skinny-new" not in content[:4096]

    up(fleet, "web")
    said = told(fleet, "web", ASK)
    assert MARKER in said and mib(said) > small + 20, said
    assert seen_by_others(secret) == [] and kept_in(tmp_path / "state", secret) == []
    down(fleet, "web")

    before = digest(disk)
    put(key, secrets.token_bytes(32))
    refused = fleet.start(["web"], timeout=within(SECONDS))[0].error
    assert isinstance(refused, GuestFailed) and "key does not open" in refused.message
    fleet.kill(["web"])
    key.unlink()
    assert isinstance(fleet.start(["web"])[0].error, NotFound)
    assert digest(disk) == before

    put(key, secret[0])
    assert fleet.overlays.grow(["web"], 160 * MIB)[0].ok
    up(fleet, "web")
    said = told(fleet, "web", ASK)
    assert MARKER in said and mib(said) > 110, said
    down(fleet, "web")

    header = disk.read_bytes()[:MIB]
    assert fleet.overlays.reset(["web"])[0].ok
    assert disk.stat().st_blocks == 0
    up(fleet, "web")
    assert MARKER not in told(fleet, "web", ASK)
    down(fleet, "web")
    assert disk.read_bytes()[:MIB] != header


@pytest.mark.full
@pytest.mark.parametrize("allocation", list(Allocation))
def test_a_new_key_at_each_start(fleet: Fleet, allocation: Allocation) -> None:
    disk = make(fleet, "kiosk", None, allocation)
    up(fleet, "kiosk")
    assert "asked-2" in told(fleet, "kiosk", f"echo {MARKER} >/srv/it; sync; {ASK}")
    keys = fleet.machine("kiosk").host_keys
    fleet.kill(["kiosk"])
    assert MARKER.encode() not in disk.read_bytes()
    first = disk.read_bytes()[:MIB]
    up(fleet, "kiosk")
    assert MARKER not in told(fleet, "kiosk", ASK)
    assert fleet.machine("kiosk").host_keys not in ((), keys)
    assert disk.read_bytes()[:MIB] != first
    if allocation is Allocation.RESERVED:
        assert disk.stat().st_blocks * 512 >= 96 * MIB


@pytest.mark.full
def test_what_is_not_ours_is_left_as_it_is(fleet: Fleet, key: Path) -> None:
    """One that holds something, and is not encrypted; and another machine's."""
    disk = make(fleet, "web", key, Allocation.SPARSE)
    with disk.open("r+b") as file:
        file.seek(3 * MIB)
        file.write(os.urandom(4096))
    before = digest(disk)
    refused = fleet.start(["web"], timeout=within(SECONDS))[0].error
    assert isinstance(refused, GuestFailed) and "no order to format" in refused.message, refused
    assert digest(disk) == before
    fleet.kill(["web"])
    with disk.open("r+b") as file:
        file.write(os.urandom(4096))
    before = digest(disk)
    refused = fleet.start(["web"], timeout=within(SECONDS))[0].error
    assert isinstance(refused, GuestFailed) and "neither blank nor encrypted" in refused.message, refused
    assert digest(disk) == before
