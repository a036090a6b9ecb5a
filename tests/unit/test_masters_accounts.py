from pathlib import Path

import pytest

from skinnybox.errors import Unsupported
from skinnybox.masters import accounts
from skinnybox.masters.accounts import Accounts, Group, User


def test_the_accounts_of_a_tree(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/bash\nredis:x:104:110::/var/lib/redis:/usr/sbin/nologin\n"
    )
    (tmp_path / "etc/group").write_text("root:x:0:\nredis:x:110:www-data,backup\n")
    found = accounts.accounts(tmp_path)
    assert found == Accounts(
        users=(
            User(name="root", uid=0, gid=0, gecos="root", home="/root", shell="/bin/bash"),  # noqa: S604 (a field)
            User(name="redis", uid=104, gid=110, home="/var/lib/redis"),
        ),
        groups=(Group(name="root", gid=0), Group(name="redis", gid=110, members=("www-data", "backup"))),
    )
    assert found.uids() == {"root": 0, "redis": 104}
    assert found.gids() == {"root": 0, "redis": 110}


def test_a_tree_without_accounts_or_with_a_link_to_somebody_elses(tmp_path: Path) -> None:
    assert accounts.accounts(tmp_path) == Accounts()
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").symlink_to("/etc/passwd")
    assert accounts.accounts(tmp_path) == Accounts()


@pytest.mark.parametrize(
    "line",
    [
        "", "#comment", "+::::::", "+@net:x:1:1:::", "-nobody:x:1:1:::", "short:x:1:1", "long:x:1:1:::::",
        "a:x:-1:1:::", "a:x:1:x:::", "a:x:4294967295:1:::", "a:x:1:4294967295:::", "a:x:99999999999:1:::",
        "a:x: 1:1:::", "a:x:0x1:1:::", "a:x:\u0661:1:::", "a:x::1:::", ":x:1:1:::", "a b:x:1:1:::",
        "a\x00b:x:1:1:::", "a/b:x:1:1:::", "~a:x:1:1:::", "n" * 257 + ":x:1:1:::",
    ],
)  # fmt: skip
def test_a_line_that_is_none_is_passed_over(line: str) -> None:
    known = "good:x:7:8:::\n"
    assert [user.name for user in accounts.users(f"{line}\n{known}".encode())] == ["good"]


def test_the_first_line_of_a_name_counts() -> None:
    text = b"toor:x:0:0:::\nweb:x:100:101:::\nweb:x:0:0:::\nfull:x:4294967294:1:::\n"
    assert [(user.name, user.uid) for user in accounts.users(text)] == [
        ("toor", 0), ("web", 100), ("full", 4294967294),
    ]  # fmt: skip
    assert [group.gid for group in accounts.groups(b"a:x:5:\na:x:6:\nb:x:7:x,,y\nc:x:8\n")] == [5, 7]
    assert accounts.groups(b"b:x:7:x,,y z,+,w\n")[0].members == ("x", "w")


def test_text_that_is_not_utf_8_comes_back_as_it_was() -> None:
    (user,) = accounts.users(b"web:x:1:2:M\xfcller:/home/\xff:/bin/sh")
    assert user.gecos.encode("utf-8", "surrogateescape") == b"M\xfcller"
    assert accounts.name_of(b"web:x") == "web"
    assert accounts.name_of(b"web") is None


@pytest.mark.parametrize("text", [b"x" * (accounts.MOST_BYTES + 1), b"\n" * (accounts.MOST_LINES + 1)])
@pytest.mark.parametrize("path", [accounts.PASSWD, accounts.GROUP])
def test_a_file_without_end_is_refused(tmp_path: Path, path: str, text: bytes) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / path).write_bytes(text)
    with pytest.raises(Unsupported, match=path):
        accounts.accounts(tmp_path)
