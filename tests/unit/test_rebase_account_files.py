"""/etc/passwd and what goes with it, as files: what is made where, also of the version before."""

from skinnybox.delta.rebase.accounts import Numbers, Ownership
from skinnybox.delta.rebase.records import Made
from skinnybox.delta.rebase.rules import Choice, Policy
from tests.unit.recorded import Tree, after, sides, told

PASSWD, SHADOW, SUBUID = "etc/passwd", "etc/shadow", "etc/subuid"


def _user(name: str, uid: int, shell: str = "/bin/sh") -> bytes:
    return f"{name}:x:{uid}:{uid}::/home/{name}:{shell}\n".encode()


ROOT, SSHD = _user("root", 0), _user("sshd", 101)


def _moved(users: dict[int, int]) -> Ownership:
    numbers = Numbers(moved=users)
    return Ownership(users=numbers, groups=numbers)


def test_what_the_machine_never_touched_is_the_new_masters() -> None:
    old: Tree = {PASSWD: ROOT + SSHD, SHADOW: b"root:*:1:0:99999:7:::\n"}
    new: Tree = {PASSWD: ROOT + _user("sshd", 102), SHADOW: b"root:*:2:0:99999:7:::\n"}
    given = sides(old, new, {}, ownership=_moved({101: 102}))
    assert {path: told(given)[path] for path in (PASSWD, SHADOW)} == {
        PASSWD: Made(path=PASSWD),
        SHADOW: Made(path=SHADOW),
    }


def test_an_account_that_the_master_lost_is_kept_where_nobody_touched_it() -> None:
    """The plan says so: files may be its own. The order of lines is no matter."""
    old, new = {PASSWD: ROOT + SSHD + _user("games", 5)}, {PASSWD: SSHD + ROOT}
    assert after(sides(old, new, {}))[PASSWD] == ROOT + SSHD + _user("games", 5)
    assert told(sides({PASSWD: ROOT + SSHD}, new, {}))[PASSWD] == Made(path=PASSWD)


def test_the_version_before_has_the_new_masters_accounts_and_numbers() -> None:
    """Who puts it back gives no file to somebody else."""
    old: Tree = {PASSWD: ROOT + SSHD, f"{PASSWD}-": ROOT}
    new: Tree = {PASSWD: ROOT + _user("sshd", 102) + _user("redis", 101), f"{PASSWD}-": ROOT}
    mine: Tree = {
        PASSWD: ROOT + SSHD + _user("own", 400) + _user("me", 1000),
        f"{PASSWD}-": ROOT + SSHD + _user("own", 400),
    }
    found = after(sides(old, new, mine, ownership=_moved({101: 102, 400: 401})))
    assert found[f"{PASSWD}-"] == ROOT + _user("sshd", 102) + _user("own", 401) + _user("redis", 101)
    assert found[PASSWD] == ROOT + _user("sshd", 102) + _user("own", 401) + _user("me", 1000) + _user(
        "redis", 101
    )


def test_who_wins_is_as_was_said() -> None:
    old, new, mine = ({PASSWD: _user("a", 5, shell)} for shell in ("/bin/sh", "/bin/false", "/bin/zsh"))
    assert after(sides(old, new, mine, policy=Policy(on_conflict=Choice.OURS)))[PASSWD] == mine[PASSWD]
    assert after(sides(old, new, mine, policy=Policy(on_conflict=Choice.THEIRS)))[PASSWD] == new[PASSWD]


def test_a_file_that_the_machine_deleted_stays_so() -> None:
    tree: Tree = {"etc/gshadow": b"root:*::\n", SUBUID: b"a:1:1\n"}
    given = sides(tree, tree, {"etc/gshadow": None, SUBUID: None})
    assert told(given)["etc/gshadow"] == Made(path="etc/gshadow", hidden=True)
    assert not {"etc/gshadow", SUBUID} & after(given).keys()


def test_ranges_are_of_both_and_those_of_numbers_follow() -> None:
    old, new = b"a:100000:65536\n", b"a:100000:65536\nb:165536:65536\n"
    mine = b"# ours\na:100000:65536\n1000:300000:65536\nme:400000:65536\n"
    given = sides(
        {SUBUID: old}, {SUBUID: new}, {SUBUID: mine, f"{SUBUID}-": old}, ownership=_moved({1000: 1001})
    )
    found = after(given)
    assert found[SUBUID] == (b"# ours\na:100000:65536\n1001:300000:65536\nme:400000:65536\nb:165536:65536\n")
    assert found[f"{SUBUID}-"] == new


def test_a_range_that_the_master_lost_is_kept_where_nobody_touched_it() -> None:
    """What lies in a container has its numbers."""
    given = sides({SUBUID: b"a:1:1\nb:2:1\n"}, {SUBUID: b"a:1:1\n"}, {})
    assert after(given)[SUBUID] == b"a:1:1\nb:2:1\n"


def test_a_line_without_an_end_is_none_of_the_next() -> None:
    given = sides({SUBUID: b""}, {SUBUID: b"b:2:1\n"}, {SUBUID: b"a:1:1"})
    assert after(given)[SUBUID] == b"a:1:1\nb:2:1\n"
