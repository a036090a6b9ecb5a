"""Whose number moves, so that no file is somebody else's afterwards."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skinnybox.delta.rebase.accounts import numbers, ownership
from skinnybox.delta.rebase.subordinate import Range, merged, ranges
from skinnybox.delta.rebase.subordinate import decisions as overlaps
from skinnybox.delta.rebase.values import Standing, Subject
from tests.unit.rebased import accounts_of, d, decided, f, told

Names = dict[str, int]


def _moved(old: Names, new: Names, machine: Names) -> tuple[dict[int, int], list[str]]:
    found, said = numbers(old, new, machine, Subject.USER)
    return dict(found.moved), [f"{d.name} {d.kind} {d.fate}" for d in said if d.standing is Standing.CLEAN]


def _refused(old: Names, new: Names, machine: Names) -> list[str]:
    _, said = numbers(old, new, machine, Subject.USER)
    return [f"{d.name}: {d.detail}" for d in said if d.standing is Standing.BLOCKED]


def test_two_packages_more_in_a_recipe_move_a_machine_that_touched_nothing() -> None:
    """T1: the setgid program of _ssh would be redis's, and the secrets of sshd readable for another."""
    old = accounts_of({"root": 0, "sshd": 101}, {"_ssh": 107})
    new = accounts_of({"root": 0, "redis": 101, "sshd": 102}, {"redis": 107, "_ssh": 108})
    owners, said = ownership(old, new, old)
    assert (owners.users.moved, owners.groups.moved) == ({101: 102}, {107: 108})
    assert ("sshd", "101 -> 102") in [(each.name, each.detail) for each in said]
    _, _, key = decided({"srv/key": f(uid=101, gid=107)}, {}, {}, ownership=owners)
    assert (key.name, key.owner) == ("srv/key", "101:107 -> 102:108")


def test_what_only_differs_by_the_masters_numbers_is_no_change() -> None:
    """A setuid program of the old master, copied up by a chmod and back: the new one's is the same."""
    owners, _ = ownership(
        accounts_of({"s": 101}, {}), accounts_of({"s": 102}, {}), accounts_of({"s": 101}, {})
    )
    old, new = {"usr/bin/s": f("x", uid=101, mode=0o4755)}, {"usr/bin/s": f("x", uid=102, mode=0o4755)}
    assert told(old, old, new, ownership=owners) == {"usr/bin/s": "no change: take"}
    assert told({"usr/bin/s": f("y", uid=101, mode=0o4755)}, old, new, ownership=owners) == {
        "usr/bin/s": "changed: keep"
    }


def test_a_folder_that_is_kept_for_its_contents_is_renumbered_too() -> None:
    owners, _ = ownership(
        accounts_of({"s": 101}, {}), accounts_of({"s": 102}, {}), accounts_of({"s": 101}, {})
    )
    found = decided({"var/s": d(uid=101)}, {"var/s": d(uid=101)}, {}, ownership=owners)
    assert [(each.name, each.fate, each.owner) for each in found] == [("var/s", "renumber", "101:0 -> 102:0")]


@pytest.mark.parametrize(
    ("old", "new", "machine", "moved"),
    [
        ({"a": 104, "b": 105}, {"a": 105, "b": 104}, {"a": 104, "b": 105}, {104: 105, 105: 104}),
        # The machine's own redis, and the new master's.
        ({}, {"redis": 105}, {"redis": 999}, {999: 105}),
        # Another of the new master has the machine's number: it gets the first that is free.
        ({}, {"redis": 400}, {"own": 400, "more": 401}, {400: 402}),
        ({}, {"alice": 1000}, {"bob": 1000}, {1000: 1001}),
        # One that the new master has no more, and whose number is given away.
        ({"gone": 110}, {"mysql": 110}, {"gone": 110}, {110: 400}),
        ({"a": 104}, {"a": 110}, {"a": 104, "twin": 104}, {104: 110}),
        ({"a": 104}, {"a": 104}, {"a": 500}, {500: 104}),
        ({}, {}, {"own": 500}, {}),
    ],
)
def test_numbers(old: Names, new: Names, machine: Names, moved: dict[int, int]) -> None:
    assert _moved(old, new, machine)[0] == moved
    assert _refused(old, new, machine) == []


@pytest.mark.parametrize(
    ("new", "machine", "why"),
    [
        ({"root": 0}, {"root": 5}, "root: 5 in the machine and 0"),
        ({"a": 1, "b": 2}, {"a": 104, "b": 104}, "b: 104 has two names"),
        ({"a": 110, "b": 110}, {"a": 104, "b": 105}, "a: a (104), b (105) would all be 110"),
        (
            {f"n{n}": n for n in range(400, 1000)},
            {"own": 400},
            "own: 400 is n400's there, and no",
        ),
    ],
)
def test_what_no_number_can_put_right_blocks(new: Names, machine: Names, why: str) -> None:
    (said,) = _refused({}, new, machine)
    assert said.startswith(why)


