"""What carries a plan out: each fate on a real disk, read again."""

import struct
from pathlib import Path

import pytest

from skinnybox.delta.rebase.rules import Choice, Policy
from skinnybox.errors import Corrupt
from skinnybox.ext4 import open_volume
from tests.unit import rebased_disk
from tests.unit.rebased import OPAQUE, WHITEOUT, Thing, a_system, d, f, l, md5
from tests.unit.rebased_disk import NOW, ORIGIN, Rebased, read, shown, whole

THEIRS = Policy(on_conflict=Choice.THEIRS)
USERS = {"x": 101, "y": 102}


cache, rebased = rebased_disk.cache, rebased_disk.rebased


# --- keep, take, hide, bring, clear


def test_what_stays_is_byte_for_byte_what_it_was(rebased: Rebased) -> None:
    own = {
        b"srv/own": f("1", mode=0o4755, uid=70000, gid=70001, mtime_ns=5_000_000_123),
        b"srv/long": l("x" * 300),
        b"srv/short": l("x"),
        b"srv/pipe": Thing("p", mode=0o600),
        b"srv/device": Thing("c", rdev=(1, 300)),
        b"srv/tagged": f("2", xattrs={"user.a": b"1" * 200, "security.capability": bytes(20)}),
        b"srv/sparse": f("3" * 5000),
    }
    after = rebased(own, {b"srv": d()}, {b"srv": d()})
    assert shown(after) == own


def test_what_goes_and_folders_that_were_only_there_for_it(rebased: Rebased) -> None:
    upper = {b"usr/a": f("1"), b"usr/sub/b": f("1"), b"srv/keep": f("1"), b"old/only/c": f("1")}
    old = {b"usr/a": f("1"), b"usr/sub/b": f("1"), b"old/only/c": f("1")}
    after = rebased(upper, old, {b"usr/a": f("2"), b"srv": d()})
    assert set(after) - {b""} == {b"usr", b"srv", b"srv/keep"}


def test_a_folder_of_the_machines_own_stays_though_it_is_empty(rebased: Rebased) -> None:
    after = rebased({b"srv/mine": d(0o700, uid=5)}, {}, {})
    assert after[b"srv/mine"] == d(0o700, uid=5)


def test_settings_that_a_removed_package_left_give_way_to_what_the_new_master_brings(
    rebased: Rebased,
) -> None:
    """As dpkg does it. It was told as a dispute, though nobody had altered them."""
    brought = "Package: p\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2\n"
    left = "Package: p\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\nConffiles:\n"
    upper = {
        b"etc/p.conf": f("1"), b"etc/q.conf": f("mine"), b"var/lib/dpkg/info/p.list": f("/etc/p.conf\n"),
        b"var/lib/dpkg/status": f(f"{left} /etc/p.conf {md5(b'1')}\n /etc/q.conf {md5(b'1')}\n"),
    }  # fmt: skip
    old = {b"var/lib/dpkg/status": f("\n")}
    new = {b"etc/p.conf": f("2"), b"var/lib/dpkg/status": f(brought)}
    systems = a_system(), a_system("p=2")
    after = rebased(upper, old, new, systems=systems, files=({}, {"p:amd64": ("etc/p.conf",)}))
    assert b"etc/p.conf" not in after and after[b"etc/q.conf"].content == b"mine"
    assert b"Status: install ok unpacked\nConfig-Version: 1\n" in after[b"var/lib/dpkg/status"].content


def test_hidden_is_what_grew_in_folders_like_the_new_stacks(rebased: Rebased) -> None:
    systems = a_system("git=1"), a_system("git=2")
    status = {b"var/lib/dpkg/status": f("Package: git\n")}
    old = {b"usr/lib/git/one": f("1"), **status}
    new = {b"usr/lib/git": d(0o750, uid=3), b"usr/lib/git/one": f("2"), b"usr/lib/git/two": f("2"), **status}
    files = {"git:amd64": ("usr/lib/git/one",)}, {"git:amd64": ("usr/lib/git/one", "usr/lib/git/two")}
    upper = {b"usr/lib/git/one": WHITEOUT, b"var/lib/dpkg/status": f("")}
    after = rebased(upper, old, new, systems=systems, files=files)
    assert after[b"usr/lib/git/two"].type == "c" and after[b"usr/lib/git/two"].rdev == (0, 0)
    assert after[b"usr/lib/git/one"] == WHITEOUT


