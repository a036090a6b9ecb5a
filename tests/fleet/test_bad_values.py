"""One table of bad values, through every door: the command line of create and set, a fleet file, the service.
Each is refused in plain words, with nothing made."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox.cli import numbers
from skinnybox.errors import Conflict, SkinnyboxError, UsageError
from skinnybox.fleet.change import Changes
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.specification import Specification
from skinnybox.model import Network, Nic, Overlay, SeedFile, StaticNetwork
from skinnybox.sizes import GIB, MIB
from tests.fleet.conftest import SPARSE, said

OVERLAY = Overlay(size=64 * MIB)
DIGITS = "9" * 400
BAD = {
    "cpus": ("0", "-1", "256", "1.5", "many", "", DIGITS, "٣"),
    "memory": ("0", "127M", "900000T", "-1G", "1e9", "nan", "", DIGITS, f"{DIGITS}T", "1G1G"),
    "overlay": ("0", "31M", "2000T", "900000T", "-1G", "", DIGITS, f"1.{DIGITS}G"),
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in BAD.items() for value in values])
def test_a_number_that_is_none_comes_in_by_no_door(
    fleet: Fleet, state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str, value: str
) -> None:
    fleet.create(["there"], "tiny", SPARSE)
    before = fleet.machine("there").instance
    line = ("--state", str(state), "--host", "fake")
    file = tmp_path / "fleet.yaml"
    file.write_text(f"version: 1\nfleet: f\nmachines:\n  web: {{master: tiny, {key}: {value!r}}}\n")
    lines = [
        ("create", "web", "-m", "tiny", f"--{key}={value}"),
        ("plan", str(file)),
        ("apply", "-y", str(file)),
        ("grow", "there", value) if key == "overlay" else ("set", "there", f"--{key}={value}"),
    ]
    for words in lines:
        ended = said(capsys, *line, *words)
        assert ended.code == 2, (words, ended)
        assert "Traceback" not in ended.err and "this is a bug" not in ended.err, words
        assert len(ended.err) < 3000, words
    assert [machine.instance for machine in fleet.machines()] == [before]


@pytest.mark.parametrize(
    "said_of_it",
    [{"cpus": 0}, {"cpus": 256}, {"memory": 127 * MIB}, {"memory": 1 << 51}, {"overlay": Overlay(size=MIB)}],
    ids=str,
)
def test_a_specification_out_of_range_cannot_be_made(said_of_it: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=r"is from .* to"):
        Specification(**{"overlay": OVERLAY, **said_of_it})  # type: ignore[arg-type]


def test_a_time_may_have_any_fraction() -> None:
    """As a script counts it: Python prints up to 17 digits."""
    assert numbers.seconds("330.61323780020757") == 330.61323780020757
    assert numbers.seconds(".5") == 0.5 and numbers.seconds("0") == 0.0


WAITS = ("nan", "inf", "-1", "1e400", "", "x", DIGITS)


@pytest.mark.parametrize("value", WAITS)
def test_a_time_that_is_none_is_refused(
    fleet: Fleet, state: Path, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    fleet.create(["there"], "tiny", SPARSE)
    for words in (["start", "there"], ["stop", "there"], ["wait", "there"], ["restart", "there"]):
        ended = said(capsys, "--state", str(state), "--host", "fake", *words, f"--timeout={value}")
        assert ended.code == 2 and "is no number of seconds" in ended.err, (words, ended)
    assert not fleet._host.statuses()


@pytest.mark.parametrize(
    "words",
    [
        ("start", "there", "--parallel=0"),
        ("start", "there", "--parallel=-3"),
        ("start", "there", f"--parallel={DIGITS}"),
        ("master", "gc", "--keep=-1"),
        ("capacity", "--machines=0"),
        ("capacity", "--fit=0"),
        ("capacity", f"--fit={DIGITS}"),
        ("set", "there", "--ssh-port=0"),
        ("set", "there", "--ssh-port=70000"),
        ("set", "there", "--ssh-port=22"),
    ],
    ids=" ".join,
)
def test_a_count_that_is_none_is_refused(
    fleet: Fleet, state: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    fleet.create(["there"], "tiny", SPARSE)
    before = fleet.machine("there").instance
    ended = said(capsys, "--state", str(state), "--host", "fake", *words)
    assert ended.code == 2 and len(ended.err) < 2000, ended
    assert fleet.machine("there").instance == before and not fleet._host.statuses()


KEY = "ssh-ed25519 " + "A" * 68
PARTS: dict[str, dict[str, object]] = {
    "a private key": {"authorized_keys": ("-----BEGIN OPENSSH PRIVATE KEY-----",)},
    "no key": {"authorized_keys": ("hello",)},
    "a key of two lines": {"authorized_keys": (f"{KEY}\nhello",)},
    "a relative path": {"files": (SeedFile(path="etc/motd", content=b""),)},
    "a path that climbs": {"files": (SeedFile(path="/etc/../x", content=b""),)},
    "a mode": {"files": (SeedFile(path="/x", content=b"", mode=0o10000),)},
    "an owner": {"files": (SeedFile(path="/x", content=b"", owner="root"),)},
    "one target twice": {"files": (SeedFile(path="/x", content=b""), SeedFile(path="/x", content=b"1"))},
    "too much": {"files": (SeedFile(path="/x", content=random.Random(1).randbytes(9 * MIB)),)},
    "an address without a prefix": {"static_network": StaticNetwork(address="10.0.0.1")},
    "no address": {"static_network": StaticNetwork(address="10.0.0.300/24")},
    "a gateway of another family": {
        "static_network": StaticNetwork(address="10.0.0.3/24", gateway="fe80::1")
    },
    "no name server": {"static_network": StaticNetwork(address="10.0.0.3/24", dns=("here",))},
    "a script that is no text": {"run_once": "\udc80"},
    "a user": {"ssh_user": "Root", "authorized_keys": (KEY,)},
}


@pytest.mark.parametrize("what", PARTS)
def test_a_seed_that_cannot_be_is_refused_before_anything_is_made(fleet: Fleet, what: str) -> None:
    specification = Specification(overlay=OVERLAY, memory=256 * MIB, **PARTS[what])  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        fleet.create(["web"], "tiny", specification)
    assert fleet.names() == [] and list(fleet._host.records()) == []


@pytest.mark.parametrize("option", ["--run-once", "--ssh-key"])
def test_a_file_that_should_be_text_and_is_none(
    fleet: Fleet, state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(bytes(range(256)))
    line = ("--state", str(state), "--host", "fake", "create", "web", "-m", "tiny", option, str(binary))
    ended = said(capsys, *line)
    assert ended.code == 2 and "is no text" in ended.err and fleet.names() == []


def test_more_memory_than_the_host_has(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    features = replace(fleet._host.features, memory=GIB)
    monkeypatch.setattr(type(fleet._host), "features", features)
    with pytest.raises(UsageError, match=r"2\.0G of memory is more than this host has: 1\.0G"):
        fleet.create(["web"], "tiny", Specification(overlay=OVERLAY, memory=2 * GIB))
    fleet.create(["web"], "tiny", SPARSE)
    too_much: Changes = {"memory": 2 * GIB}
    [outcome] = fleet.set(["web"], too_much)
    assert isinstance(outcome.error, SkinnyboxError) and "more than this host has" in outcome.error.message


def test_an_address_of_another_machine_on_the_same_bridge(fleet: Fleet) -> None:
    network = StaticNetwork(address="10.0.0.3/24")
    wanted = replace(SPARSE, static_network=network, network=Network.BRIDGE, bridge="br0")
    fleet.create(["web"], "tiny", wanted)
    with pytest.raises(Conflict, match=r"10\.0\.0\.3 on br0 is the address of web"):
        fleet.create(["other"], "tiny", replace(wanted, static_network=StaticNetwork(address="10.0.0.3/16")))
    fleet.create(["other"], "tiny", replace(wanted, static_network=StaticNetwork(address="10.0.0.30/24")))
    assert fleet.create(["web"], "tiny", wanted, skip_existing=True) == []
    fleet.create(["alone"], "tiny", replace(SPARSE, static_network=network))
    fleet.create(["too"], "tiny", replace(SPARSE, static_network=network))
    twice = replace(wanted, static_network=StaticNetwork(address="10.0.0.60/24"))
    with pytest.raises(UsageError, match="would be the address of 2 cards"):
        cards = (Nic(bridge="br0", network=StaticNetwork(address="10.0.0.61/24")),)
        fleet.create(["x-{1..2}"], "tiny", replace(twice, nics=cards))
    with pytest.raises(Conflict, match="is the address of web"):
        fleet.create(["x"], "tiny", replace(twice, nics=(Nic(bridge="br0", network=network),)))
    moved = Changes(network=Network.BRIDGE, bridge="br0")
    [outcome] = fleet.set(["too"], moved)
    assert isinstance(outcome.error, Conflict) and "is the address of web" in outcome.error.message
    assert fleet.machine("too").instance.bridge is None
    assert [outcome.error for outcome in fleet.set(["web"], Changes(memory=GIB))] == [None]
