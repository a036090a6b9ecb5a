"""Requirements: root, or root of a namespace: files are given away."""

import os
import stat
import struct
from collections.abc import Mapping
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import Conflict, Corrupt
from skinnybox.masters import namespace
from skinnybox.masters.accounts import accounts
from skinnybox.masters.renumber import Renumbering, renumber
from skinnybox.operation import Operation

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(namespace.needed(), reason="needs root, or root of a namespace"),
]
_ACL = "system.posix_acl_access"
_CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)  # cap_net_bind_service+ep
_PASSWD = b"""\
root:x:0:0:root:/root:/bin/sh
#comment:x:104:104:::
a:x:104:105:M\xfcller:/var/lib/a:/bin/sh
b:x:105:104::/:/bin/sh
twin:x:104:105::/:/bin/sh
cut off:x:104
a:x:104:9::/again:/bin/sh
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc/passwd").write_bytes(_PASSWD)
    (tree / "etc/group").write_bytes(b"root:x:0:\na:x:105:b\nb:x:104:\n")
    (tree / "etc/subuid").write_bytes(b"a:100000:65536\n104:165536:65536\n105:231072:65536\n")
    for name, owner in (("a", (104, 105)), ("b", (105, 104)), ("root", (0, 0))):
        (tree / name).write_text(name)
        os.chown(tree / name, *owner)
    for file in tree.rglob("*"):
        os.utime(file, ns=(1_000_000_007, 1_000_000_007))
    return tree


def _owner(path: Path) -> tuple[int, int]:
    info = path.lstat()
    return info.st_uid, info.st_gid


def _renumber(
    tree: Path, uids: Mapping[int, int] = {104: 105, 105: 104}, gids: Mapping[int, int] = {104: 105, 105: 104}
) -> int:
    return renumber(tree, Renumbering(uids=uids, gids=gids), Operation())


def test_two_accounts_change_places(tree: Path) -> None:
    assert _renumber(tree) == 2
    assert (_owner(tree / "a"), _owner(tree / "b"), _owner(tree / "root")) == ((105, 104), (104, 105), (0, 0))
    found = accounts(tree)
    assert found.uids() == {"root": 0, "a": 105, "b": 104, "twin": 105}
    assert found.gids() == {"root": 0, "a": 104, "b": 105}
    assert found.groups[1].members == ("b",)
    changed = b"a:x:105:104:M\xfcller:/var/lib/a:/bin/sh\nb:x:104:105::/:/bin/sh\ntwin:x:105:104::/:/bin/sh\n"
    again = b"cut off:x:104\na:x:105:9::/again:/bin/sh\n"
    kept = b"root:x:0:0:root:/root:/bin/sh\n#comment:x:104:104:::\n"
    assert (tree / "etc/passwd").read_bytes() == kept + changed + again
    assert (tree / "etc/subuid").read_bytes() == b"a:100000:65536\n105:165536:65536\n104:231072:65536\n"
    assert (tree / "etc/passwd").stat().st_mtime_ns == (tree / "a").stat().st_mtime_ns == 1_000_000_007


def test_a_circle_of_many_and_a_way_into_the_free(tree: Path) -> None:
    for number in range(200, 210):
        (tree / str(number)).touch()
        os.chown(tree / str(number), number, number)
    circle = {n: 200 + (n + 1) % 10 for n in range(200, 210)}
    assert _renumber(tree, circle, {200: 300}) == 10
    assert [_owner(tree / str(n))[0] for n in range(200, 210)] == [*range(201, 210), 200]
    assert _owner(tree / "200") == (201, 300)


def test_setuid_setgid_and_capabilities_stay(tree: Path) -> None:
    (tree / "folder").mkdir()
    for name, mode in (("a", 0o6755), ("b", 0o2750), ("folder", 0o3771)):
        os.chown(tree / name, 104, 105)
        (tree / name).chmod(mode)
    (tree / "bound").write_text("program")
    os.chown(tree / "bound", 104, 104)
    (tree / "bound").chmod(0o4750)
    os.setxattr(tree / "bound", "security.capability", _CAPABILITY)
    _renumber(tree)
    modes = {name: stat.S_IMODE((tree / name).stat().st_mode) for name in ("a", "b", "folder", "bound")}
    assert modes == {"a": 0o6755, "b": 0o2750, "folder": 0o3771, "bound": 0o4750}
    assert os.getxattr(tree / "bound", "security.capability") == _CAPABILITY
    assert _owner(tree / "bound") == (105, 105)


def test_access_lists_name_numbers_too(tree: Path) -> None:
    if not run.find("setfacl"):
        pytest.skip("needs setfacl")
    (tree / "logs").mkdir()
    (tree / "program").touch()
    (tree / "program").chmod(0o2755)
    run.run(["setfacl", "-m", "u:104:rwx,g:105:r-x,u:7:r", tree / "program"])
    run.run(["setfacl", "-m", "d:g:104:r-x", tree / "logs"])
    before = stat.S_IMODE((tree / "program").stat().st_mode)
    assert _renumber(tree) == 4
    said = run.run(["getfacl", "-npc", tree / "program"]).stdout.decode().split()
    assert {"user:105:rwx", "group:104:r-x", "user:7:r--"} <= set(said)
    assert not {line for line in said if line.startswith(("user:104", "group:105"))}
    assert "default:group:105:r-x" in run.run(["getfacl", "-npc", tree / "logs"]).stdout.decode().split()
    assert stat.S_IMODE((tree / "program").stat().st_mode) == before
    assert _owner(tree / "program") == (0, 0)


@pytest.mark.parametrize("others", [["zz"], ["zz", "aa"]])
def test_a_file_of_several_names_is_given_once(tree: Path, others: list[str]) -> None:
    """Where two numbers change places it would have its own again."""
    for other in others:
        (tree / other).hardlink_to(tree / "a")
    assert _renumber(tree) == 2
    assert _owner(tree / "zz") == _owner(tree / "a") == (105, 104)


def test_no_symlink_is_followed(tree: Path, tmp_path: Path) -> None:
    for outside in (tmp_path / "outside", tmp_path / "passwd"):
        outside.write_bytes(_PASSWD)
        os.chown(outside, 104, 104)
    (tree / "link").symlink_to(tmp_path / "outside")
    (tree / "up").symlink_to(tmp_path)
    for link in ("link", "up"):
        os.chown(tree / link, 104, 104, follow_symlinks=False)
    (tree / "etc/passwd").unlink()
    (tree / "etc/passwd").symlink_to(tmp_path / "passwd")
    _renumber(tree)
    assert _owner(tree / "link") == _owner(tree / "up") == (105, 105)
    assert _owner(tmp_path / "outside") == _owner(tmp_path / "passwd") == (104, 104)
    assert (tmp_path / "passwd").read_bytes() == _PASSWD


@pytest.mark.parametrize("how", ["owner", "group", "list"])
def test_what_belongs_to_no_account_would_become_somebodys(tree: Path, how: str) -> None:
    (tree / "stray").touch()
    if how == "list":
        if not run.find("setfacl"):
            pytest.skip("needs setfacl")
        run.run(["setfacl", "-m", "g:300:rwx", tree / "stray"])
    else:
        os.chown(tree / "stray", *((300, 0) if how == "owner" else (0, 300)))
    with pytest.raises(Conflict, match=r"'stray' names 300"):
        _renumber(tree, {104: 300}, {104: 300})


def test_a_primary_group_that_is_none_would_become_somebodys(tree: Path) -> None:
    (tree / "etc/passwd").write_text("sly:x:1000:300::/:/bin/sh\n")
    with pytest.raises(Conflict, match="'etc/passwd' names 300"):
        _renumber(tree, {}, {104: 300})


def test_a_capability_that_is_none_is_named(tree: Path) -> None:
    nonsense = struct.pack("<IIIII", 0x09000001, 1 << 10, 0, 0, 0)
    try:
        os.setxattr(tree / "a", "security.capability", nonsense)
    except OSError:
        pytest.skip("this kernel refuses to write it")
    with pytest.raises(Corrupt, match="capabilities cannot be read"):
        _renumber(tree)


def test_a_pipe_is_given_too(tree: Path) -> None:
    os.mkfifo(tree / "pipe")
    os.chown(tree / "pipe", 104, 104)
    assert _renumber(tree) == 3
    assert _owner(tree / "pipe") == (105, 105)
