"""Any two things of a machine that change together in its file: one apply does both, there and back again."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from skinnybox.fleet.spec.shape import Group
from skinnybox.hosts.fake.host import FakeHost
from tests.fleet.fleetfile import File
from tests.samples import PUBLIC_KEY

HEAD = (
    "version: 1\nfleet: widgets\n"
    "defaults: {master: tiny, sparse: true, overlay: 64M, memory: 512M}\nmachines:\n"
)
CHANGES = {
    "memory": ("512M", "1G"),
    "cpus": ("2", "3"),
    "network": ("open", "passt"),
    "bridge": ("br0", "br1"),
    "autostart": ("true", "false"),
    "forwards": ("['{port}:80']", "['127.0.0.2:{port}:80']"),
    "protected": ("true", "false"),
    "labels": ("{{a: b}}", "{{a: c}}"),
    "user": ("root", "admin"),
    "ssh_keys": ("[]", f"['{PUBLIC_KEY}']"),
    "files": ("[{{target: /a, content: b}}]", "[{{target: /a, content: c}}]"),
    "run_once": ("'true'", "'false'"),
    "hostname": ("'{{name}}-a'", "'{{name}}-b'"),
    "address": ("10.{net}.0.1/24", "10.{net}.0.2/24"),
    "nics": ("[{{bridge: br0}}]", "[{{bridge: br1, address: 10.{net}.1.1/24}}]"),
    "users": ("[]", "[{{name: deploy}}]"),
    "timezone": ("UTC", "Europe/Berlin"),
    "locale": ("C.UTF-8", "de_DE.UTF-8"),
    "ntp": ("[192.0.2.7]", "[192.0.2.8]"),
    "swap": ("16M", "24M"),
    "throw_away": ("'memory:128M'", "'memory:256M'"),
    "check": ("'true'", "'test -e /run/up'"),
    "overlay": ("64M", "96M"),
    "data": ("{{size: 32M, folders: [/data]}}", "{{size: 33M, folders: [/data, /srv/x]}}"),
}
"""Of each key of the file, what it says first and what then."""
TOGETHER = {
    ("memory", "throw_away"): (("256M", "'memory:128M'"), ("1G", "'memory:512M'")),
    ("swap", "overlay"): (("16M", "64M"), ("48M", "96M")),
}
"""Each of these values fits only the other one beside it."""
ONE_WAY = {"overlay", "data"}
NOT_HERE = {
    "master", "layers", "sparse", "dax", "encrypt", "state", "values", "addresses", "gateway", "dns",
    "replay",
}  # fmt: skip
"""What no plan changes, what is part of another key, and how a master changes."""
NOT_ON_THIS_HOST = {"follow_name", "user_data"}
EXCLUSIVE = ({"network", "bridge"}, {"forwards", "bridge"})

PAIRS = [pair for pair in combinations(CHANGES, 2) if set(pair) not in EXCLUSIVE]


@pytest.fixture(autouse=True)
def _features(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guests are told their seeds, as on a pool: writing them into some hundred overlays takes minutes."""
    bridges = frozenset({"br0", "br1"})
    monkeypatch.setattr(FakeHost, "features", replace(FakeHost.features, bridges=bridges, tells=1 << 20))


def groups(now: int, *, back: bool = False) -> Iterator[str]:
    """A machine for each pair, with what is said of it first (0) or then (1)."""
    for number, pair in enumerate(PAIRS):
        said = TOGETHER.get(pair) or tuple(zip(*(CHANGES[key] for key in pair), strict=True))
        values = (said[1 if back and key in ONE_WAY else now][place] for place, key in enumerate(pair))
        words = ", ".join(f"{key}: {value}" for key, value in zip(pair, values, strict=True))
        yield f"  m-{number}: {{{words.format(net=number, port=9000 + number)}}}\n"


def test_every_key_is_here() -> None:
    assert CHANGES.keys() | NOT_HERE | NOT_ON_THIS_HOST == Group.model_fields.keys()


def test_two_changes_at_once_are_done_by_one_apply(file: File) -> None:
    """Memory and what of it is thrown away never were: each was refused for what the other still was."""
    file.write(HEAD + "".join(groups(0)))
    assert all(outcome.ok for outcome in file.apply())
    assert file.plan() == []
    for text in ("".join(groups(1)), "".join(groups(0, back=True))):
        file.write(HEAD + text)
        assert len({line.split()[1] for line in file.plan()}) >= len(PAIRS) - 1  # one has only grown
        assert [str(outcome.error) for outcome in file.apply() if not outcome.ok] == []
        assert file.plan() == []


def test_each_change_is_done_of_one_that_is_encrypted(
    file: File, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it may need to read its overlay, or to write there."""
    monkeypatch.setattr(FakeHost, "features", replace(FakeHost.features, tells=0))
    key = tmp_path / "a.key"
    key.write_bytes(bytes(range(64)))
    key.chmod(0o600)
    each = [name for name in CHANGES if name != "data"]
    file.write(HEAD + "".join(_encrypted(each, 0, key)))
    assert [str(outcome.error) for outcome in file.apply() if not outcome.ok] == []
    for text in ("".join(_encrypted(each, 1, key)), "".join(_encrypted(each, 0, key, back=True))):
        file.write(HEAD + text)
        assert len({line.split()[1] for line in file.plan()}) >= len(each) - 1  # one has only grown
        assert [str(outcome.error) for outcome in file.apply() if not outcome.ok] == []
        assert file.plan() == []


def _encrypted(each: list[str], now: int, key: Path, *, back: bool = False) -> Iterator[str]:
    for number, name in enumerate(each):
        said = CHANGES[name][1 if back and name in ONE_WAY else now]
        words = f"encrypt: {key}, {name}: {said.format(net=number, port=9000 + number)}"
        yield f"  m-{number}: {{{words}}}\n"