def test_a_folder_that_was_deleted_comes_back_where_the_new_masters_is_taken(rebased: Rebased) -> None:
    upper, old = {b"opt/app": WHITEOUT}, {b"opt/app/a": f("1")}
    new = {b"opt/app/a": f("2")}
    assert shown(rebased(upper, old, new, policy=THEIRS)) == {}
    assert shown(rebased(upper, old, old)) == {b"opt/app": WHITEOUT}


def test_a_mark_that_says_nothing_goes_and_one_that_does_stays(rebased: Rebased) -> None:
    upper = {b"opt/new": d(xattrs=OPAQUE), b"opt/new/x": f("1"), b"opt/old": d(xattrs=OPAQUE | ORIGIN)}
    old = {b"opt/old/a": f("1")}
    after = rebased(upper, old, {**old, b"opt/new/y": f("2")})
    assert after[b"opt/new"].xattrs == {} and after[b"opt/old"].xattrs == OPAQUE
    assert shown(after) == {b"opt/new/x": f("1")}


def test_whiteouts_that_hide_nothing_are_not_left_to_be_seen(rebased: Rebased) -> None:
    """Nothing tells the kernel of them any more: they would be listed as devices."""
    upper = {
        b"var/log/app/x": WHITEOUT,  # what the machine tells of itself stays, says the plan
        b"opt/old": d(xattrs=OPAQUE),
        b"opt/old/w": WHITEOUT,
    }
    old = {b"var/log/app/x": f("1"), b"opt/old/w": f("1")}
    assert shown(rebased(upper, old, {b"opt/old/w": f("1")})) == {}


def test_the_new_masters_word_about_a_folder(rebased: Rebased) -> None:
    """A security fix: 755 before, 700 now; what is in it stays."""
    acl = {"user.note": b"theirs"}
    upper = {b"srv": d(xattrs=ORIGIN), b"srv/own": f("1")}
    after = rebased(upper, {b"srv": d()}, {b"srv": d(0o700, gid=4, xattrs=acl)})
    assert after[b"srv"] == d(0o700, gid=4, xattrs=acl)
    upper = {b"srv": d(0o700, xattrs={"user.old": b"1"}), b"srv/own": f("1")}
    old = {b"srv": d(0o755, xattrs={"user.old": b"1"})}
    after = rebased(upper, old, {b"srv": d(0o755, xattrs=acl)})
    assert after[b"srv"] == d(0o700, xattrs=acl)


def test_a_folder_that_became_a_symlink(rebased: Rebased) -> None:
    """The merge of /bin into /usr/bin."""
    after = rebased({b"bin/own": f()}, {b"bin/sh": f()}, {b"bin": l("usr/bin"), b"usr/bin/sh": f()})
    assert b"bin" not in after


# --- merged


def test_text_of_both(rebased: Rebased) -> None:
    old, mine, new = "a\nb\nc\nd\ne\n", "A\nb\nc\nd\ne\n", "a\nb\nc\nd\nE\n"
    upper = {b"etc/x": f(mine, mode=0o640, gid=7, xattrs=ORIGIN | {"user.k": b"v"})}
    after = rebased(upper, {b"etc/x": f(old)}, {b"etc/x": f(new, uid=0)})
    wanted = f("A\nb\nc\nd\nE\n", mode=0o640, gid=7, xattrs={"user.k": b"v"}, mtime_ns=NOW)
    assert shown(after) == {b"etc/x": wanted}


