"""dpkg's status, merged by package."""

from hypothesis import given
from hypothesis import strategies as st

from skinnybox.delta.rebase.packages import Settled, settled, versions
from skinnybox.delta.rebase.status import merged
from skinnybox.delta.rebase.values import Fate
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
        b"Package: own", b"Status: install ok installed",
        b"Package: redis", b"Status: install ok installed",
    ]  # fmt: skip


def test_what_is_held_stays_held_and_what_was_not_purged_is_known() -> None:
    held = _text({"p": "1"}, "hold ok installed")
    assert b"Status: hold ok installed" in _merged({"p": "1"}, {"p": "1"}, held)
    gone = _text({"p": "1"}, "deinstall ok config-files")
    assert _merged({"p": "1"}, {"p": "2"}, gone) == gone
    assert _merged({}, {}, gone) == gone
    assert _merged({"p": "1"}, {"p": "2"}, b"") == b""


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