def test_what_becomes_of_accounts_is_told() -> None:
    old, new, machine = {"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 2, "d": 4}, {"a": 1, "c": 3, "own": 500}
    assert _moved(old, new, machine)[1] == ["b removed hide", "c kept keep", "d new take"]


def test_files_of_whom_the_machine_removed_stay_nobodys() -> None:
    """The new master's account is not there either, so nobody has to chown them first."""
    was = accounts_of({"ftp": 108}, {})
    owners, _ = ownership(was, accounts_of({"ftp": 108}, {}), accounts_of({}, {}))
    assert {each.standing for each in decided({"srv/a": f(uid=108)}, {}, {}, ownership=owners)} == {"clean"}


def test_files_of_nobody_at_a_number_that_one_of_the_machine_gets_block() -> None:
    owners, _ = ownership(accounts_of({}, {}), accounts_of({"new": 500}, {}), accounts_of({"own": 500}, {}))
    found = decided({"srv/a": f(uid=400), "srv/b": f(uid=500)}, {}, {}, ownership=owners)
    (said,) = [each for each in found if each.standing is Standing.BLOCKED]
    assert owners.users.of(500) == 400 and said.name == "own"
    assert said.detail.startswith("1 files, such as /srv/a, are 400's, which nobody is in the machine")


def test_files_of_nobody_who_would_be_somebody_block() -> None:
    """A tar unpacked with the numbers of elsewhere."""
    owners, _ = ownership(accounts_of({}, {}), accounts_of({"mysql": 555}, {}), accounts_of({}, {}))
    found = decided({"srv/a": f(uid=555), "srv/b": f(uid=556), "srv/c": f(uid=555)}, {}, {}, ownership=owners)
    (said,) = [each for each in found if each.standing is Standing.BLOCKED]
    assert (said.subject, said.name) == ("user", "mysql") and said.detail.startswith(
        "2 files, such as /srv/a, are 555"
    )


NUMBER = st.sampled_from([0, 100, 101, 102, 400, 401, 402, 1000, 1001])
SIDE = st.dictionaries(st.sampled_from(["root", "a", "b", "c", "d", "e"]), NUMBER, max_size=6)


@given(SIDE, SIDE, SIDE)
def test_no_two_become_one_and_none_another(old: Names, new: Names, machine: Names) -> None:
    """By a model of what matters: a file of a name is that name's afterwards, and nobody else's."""
    found, said = numbers(old, new, machine, Subject.USER)
    if any(each.standing is Standing.BLOCKED for each in said):
        return
    after = {name: found.of(number) for name, number in machine.items()}
    for name, number in after.items():
        if name in new:
            assert number == new[name]
        else:
            twins = [other for other, its in machine.items() if its == machine[name]]
            theirs = [other for other, its in new.items() if its == number]
            assert not theirs or set(theirs) & set(twins) or number == 0
    assert len({found.of(number) for number in machine.values()}) == len(set(machine.values()))


# --- subordinate ids


def test_ranges_are_read_as_far_as_they_can_be_believed() -> None:
    text = b"alice:100000:65536\nbob:1:2:3\n:1:2\nx:99999999999:1\ny:4294967295:2\nz:5:0\n \xff:7:1\nw:-1:5\n"
    assert [(each.name, each.start) for each in ranges(text)] == [("alice", 100000), ("\udcff", 7)]
    assert len(ranges(b"a:1:1\n" * 50_000)) == 20_000


def test_ranges_of_two_that_overlap_block() -> None:
    """Nobody can renumber what lies in a container."""
    mine, theirs = ranges(b"alice:100000:65536\n"), ranges(b"bob:100000:65536\n")
    (said,) = overlaps("/etc/subuid", [], theirs, mine)
    assert said.standing is Standing.BLOCKED and "overlaps 100000:65536 of" in said.detail
    assert list(overlaps("/etc/subuid", [], ranges(b"bob:165536:65536\n"), mine)) == []
    assert list(overlaps("/etc/subuid", theirs, theirs, [*mine, *theirs])) == []  # as it is today
    assert [each.name for each in merged([], theirs, mine)] == ["alice", "bob"]
    assert merged([], ranges(b"alice:7:7\n"), mine) == mine


RANGE = st.builds(
    lambda n, s, c: f"{n}:{s}:{c}\n".encode(), st.sampled_from("ab"), st.integers(1, 20), st.integers(1, 9)
)


@given(st.lists(RANGE, max_size=3), st.lists(RANGE, max_size=3))
def test_nothing_that_overlaps_is_passed_over(mine: list[bytes], theirs: list[bytes]) -> None:
    machine, new = ranges(b"".join(mine)), ranges(b"".join(theirs))
    both = merged([], new, machine)
    before = _pairs(machine)
    assert bool(list(overlaps("f", [], new, machine))) == bool(_pairs(both) - before)


def _pairs(found: list[Range]) -> set[frozenset[str]]:
    return {
        frozenset((a.name, b.name))
        for a in found
        for b in found
        if a.name != b.name and a.start < b.end and b.start < a.end
    }