def test_content_of_one_and_mode_of_the_other(rebased: Rebased) -> None:
    upper = {b"usr/a": f("1", mode=0o600, xattrs=ORIGIN), b"usr/b": f("own", xattrs=ORIGIN), b"usr/c": l("x")}
    old = {b"usr/a": f("1"), b"usr/b": f("1"), b"usr/c": l("x")}
    late = 4_000_000_000_000_000_009  # in 2096: 32 bits of seconds end before
    new = {b"usr/a": f("2", mtime_ns=late), b"usr/b": f("1", mode=0o4755), b"usr/c": l("x")}
    after = rebased(upper, old, new)
    assert shown(after) == {b"usr/a": f("2", mode=0o600, mtime_ns=late), b"usr/b": f("own", mode=0o4755)}


def test_a_symlinks_new_target_and_the_machines_owner(rebased: Rebased) -> None:
    upper = {b"usr/c": l("x", uid=7, xattrs=ORIGIN), b"usr/d": l("own", xattrs=ORIGIN)}
    old, new = {b"usr/c": l("x"), b"usr/d": l("x")}, {b"usr/c": l("y\n"), b"usr/d": l("x", uid=5)}
    assert shown(rebased(upper, old, new)) == {b"usr/c": l("y\n", uid=7), b"usr/d": l("own", uid=5)}


# --- what binds an upper directory to its master


def test_nothing_is_left_that_says_which_inode_it_was_copied_from(rebased: Rebased) -> None:
    """The corruption by a master whose inodes have the same numbers: see overlayfs.md, 0.1."""
    marks = {f"trusted.overlay.{word}": b"y" for word in ("impure", "nlink", "upper", "uuid")} | ORIGIN
    kept = {"trusted.overlay.protattr": b"i", "user.x": b"1", "trusted.other": b"2"}
    upper = {b"": d(xattrs=marks), b"srv": d(xattrs=marks), b"srv/a": f("2", xattrs=marks | kept)}
    after = rebased(upper, {b"srv/a": f("1")}, {b"srv/a": f("1")})
    assert {path: t.xattrs for path, t in after.items()} == {b"": {}, b"srv": {}, b"srv/a": kept}


def test_what_overlayfs_keeps_beside_goes(rebased: Rebased, tmp_path: Path) -> None:
    work = {b"work/#1": WHITEOUT, b"index/00fb": f("1"), b"work/d/e": f("2"), b"incompat": d()}
    rebased({b"srv/own": f()}, {}, {}, work=whole(work))
    assert set(read(tmp_path / "new.img", b"work")) == {b""}


# --- numbers


def test_numbers_move_with_lists_set_id_bits_and_capabilities(rebased: Rebased) -> None:
    systems = a_system(manager=None, users=USERS), a_system(manager=None, users={"x": 102, "y": 101})
    tagged = {"security.capability": bytes(20), "system.posix_acl_access": _acl(101)}
    upper = {
        b"srv": d(0o2770, uid=101, xattrs={"system.posix_acl_default": _acl(102)}),
        b"srv/a": f("1", uid=101, gid=102, mode=0o6755, xattrs=tagged),
        b"srv/b": l("a", uid=102),
        b"etc/own": d(uid=101),
    }
    after = rebased(upper, {b"etc": d()}, {b"etc": d()}, systems=systems)
    # No group moves here.
    changed = {**tagged, "system.posix_acl_access": _acl(102)}
    assert after[b"srv/a"] == f("1", uid=102, gid=102, mode=0o6755, xattrs=changed)
    assert after[b"srv"] == d(0o2770, uid=102, xattrs={"system.posix_acl_default": _acl(101)})
    assert after[b"srv/b"] == l("a", uid=101) and after[b"etc/own"].uid == 102


def _acl(user: int) -> bytes:
    entries = ((1, 6, 0xFFFFFFFF), (2, 4, user), (4, 4, 0xFFFFFFFF), (16, 4, 0xFFFFFFFF), (32, 4, 0xFFFFFFFF))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *each) for each in entries)


# --- files with several names


