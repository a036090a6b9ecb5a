"""Whose files are whose after a rebase, by name: each way in which a number can become somebody else's."""

import struct
from collections.abc import Mapping

from skinnybox.delta.rebase.findings import FindingKind
from skinnybox.delta.rebase.same_owners import Known, Owned, Owners

ACL = "system.posix_acl_access"


def known(users: dict[int, str], groups: dict[int, str] | None = None) -> Known:
    users, groups = {0: "root", **users}, {0: "root", **(users if groups is None else groups)}
    return Known({n: frozenset(w.split("/")) for n, w in users.items()},
                 {n: frozenset(w.split("/")) for n, w in groups.items()})  # fmt: skip


def owned(uid: int = 0, gid: int = 0, mode: int = 0o644, xattrs: Mapping[str, bytes] | None = None) -> Owned:
    return Owned(mode=mode, uid=uid, gid=gid, xattrs=xattrs or {})


def acl(*entries: tuple[int, int]) -> bytes:
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", tag, 7, number) for tag, number in entries)


OLD, NEW = known({101: "sshd", 400: "me"}), known({102: "sshd", 101: "redis", 400: "me"})
MASTER = known({102: "sshd", 101: "redis"})


def machines(now: Owned, before: Owned | None, master: Owned | None = None) -> list[str]:
    owners = Owners(OLD, NEW, MASTER)
    owners.machines(b"f", now, before, master)
    return [f"{each.kind}: {each.text}" for each in owners.findings()]


def masters(entry: Owned, new: Known = NEW, old: Known = OLD) -> list[str]:
    owners = Owners(old, new, MASTER)
    owners.masters(b"f", entry)
    return [f"{each.kind}: {each.text}" for each in owners.findings()]


def test_a_file_that_went_with_its_account_is_as_it_was() -> None:
    assert machines(owned(102, 102), owned(101, 101)) == []
    assert machines(owned(400, 0), owned(400, 0)) == []


def test_what_containers_have_are_other_systems_numbers() -> None:
    owners = Owners(OLD, NEW, MASTER)
    owners.machines(b"var/lib/docker/f", owned(101), owned(101), None)
    assert list(owners.findings()) == []


def test_a_number_that_stayed_is_another_ones() -> None:
    assert machines(owned(101), owned(101)) == ["owner: /f: user sshd -> redis"]
    assert machines(owned(0, 101), owned(0, 101)) == ["owner: /f: group sshd -> redis"]
    assert machines(owned(102), owned(102)) == ["owner: /f: user nobody -> sshd"]
    assert machines(owned(500), owned(101)) == ["owner: /f: user sshd -> nobody"]
    assert machines(owned(500), owned(500)) == []


def test_what_the_new_master_gives_to_somebody_else_is_his() -> None:
    assert machines(owned(101), owned(0), owned(101)) == []
    assert machines(owned(101), owned(0), owned(102)) != []


def test_an_account_of_several_names_is_known_by_each() -> None:
    owners = Owners(known({7: "toor/ops"}), known({8: "ops"}), MASTER)
    owners.machines(b"f", owned(8, 0), owned(7, 0), None)
    assert list(owners.findings()) == []


def test_access_lists_name_accounts_too() -> None:
    before = owned(xattrs={ACL: acl((1, 0), (2, 101), (8, 101), (32, 0))})
    right = owned(xattrs={ACL: acl((1, 0), (2, 102), (8, 102), (32, 0))})
    half = owned(xattrs={ACL: acl((1, 0), (2, 102), (8, 101), (32, 0))})
    assert machines(right, before) == []
    assert machines(half, before) == ["owner: /f: group sshd -> redis"]
    assert machines(owned(xattrs={ACL: b"\2\0\0\0x"}), before) == []


def test_what_gives_a_right_is_told_by_itself() -> None:
    for entry in (
        owned(0, 101, 0o2755),
        owned(0, 101, 0o4755),
        owned(0, 101, xattrs={"security.capability": b"x"}),
    ):
        found = machines(entry, entry)
        assert len(found) == 1
        assert found[0].startswith(f"{FindingKind.PRIVILEGE}: /f (mode ")


def test_the_masters_files_belong_to_whom_it_says() -> None:
    """As where the machine's own /etc/group stayed: ssh-agent was setgid mysql."""
    stale = known({101: "sshd", 102: "mysql"})
    assert masters(owned(0, 102, 0o2755)) == []
    assert masters(owned(0, 102, 0o2755), stale) == ["privilege: /f (mode 2755): group sshd -> mysql"]
    assert masters(owned(102, 0), stale) == ["owner: /f: user sshd -> mysql"]


def test_an_account_that_the_machine_had_removed_is_no_new_fault() -> None:
    without = known({400: "me"})
    assert masters(owned(101), known({102: "sshd"}), without) == []
    assert masters(owned(101), known({102: "sshd"}), known({99: "redis"})) == [
        "owner: /f: user redis -> nobody"
    ]


def test_many_are_one_line_and_no_text_can_be_longer_than_a_line() -> None:
    owners = Owners(OLD, NEW, MASTER)
    for number in range(5000):
        owners.machines(b"x\n%d" % number * 300, owned(101), owned(101), None)
    found = list(owners.findings())
    assert len(found) == 1
    assert "and 4999 more" in found[0].text or len(found[0].text) == 500
    assert found[0].text.isprintable()
