from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.masters import numbers
from skinnybox.masters.accounts import accounts

ADDUSER = (
    b"# Default: FIRST_SYSTEM_UID=100, LAST_SYSTEM_UID=999\n#FIRST_SYSTEM_UID=100\n#LAST_SYSTEM_UID=999\n"
)


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        (
            "etc/adduser.conf",
            ADDUSER,
            ADDUSER.replace(b"#FIRST_SYSTEM_UID=100", b"FIRST_SYSTEM_UID=400") + b"FIRST_SYSTEM_GID=400\n",
        ),
        (
            "etc/adduser.conf",  # Debian 11's
            b"FIRST_SYSTEM_UID=100\nLAST_SYSTEM_UID=999\nFIRST_SYSTEM_GID=100\n",
            b"FIRST_SYSTEM_UID=400\nLAST_SYSTEM_UID=999\nFIRST_SYSTEM_GID=400\n",
        ),
        (
            "etc/login.defs",
            b"#SYS_UID_MIN\t\t  101\nSYS_GID_MIN 201\nSYS_GID_MIN 101",
            b"SYS_UID_MIN\t\t400\nSYS_GID_MIN\t\t400\nSYS_GID_MIN\t\t400",
        ),
        ("etc/login.defs", b"SYS_UID_MIN 500\nSYS_GID_MIN 400\n", b"SYS_UID_MIN 500\nSYS_GID_MIN 400\n"),
        ("etc/login.defs", b"", b"SYS_UID_MIN\t\t400\nSYS_GID_MIN\t\t400\n"),
    ],
)
def test_machines_begin_with_their_own_numbers(
    tmp_path: Path, path: str, before: bytes, after: bytes
) -> None:
    file = tmp_path / path
    file.parent.mkdir()
    file.write_bytes(before)
    written = file.stat().st_mtime_ns
    for _ in range(2):
        numbers.leave_to_machines(tmp_path)
        assert file.read_bytes() == after
    assert file.stat().st_mtime_ns == written


def test_a_tree_without_such_files_gets_none(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "outside").write_text("SYS_UID_MIN 1\n")
    (tmp_path / "etc/login.defs").symlink_to(tmp_path / "outside")
    numbers.leave_to_machines(tmp_path)
    assert (tmp_path / "outside").read_text() == "SYS_UID_MIN 1\n"
    assert [file.name for file in (tmp_path / "etc").iterdir()] == ["login.defs"]


def test_what_holds_a_machines_numbers_leaves_nothing_behind(tmp_path: Path) -> None:
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "passwd").write_text("root:x:0:0::/root:/bin/sh\nold:x:998:997::/:/bin/sh\n")
    (etc / "group").write_text("root:x:0:\nold:x:997:\n")
    before = accounts(tmp_path)
    run.run(["sh", "-euc", numbers.HOLD, "sh", tmp_path])
    held = accounts(tmp_path)
    assert {*range(400, 1000), 0} == set(held.uids().values()) == set(held.gids().values())
    assert len(held.users) == len(held.groups) == 602 - 1
    for shadow in ("shadow", "gshadow"):
        (etc / shadow).write_text("root:*::\n" + "".join(f"{name}:!::\n" for name in held.uids()))
    run.run(["sh", "-euc", numbers.RELEASE, "sh", tmp_path])
    assert accounts(tmp_path) == before
    assert (etc / "shadow").read_text() == (etc / "gshadow").read_text() == "root:*::\nroot:!::\nold:!::\n"
    assert {file.name for file in etc.iterdir()} == {"passwd", "group", "shadow", "gshadow"}
