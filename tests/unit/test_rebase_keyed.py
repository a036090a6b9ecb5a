"""The files of accounts, merged by name."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skinnybox.delta.rebase.accounts import Ownership
from skinnybox.delta.rebase.keyed import GROUP, PASSWD, SHADOW, decisions, merged
from skinnybox.delta.rebase.values import Fate, Standing
from tests.unit.rebased import decided, f, moving, told

STILL = Ownership()


def _user(name: str, uid: int, shell: str = "/bin/sh", gid: int | None = None) -> bytes:
    return f"{name}:x:{uid}:{uid if gid is None else gid}::/home/{name}:{shell}\n".encode()


def test_both_add_a_user_at_the_end() -> None:
    """As text this is a dispute each time."""
    root = _user("root", 0)
    found, said = merged(PASSWD, root, root + _user("redis", 101), root + _user("alice", 1000), STILL)
    assert (found, said) == (root + _user("alice", 1000) + _user("redis", 101), [])


def test_numbers_are_the_new_masters_and_the_machines_own_follow() -> None:
    owners = moving({101: 102}, {101: 102, 400: 401})
    old, new = _user("sshd", 101), _user("sshd", 102)
    found, said = merged(PASSWD, old, new, old + _user("own", 500, gid=400), owners)
    assert found == _user("sshd", 102) + _user("own", 500, gid=401) and said == []


@pytest.mark.parametrize(
    ("mine", "new", "wanted"),
    [("/bin/zsh", "/bin/sh", "/bin/zsh"), ("/bin/sh", "/bin/false", "/bin/false")],
)
def test_a_shell_that_one_side_changed(mine: str, new: str, wanted: str) -> None:
    found, said = merged(PASSWD, _user("a", 5), _user("a", 5, new), _user("a", 5, mine), STILL)
    assert found == _user("a", 5, wanted) and said == []


def test_a_primary_group_that_one_side_changed() -> None:
    """Also where the group's number is another in the new master: that is no change."""
    owners = moving({}, {5: 6})
    old, new = _user("a", 9, gid=5), _user("a", 9, gid=6)
    assert merged(PASSWD, old, new, _user("a", 9, gid=27), owners) == (_user("a", 9, gid=27), [])
    assert merged(PASSWD, old, _user("a", 9, gid=27), old, owners) == (_user("a", 9, gid=27), [])
    assert merged(PASSWD, old, new, old, owners) == (new, [])


def test_one_that_both_changed_is_in_dispute() -> None:
    texts = _user("a", 5), _user("a", 5, "/bin/false"), _user("a", 5, "/bin/zsh")
    (said,) = decisions(PASSWD, *texts, STILL, Fate.ASK)
    assert (said.name, said.standing) == ("a", "conflict") and "its shell" in said.detail
    (ours,) = decisions(PASSWD, *texts, STILL, Fate.KEEP)
    assert (ours.fate, ours.standing) == ("keep", Standing.CLEAN)
    assert merged(PASSWD, *texts, STILL)[0] == texts[2]
    assert merged(PASSWD, *texts, STILL, machine_wins=False)[0] == texts[1]


def test_who_was_removed_stays_so_and_who_the_master_lost_is_kept() -> None:
    old = _user("root", 0) + _user("games", 5) + _user("gone", 6)
    found, _ = merged(
        PASSWD, old, _user("root", 0) + _user("games", 5), _user("root", 0) + _user("gone", 6), STILL
    )
    assert found == _user("root", 0) + _user("gone", 6)


def test_members_of_groups_are_united() -> None:
    old, new, mine = (f"sudo:x:27:{names}\n".encode() for names in ("a,b", "b,c", "a,b,me"))
    assert merged(GROUP, old, new, mine, STILL)[0] == b"sudo:x:27:b,me,c\n"


def test_passwords_are_the_machines_once_it_altered_any() -> None:
    """The third field is the day of the build: it differs each time, and is no dispute."""
    old, new, mine = (
        f"root:{word}:{day}:0:99999:7:::\n".encode() for word, day in (("*", 1), ("*", 2), ("$y$", 3))
    )
    assert merged(SHADOW, old, new, mine, STILL) == (mine, [])
    assert merged(SHADOW, old, new, old, STILL) == (new, [])


def test_what_is_no_line_stays_as_it_is() -> None:
    odd = (
        b"# note\n+::::::\nroot:x:0:0\n\xff:x:9:9:::\na:x:-1:0:::\n"
        + _user("root", 0)
        + _user("root", 7)
        + b"end"
    )
    found, said = merged(PASSWD, b"", _user("root", 0), odd, STILL)
    assert found == odd + b"\n" and said == []


def test_a_second_line_of_one_name_moves_with_its_number() -> None:
    """Else whoever asks for the number finds it, and not the account that has it now."""
    twice = _user("sshd", 101) + _user("sshd", 101, "/bin/sh")
    new = _user("sshd", 102) + _user("redis", 101)
    found, _ = merged(PASSWD, _user("sshd", 101), new, twice, moving({101: 102}, {101: 102}))
    assert found == _user("sshd", 102) + _user("sshd", 102, "/bin/sh") + _user("redis", 101)


NAMES = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["/1", "/2", "/3"]), max_size=4)


@given(NAMES, NAMES, NAMES)
def test_by_a_model_of_names(old: dict[str, str], new: dict[str, str], machine: dict[str, str]) -> None:
    texts = [b"".join(_user(name, 5, shell) for name, shell in side.items()) for side in (old, new, machine)]
    found, said = merged(PASSWD, texts[0], texts[1], texts[2], STILL)
    lines = dict(line.split(b":", 1) for line in found.splitlines())
    assert {name.decode() for name in lines} == set(machine) | (set(new) - set(old))
    for name in set(machine) & set(new) & set(old):
        o, n, m = old[name], new[name], machine[name]
        wanted = n if m == o else m
        assert lines[name.encode()].endswith(wanted.encode())
        assert (name in {each.name for each in said}) == (m not in (o, n) and o != n)


def _list(tag: int, number: int) -> dict[str, bytes]:
    entries = (
        (1, 6, 0xFFFFFFFF),
        (tag, 6, number),
        (4, 4, 0xFFFFFFFF),
        (16, 6, 0xFFFFFFFF),
        (32, 4, 0xFFFFFFFF),
    )
    return {
        "system.posix_acl_access": struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *e) for e in entries)
    }


def test_access_lists_name_numbers_too() -> None:
    owners = moving({101: 102}, {7: 8})
    old, new = {"srv/x": f("1", xattrs=_list(2, 101))}, {"srv/x": f("1", xattrs=_list(2, 102))}
    assert told(old, old, new, ownership=owners) == {"srv/x": "no change: take"}
    assert told(old, old, old, ownership=owners) == {"srv/x": "no change: take"}
    altered = {"srv/x": f("9", xattrs=_list(2, 101))}
    assert told(altered, old, new, ownership=owners) == {"srv/x": "changed: keep"}
    kept = decided({"srv/y": f("1", xattrs=_list(8, 7))}, {}, {}, ownership=owners)
    (found,) = [each for each in kept if each.owner]
    assert (found.name, found.owner) == ("srv/y", "access lists")
