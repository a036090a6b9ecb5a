"""Trees that something else than systemd starts: what is put there, that it is the same the second time, that
it goes when the init changes, and that nothing outside is touched."""

import os
from pathlib import Path

import pytest

from skinnybox.errors import Unsupported
from skinnybox.masters.fitting import inits
from skinnybox.masters.fitting.fit import fit
from skinnybox.masters.guest_part import guest_folder
from tests.unit.test_masters_fitting import OLD, listing, put

INITTAB = """# /etc/inittab
id:2:initdefault:
si::sysinit:/etc/init.d/rcS
l2:2:wait:/etc/init.d/rc 2
1:2345:respawn:/sbin/getty 38400 tty1"""
LINE = "skin:2345:once:/usr/lib/skinnybox/after-boot\n"
STOP = """TARGETS = sendsigs umountfs umountroot halt reboot
INTERACTIVE =
umountfs: sendsigs
umountroot: umountfs
halt: umountroot
reboot: umountroot
"""


def link(tree: Path, path: str, target: str) -> None:
    place = tree / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """With sysvinit and its scripts, ordered by insserv. Its inittab has no newline at its end."""
    made = tmp_path / "tree"
    put(made, "sbin/init", mode=0o755)
    put(made, "etc/inittab", INITTAB)
    put(made, "etc/init.d/.depend.stop", STOP)
    for level, last in (("0", "halt"), ("6", "reboot")):
        link(made, f"etc/rc{level}.d/K05umountroot", "../init.d/umountroot")
        link(made, f"etc/rc{level}.d/K06{last}", f"../init.d/{last}")
    for place in [*made.rglob("*"), made]:
        os.utime(place, (OLD, OLD), follow_symlinks=False)
    return made


