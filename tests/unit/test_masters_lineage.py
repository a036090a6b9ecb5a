import pytest

from skinnybox.errors import Conflict
from skinnybox.masters.accounts import Accounts, Group, User
from skinnybox.masters.lineage import Predecessor, difference


def _accounts(users: dict[str, int], groups: dict[str, int]) -> Accounts:
    return Accounts(
        users=tuple(User(name=name, uid=number, gid=0) for name, number in users.items()),
        groups=tuple(Group(name=name, gid=number) for name, number in groups.items()),
    )


def _before(users: dict[str, int], groups: dict[str, int] | None = None) -> Predecessor:
    return Predecessor(reference="web:1", accounts=_accounts(users, groups or {}))


def test_equal_accounts_need_nothing() -> None:
    found = difference(_accounts({"root": 0, "sshd": 101}, {"ssh": 107}), _before({"root": 0, "sshd": 101}))
    assert not found.numbers
    assert (found.moved, found.displaced, found.vanished) == ((), (), ())


def test_what_both_have_gets_the_number_back_and_the_new_one_makes_room() -> None:
    """A package more, whose account sorts before."""
    mine = _accounts({"redis": 101, "sshd": 102}, {"redis": 107, "_ssh": 108})
    found = difference(mine, _before({"sshd": 101}, {"_ssh": 107}))
    assert found.numbers.uids == {102: 101, 101: 100}
    assert found.numbers.gids == {108: 107, 107: 100}
    assert found.moved == ("user sshd 102 -> 101", "group _ssh 108 -> 107")
    assert found.displaced == ("user redis 101 -> 100", "group redis 107 -> 100")


def test_accounts_that_change_places() -> None:
    found = difference(_accounts({"a": 104, "b": 105}, {}), _before({"a": 105, "b": 104}))
    assert found.numbers.uids == {104: 105, 105: 104}


def test_two_names_of_one_number_go_together() -> None:
    found = difference(_accounts({"a": 104, "twin": 104, "other": 104}, {}), _before({"twin": 110, "a": 110}))
    assert found.numbers.uids == {104: 110}


def test_the_number_of_one_who_is_gone_is_given_to_nobody() -> None:
    found = difference(_accounts({"new": 104, "bob": 1000}, {}), _before({"redis": 104, "alice": 1000}))
    assert found.numbers.uids == {104: 100, 1000: 1001}
    assert found.moved == ()
    assert found.vanished == ("user redis (104)", "user alice (1000)")


def test_a_predecessor_from_before_the_split_keeps_its_numbers() -> None:
    """Debian 13 without the split counts down from 999; _apt was 100 until Debian 12, and is 42 since."""
    found = difference(
        _accounts({"_apt": 42, "systemd-network": 399}, {}), _before({"_apt": 100, "systemd-network": 998})
    )
    assert found.numbers.uids == {42: 100, 399: 998}


@pytest.mark.parametrize(
    ("mine", "before", "said"),
    [
        ({"root": 5}, {"root": 0}, "root is 5 here, and 0 there"),
        ({"web": 0}, {"web": 33}, "web is 0 here, and 33 there"),
        ({"web": 33}, {"web": 0}, "web is 33 here, and 0 there"),
        ({"nobody": 99}, {"nobody": 65534}, "nobody is 99 here, and 65534 there"),
        ({"a": 104, "b": 104}, {"a": 104, "b": 105}, "a and b are both 104 here, and two there"),
        ({"a": 104, "b": 105}, {"a": 110, "b": 110}, "a and b are both 110 there, and two here"),
    ],
)
def test_what_no_number_can_make_right(mine: dict[str, int], before: dict[str, int], said: str) -> None:
    for found in (_accounts(mine, {}), _accounts({}, mine)):
        with pytest.raises(Conflict, match="cannot follow web:1") as caught:
            difference(found, _before(before, before))
        assert said in caught.value.message


def test_no_number_is_free() -> None:
    before = {f"n{number}": number for number in range(100, 400)}
    with pytest.raises(Conflict, match="no number is free for the user late"):
        difference(_accounts({"late": 150}, {}), _before(before))
