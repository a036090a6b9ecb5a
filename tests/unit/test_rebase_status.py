"""dpkg's status, merged by package."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skinnybox.delta.rebase.packages import Settled, settled, versions
from skinnybox.delta.rebase.records.status import merged
from skinnybox.delta.rebase.values import Fate
from skinnybox.errors import Corrupt
from skinnybox.masters.system import dpkg
from skinnybox.masters.system.source import Notes
from skinnybox.masters.system.values import System
from tests.unit.rebased import a_system

Side = dict[str, str]


def _text(side: Side, status: str = "install ok installed") -> bytes:
    return "".join(
        f"Package: {name}\nStatus: {status}\nArchitecture: amd64\nVersion: {version}\n"
        f"Description: {name}\n more\n .\n\n"
        for name, version in side.items()
    ).encode()


class Database:
    def __init__(self, text: bytes) -> None:
        self._text = text

    def names(self, folder: str) -> list[str]:
        return []

    def links(self, folder: str) -> dict[str, str]:
        return {}

    def read(self, path: str, limit: int) -> bytes | None:
        return self._text if path == dpkg.STATUS else None


def _read(text: bytes) -> System:
    return a_system(*(dpkg.packages(Database(text), Notes()) or ()))


def _settled(old: Side, new: Side, machine: bytes) -> dict[str, Settled]:
    sides = _read(_text(old)), _read(_text(new)), _read(machine)
    return {each.name: settled(each, Fate.KEEP) for each in versions(*sides)}


def _merged(old: Side, new: Side, machine: Side | bytes) -> bytes:
    text = machine if isinstance(machine, bytes) else _text(machine)
    return merged(_text(new), text, _settled(old, new, text))


def test_the_database_says_what_runs() -> None:
    """T2: after a merge of files it said 2.4.68, and 2.4.71 ran. T4: and its scripts had not."""
    text = _merged(
        {"apache2": "2.4.68"}, {"apache2": "2.4.71", "redis": "7"}, {"apache2": "2.4.68", "own": "1"}
    )
    assert text.decode().split("\n\n")[0].split("\n") == [
        "Package: apache2", "Status: install ok unpacked", "Config-Version: 2.4.68", "Architecture: amd64",
        "Version: 2.4.71", "Description: apache2", " more", " .",
    ]  # fmt: skip
    assert [line for line in text.split(b"\n") if line.startswith((b"Package", b"Status"))] == [
        b"Package: apache2", b"Status: install ok unpacked",
        b"Package: redis", b"Status: install ok installed",
        b"Package: own", b"Status: install ok installed",
    ]  # fmt: skip


def test_what_is_held_stays_held_and_what_was_not_purged_is_known() -> None:
    held = _text({"p": "1"}, "hold ok installed")
    assert b"Status: hold ok installed" in _merged({"p": "1"}, {"p": "1"}, held)
    gone = _text({"p": "1"}, "deinstall ok config-files")
    assert _merged({"p": "1"}, {"p": "2"}, gone) == gone
    assert _merged({}, {}, gone) == gone
    assert _merged({"p": "1"}, {"p": "2"}, b"") == b""


def _one(state: str, version: str, **fields: str) -> bytes:
    lines = [f"{name.replace('_', '-')}: {text}" for name, text in fields.items()]
    head = ["Package: p", "Essential: yes", f"Status: {state}", *lines, "Architecture: amd64"]
    return "\n".join([*head, f"Version: {version}", "Conffiles:", " /etc/p 0", "", ""]).encode()


NEW = "install ok installed"


@pytest.mark.parametrize(
    ("machine", "version", "fields", "wanted"),
    [
        # What was configured last is told to the scripts, not what was unpacked last.
        ("install ok unpacked", "1", {"Config_Version": "0"}, ["install ok unpacked", "0"]),
        ("install ok unpacked", "1", {}, ["install ok unpacked", None]),
        ("install reinstreq half-installed", "1", {"Config_Version": "0"}, ["install ok unpacked", "0"]),
        ("hold ok installed", "1", {}, ["hold ok unpacked", "1"]),
        ("deinstall ok installed", "1", {}, ["deinstall ok unpacked", "1"]),
        # dpkg refuses a database in which what is unpacked waits for triggers.
        ("install ok triggers-pending", "1", {"Triggers_Pending": "a b"}, ["install ok unpacked", "1"]),
        ("install ok triggers-awaited", "1", {"Triggers_Awaited": "q"}, ["install ok unpacked", "1"]),
        # Of the same version only what dpkg has yet to do there counts.
        ("hold ok installed", "2", {}, ["hold ok installed", None]),
        ("install ok unpacked", "2", {"Config_Version": "1"}, ["install ok unpacked", "1"]),
        ("install ok half-configured", "2", {}, ["install ok half-configured", None]),
        ("install reinstreq half-installed", "2", {}, ["install reinstreq half-installed", None]),
        (
            "install ok triggers-pending",
            "2",
            {"Triggers_Pending": "a b"},
            ["install ok triggers-pending", None],
        ),
        # Of one that was removed, and that the new master brings, the machine has the configuration.
        ("deinstall ok config-files", "1", {"Config_Version": "1"}, ["install ok unpacked", "1"]),
        ("deinstall ok config-files", "1", {}, ["install ok unpacked", "1"]),
    ],
)
def test_what_dpkg_has_yet_to_do(
    machine: str, version: str, fields: dict[str, str], wanted: list[str | None]
) -> None:
    gone = machine.endswith("config-files")
    old = b"" if gone or version == "2" else _one(NEW, "1")
    three = _read(old), _read(_one(NEW, "2")), _read(text := _one(machine, version, **fields))
    decided = {each.name: settled(each, Fate.TAKE) for each in versions(*three)}
    found = merged(_one(NEW, "2"), text, decided).decode()
    told = dict(line.split(": ", 1) for line in found.splitlines() if ": " in line)
    assert [told["Status"], told.get("Config-Version")] == wanted
    assert told["Version"] == "2" and found.count("Status:") == 1
    triggers = {name: text for name, text in told.items() if name.startswith("Triggers")}
    assert triggers == ({"Triggers-Pending": "a b"} if told["Status"].endswith("pending") else {})


def test_what_changes_nothing_is_the_masters_byte_for_byte() -> None:
    """Then the machine needs no copy: in most masters some stanzas do not have their state in the second
    line."""
    other = _text({"a": "1"})
    assert _merged_text(_one(NEW, "1") + other, other + _one(NEW, "1")) == _one(NEW, "1") + other


def _merged_text(new: bytes, machine: bytes) -> bytes:
    decided = {each.name: settled(each) for each in versions(_read(machine), _read(new), _read(machine))}
    return merged(new, machine, decided)


def test_hostile_databases_end() -> None:
    """What the reader of packages passes over is passed over here as well."""
    odd = (
        b"Package: p\nPackage: q\nStatus: install ok installed\nStatus: hold ok installed\n"
        b"Architecture: amd64\nVersion: 1\nVersion: 2\nDescription: \0\xff\n\n"
        b"Package: big\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n"
        + b" x\n" * 300_000
        + b"\n" * 300_000
        + b"Package: \nStatus: a b c d\n\n\t\n \nStatus\n\n"
    )
    before = time.process_time()
    found = _merged_text(_text({"big": "2"}), odd)
    assert [line for line in found.split(b"\n") if line.startswith((b"Package:", b"Config"))][:2] == [
        b"Package: big", b"Config-Version: 1",
    ]  # fmt: skip
    with pytest.raises(Corrupt, match="/var/lib/dpkg/status has more than"):
        merged(b"", b"".join(b"Package: p%d\nVersion: 1\n\n" % n for n in range(65_000)), {})
    assert time.process_time() - before < 60


def test_what_is_no_stanza_is_left_out() -> None:
    odd = (
        b"\n\nNo: package\n\n"
        + _text({"p": "1"})
        + b"\n\n\nVersion: 1\nPackage: late\nStatus: install ok installed\n"
    )
    found = _merged({"p": "1"}, {"p": "1"}, odd)
    assert _read(found).packages == _read(odd).packages and b"No:" not in found


SIDE = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["1", "2", "3"]), max_size=4)


@given(SIDE, SIDE, SIDE)
def test_random_sets(old: Side, new: Side, machine: Side) -> None:
    """Every package is there once, in the version that was decided; unpacked where that is another than the
    machine configured, with what it configured."""
    text = _merged(old, new, machine)
    found = {p.name: p for p in _read(text).packages or ()}
    assert text.count(b"Package: ") == len(found)
    for name, each in _settled(old, new, _text(machine)).items():
        sides = {Fate.TAKE: new, Fate.KEEP: machine, Fate.HIDE: {}}
        wanted = sides[each.fate].get(name)
        assert (found[name].version if name in found else None) == wanted
        if wanted is not None:
            changed = name in machine and machine[name] != wanted
            assert found[name].status.endswith("unpacked") == changed
            assert (f"Config-Version: {machine.get(name)}\n".encode() in text) >= changed