def test_a_file_that_keeps_other_names_stays(rebased: Rebased, tmp_path: Path) -> None:
    same = f("1", uid=101)
    upper, links = {b"usr/a": same, b"srv/own": d()}, ("upper/srv/own/c", "upper/srv/own/d")
    lower = {b"usr/a": same, b"srv": d()}
    after = rebased(upper, lower, {b"usr/a": f("2"), b"srv": d()}, links=links)
    assert shown(after) == {b"srv/own/c": same, b"srv/own/d": same}
    with open_volume(tmp_path / "new.img") as volume:
        assert volume.lookup(b"upper/srv/own/c") == volume.lookup(b"upper/srv/own/d")
        assert volume.lookup(b"upper/srv/own/c").links == 2


def test_a_name_that_alone_gets_another_mode_is_a_file_of_its_own_then(
    rebased: Rebased, tmp_path: Path
) -> None:
    upper = {b"usr/a": f("mine", xattrs=ORIGIN), b"srv/own": d()}
    lower, new = {b"usr/a": f("1"), b"srv": d()}, {b"usr/a": f("1", mode=0o755), b"srv": d()}
    after = rebased(upper, lower, new, links=("upper/srv/own/c",))
    assert after[b"usr/a"] == f("mine", mode=0o755) and after[b"srv/own/c"] == f("mine")
    with open_volume(tmp_path / "new.img") as volume:
        assert volume.lookup(b"upper/srv/own/c").links == 1


# --- records


def test_a_record_below_what_hides_the_new_masters_is_copied(rebased: Rebased) -> None:
    folder = b"var/cache/debconf"
    upper = {folder: d(xattrs=OPAQUE), folder + b"/config.dat": f("")}
    lower = {folder + b"/config.dat": f(""), folder + b"/templates.dat": f("")}
    after = rebased(upper, lower, lower)
    assert after[folder + b"/config.dat"] == f("") and after[folder].xattrs == OPAQUE


def test_what_containers_have_keeps_its_numbers_and_the_data_disk_is_told(rebased: Rebased) -> None:
    systems = a_system(manager=None, users=USERS), a_system(manager=None, users={"x": 102, "y": 101})
    own = {b"var/lib/docker/a": f("1", uid=101, xattrs=ORIGIN), b"srv/a": f("1", uid=101), b"srv": d()}
    after = rebased(own, {}, {}, systems=systems)
    assert after[b"var/lib/docker/a"].uid == 101 and after[b"srv/a"].uid == 102
    told = after[b"var/lib/skinnybox/owners"]
    assert told.mode == 0o600 and b"\nuser 101 102\nuser 102 101\nend\n" in told.content
    assert (
        told.content.startswith(b"skinnybox-owners 1\nmove f00\nfrom ")
        and b"\nonto sha256:new\n" in told.content
    )
    left = {b"var/lib/skinnybox/owners": f("of the last rebase")}
    assert rebased(left, {}, {})[b"var/lib/skinnybox/owners"].content == b"of the last rebase"


def test_a_record_of_both_keeps_the_machines_mode_and_owner(rebased: Rebased) -> None:
    """What somebody closed is not opened by being put together anew."""
    status, systems = b"var/lib/dpkg/status", (a_system("git=1"), a_system("git=2"))
    stanza = "Package: {}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {}\n\n".format
    old, new = ({status: f(stanza("git", version))} for version in "12")
    files = {"git:amd64": ("usr/bin/git",)}, {"git:amd64": ("usr/bin/git",)}
    upper = {status: f(stanza("git", "1") + stanza("own", "1"), mode=0o600, uid=7, xattrs={"user.k": b"v"})}
    after = rebased(upper, old, new, systems=systems, files=files)[status]
    assert "own" in after.content.decode()
    assert (after.mode, after.uid, after.xattrs) == (0o600, 7, {"user.k": b"v"})


def test_what_an_image_does_not_hold_is_not_copied(rebased: Rebased, monkeypatch: pytest.MonkeyPatch) -> None:
    """A master's damaged image would go on in a machine's own disk, where nobody verifies it."""
    monkeypatch.setattr(rebased_disk.Model, "pieces", lambda model, path: iter([b"else"]))
    with pytest.raises(Corrupt, match="usr/a of a master is not what its index says"):
        rebased({b"usr/a": f("1", mode=0o600)}, {b"usr/a": f("1")}, {b"usr/a": f("2")})