def test_it_is_the_same_the_second_time_and_has_the_times_of_the_tree(tree: Path) -> None:
    fit(tree)
    before = listing(tree)
    fit(tree)
    assert listing(tree) == before
    assert {seconds // 10**9 for _, seconds, _ in before.values()} == {OLD}


def test_our_line_of_the_inittab_comes_after_all_others(tree: Path) -> None:
    assert inits.fit(tree) == "inittab"
    assert (tree / "etc/inittab").read_text() == f"{INITTAB}\n{LINE}"


def test_one_of_a_guest_part_before_is_replaced(tree: Path) -> None:
    text = f"old::once:/usr/lib/skinnybox/former\n{INITTAB}\n"
    (tree / "etc/inittab").write_text(text)
    inits.fit(tree)
    assert (tree / "etc/inittab").read_text() == f"{INITTAB}\n{LINE}"


def test_busybox_has_lines_of_its_own_kind_and_settles_the_disk_itself(tmp_path: Path) -> None:
    put(tmp_path, "bin/busybox")
    link(tmp_path, "sbin/init", "/bin/busybox")
    put(tmp_path, "etc/inittab", "::sysinit:/etc/init.d/rcS\n::shutdown:/bin/umount -a -r\n")
    assert inits.fit(tmp_path) == "inittab"
    assert (tmp_path / "etc/inittab").read_text().splitlines()[2:] == [
        "::once:/usr/lib/skinnybox/after-boot",
        "::shutdown:/usr/lib/skinnybox/settle",
    ]


def test_what_settles_the_disk_comes_after_umountroot_and_before_the_power_goes(tree: Path) -> None:
    inits.fit(tree)
    for level, last in (("0", "halt"), ("6", "reboot")):
        names = sorted(path.name for path in (tree / f"etc/rc{level}.d").iterdir())
        assert names == ["K05umountroot", "K05umountskinnybox", f"K06{last}"]
    lines = (tree / "etc/init.d/.depend.stop").read_text().splitlines()
    assert lines[0].split()[2:] == ["sendsigs", "umountfs", "umountroot", "halt", "reboot", "umountskinnybox"]
    rules = dict(line.split(": ") for line in lines if ": " in line)
    assert rules["umountskinnybox"] == "umountroot"
    assert rules["halt"].split() == rules["reboot"].split() == ["umountroot", "umountskinnybox"]
    assert rules["umountfs"] == "sendsigs"


def test_it_follows_umountroot_to_another_place(tree: Path) -> None:
    inits.fit(tree)
    (tree / "etc/rc0.d/K05umountroot").rename(tree / "etc/rc0.d/K11umountroot")
    inits.fit(tree)
    names = sorted(path.name for path in (tree / "etc/rc0.d").iterdir())
    assert names == ["K06halt", "K11umountroot", "K11umountskinnybox"]


def test_insserv_would_find_the_same_order_in_the_head_of_our_script() -> None:
    text = (guest_folder() / "inits/umountskinnybox").read_text()
    head = dict(line[2:].split(":", 1) for line in text.splitlines() if line.startswith("# ") and ":" in line)
    assert head["Provides"].strip() == "umountskinnybox"
    assert head["X-Stop-After"].strip() == "umountroot"
    assert {"halt", "reboot"} <= set(head["Should-Stop"].split())
    assert head["Default-Stop"].split() == ["0", "6"]


def test_openrc_starts_it_and_settles_the_disk_going_down(tmp_path: Path) -> None:
    link(tmp_path, "sbin/init", "/bin/busybox")
    put(tmp_path, "etc/inittab", "::sysinit:/sbin/openrc sysinit\n")
    put(tmp_path, "sbin/openrc")
    put(tmp_path, "etc/runlevels/default/sshd")
    assert inits.fit(tmp_path) == "openrc"
    for level, name in (("default", "skinnybox"), ("shutdown", "skinnybox-settle")):
        assert str((tmp_path / f"etc/runlevels/{level}/{name}").readlink()) == f"/etc/init.d/{name}"
        assert (tmp_path / f"etc/init.d/{name}").stat().st_mode & 0o111
    assert "skinnybox" not in (tmp_path / "etc/inittab").read_text()


def test_another_init_takes_the_place_of_the_one_before(tree: Path) -> None:
    before = listing(tree)
    inits.fit(tree)
    (tree / "sbin/init").unlink()
    put(tree, "lib/systemd/systemd")
    link(tree, "sbin/init", "/lib/systemd/systemd")
    assert inits.fit(tree) == "systemd"
    left = {path for path in listing(tree) if "umountskinnybox" in path or "after-boot" in path}
    assert left == set()
    for path in ("etc/inittab", "etc/init.d/.depend.stop"):
        assert (tree / path).read_text().rstrip() == before[path][2].rstrip()
    (tree / "sbin/init").unlink()
    put(tree, "sbin/init")
    assert inits.fit(tree) == "inittab"
    assert [path for path in listing(tree) if "skinnybox-r" in path or "system-shutdown/" in path] == []


@pytest.mark.parametrize(
    ("links", "expected"),
    [
        ({"usr/sbin/init": "../lib/systemd/systemd", "sbin": "usr/sbin"}, "systemd"),
        ({"usr/bin/init": "../lib/systemd/systemd", "sbin": "usr/bin", "usr/sbin": "bin"}, "systemd"),
        ({"sbin/init": "/etc/alternatives/init", "etc/alternatives/init": "/lib/systemd/systemd"}, "systemd"),
        ({"sbin/init": "upstart"}, "upstart"),
        ({"sbin/init": "openrc-init"}, "openrc"),
        ({"sbin/init": "/../../lib/systemd/systemd"}, "systemd"),
    ],
)
def test_where_the_links_lead_says_which_it_is(tmp_path: Path, links: dict[str, str], expected: str) -> None:
    for path, target in links.items():
        link(tmp_path, path, target)
    assert inits.fit(tmp_path) == expected


@pytest.mark.parametrize(
    "target", ["init", "runit-init", "/bin/busybox", "/usr/bin/s6-svscan", "loop/../init"]
)
def test_one_that_nobody_knows_is_refused_with_its_name(tmp_path: Path, target: str) -> None:
    link(tmp_path, "sbin/init", target)
    with pytest.raises(Unsupported, match="none of systemd, sysvinit") as caught:
        inits.fit(tmp_path)
    assert target.rpartition("/")[2] in caught.value.message and "systemd-sysv" in (caught.value.hint or "")
    assert not (tmp_path / "usr").exists()


@pytest.mark.parametrize("init", ["", "sbin/init"])
def test_systemd_is_believed_where_nothing_else_is_known(tmp_path: Path, init: str) -> None:
    put(tmp_path, "lib/systemd/systemd")
    if init:
        put(tmp_path, init, "#!/bin/sh\nexec /lib/systemd/systemd\n")
    assert inits.fit(tmp_path) == "systemd"


def test_systemd_that_is_only_there_is_not_what_starts_the_tree(tree: Path) -> None:
    put(tree, "lib/systemd/systemd")
    assert inits.fit(tree) == "inittab"


def test_a_tree_without_any_init_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="it has no /sbin/init"):
        inits.fit(tmp_path)


@pytest.mark.parametrize("path", ["etc/inittab", "etc/init.d/.depend.stop"])
def test_a_linked_file_outside_stays_as_it_is(tree: Path, tmp_path: Path, path: str) -> None:
    text = (tree / path).read_text()
    (tmp_path / "secret").write_text(text)
    (tree / path).unlink()
    (tree / path).symlink_to(tmp_path / "secret")
    if path == "etc/inittab":
        with pytest.raises(Unsupported):
            fit(tree)
    else:
        fit(tree)
    assert (tmp_path / "secret").read_text() == text


def test_a_folder_of_links_outside_gets_none(tree: Path, tmp_path: Path) -> None:
    (tree / "etc/rc0.d").rename(tmp_path / "outside")
    (tree / "etc/rc0.d").symlink_to(tmp_path / "outside")
    fit(tree)
    assert sorted(path.name for path in (tmp_path / "outside").iterdir()) == ["K05umountroot", "K06halt"]
