"""A tree that strangers made, made fit: what is put where, that it is the same the second time, and that
nothing outside is touched."""

import os
import stat
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import Unsupported
from skinnybox.masters import guest_part, inside
from skinnybox.masters.fitting import dpkg, systemd
from skinnybox.masters.fitting.fit import fit
from skinnybox.model import GUEST_PROTOCOL

OLD = 1_500_000_000


def put(tree: Path, path: str, text: str = "", mode: int = 0o644) -> None:
    place = tree / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    place.chmod(mode)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """With what a fitting looks for: systemd, its networking, dpkg, and a disk of its own."""
    made = tmp_path / "tree"
    for program in ("systemd", "systemd-networkd"):
        put(made, f"usr/lib/systemd/{program}", mode=0o755)
    (made / "lib").symlink_to("usr/lib")
    put(made, "usr/lib/systemd/system/systemd-networkd.service", NETWORKD)
    put(made, "usr/lib/systemd/system/systemd-networkd.socket", "[Install]\nWantedBy=sockets.target\n")
    put(made, "usr/lib/systemd/system/e2scrub_all.timer", "[Install]\nWantedBy=timers.target\n")
    (made / "etc/systemd/system/timers.target.wants").mkdir(parents=True)
    (made / "etc/systemd/system/timers.target.wants/e2scrub_all.timer").symlink_to("/x")
    put(made, "etc/fstab", FSTAB)
    put(made, "etc/initramfs-tools/update-initramfs.conf", "# x\nupdate_initramfs=yes\nbackup=no\n")
    put(made, "etc/kernel/postinst.d/initramfs-tools", mode=0o755)
    put(made, "var/lib/dpkg/status", STATUS)
    for place in [*made.rglob("*"), made]:
        os.utime(place, (OLD, OLD), follow_symlinks=False)
    return made


NETWORKD = """[Unit]
WantedBy=wrong.target
[Install]
WantedBy=multi-user.target
Alias=dbus-org.freedesktop.network1.service
Also=systemd-networkd.socket  missing.service
"""
FSTAB = """# kept
UUID=1 / ext4 defaults 0 1
UUID=2 none swap sw 0 0
nas:/x /srv nfs ro 0 0
ESP /boot/efi vfat
"""
ABOUT = "Architecture: all\nMaintainer: x\nDescription: y\n"
STATUS = f"""Package: linux-image-6.1.0-9-cloud-amd64
Status: install ok installed
Version: 1
{ABOUT}
Package: linux-image-6.1.0-8-cloud-amd64
Status: deinstall ok config-files
Version: 1
{ABOUT}
Package: grub-pc
Status: install ok installed
Version: 1
{ABOUT}
Package: apache2
Status: install ok installed
Version: 1
{ABOUT} Package: linux-image-of-its-text
"""


def listing(tree: Path) -> dict[str, tuple[int, int, str]]:
    return {
        str(path.relative_to(tree)): (
            path.lstat().st_mode, path.lstat().st_mtime_ns,
            str(path.readlink()) if path.is_symlink() else path.read_text() if path.is_file() else "",
        )
        for path in tree.rglob("*")
    }  # fmt: skip


def test_it_is_the_same_the_second_time_and_has_the_times_of_the_tree(tree: Path) -> None:
    fit(tree)
    before = listing(tree)
    fit(tree)
    assert listing(tree) == before
    assert {seconds // 10**9 for _, seconds, _ in before.values()} == {OLD}


def test_all_of_it_is_there(tree: Path) -> None:
    fit(tree)
    guest = guest_part.guest_folder()
    home = tree / "usr/lib/skinnybox"
    assert sorted(path.name for path in (home / "lib").iterdir()) == sorted(
        path.name for path in (guest / "lib").glob("*.sh")
    )
    for program in (guest / "bin").iterdir():
        assert stat.S_IMODE((home / program.name).stat().st_mode) == 0o755
    assert guest_part.has_guest_part(tree)
    assert guest_part.protocol_version(tree) == GUEST_PROTOCOL
    for folder in ("media/root-rw", "media/root-ro", "var/lib/skinnybox/disk"):
        assert (tree / folder).is_dir()
    for hooks in ("preinst.d", "postinst.d"):
        assert stat.S_IMODE((tree / f"etc/kernel/{hooks}/zz-skinnybox").stat().st_mode) == 0o755
    assert (tree / "usr/bin/skinnybox-guest").resolve() == home / "skinnybox-guest"
    assert (tree / "usr/lib/systemd/system/systemd-remount-fs.service.d/10-skinnybox.conf").is_file()


@pytest.mark.parametrize(
    "folder",
    [
        "system/systemd-networkd-wait-online.service.d",
        "system/systemd-remount-fs.service.d",
    ],
)
def test_an_administrator_has_the_last_word(tree: Path, folder: str) -> None:
    """Of files with these names, wherever they lie, systemd does what the last in this order says."""
    place = f"usr/lib/systemd/{folder}"
    put(tree, f"{place}/skinnybox.conf", "as it was called before")
    fit(tree)
    ours = [path.name for path in (tree / place).iterdir()]
    assert len(ours) == 1
    for theirs in ("override.conf", "local.conf", "size.conf", "50-mine.conf"):
        assert sorted([*ours, theirs])[-1] == theirs


def test_a_guest_part_of_another_version_is_replaced(tree: Path) -> None:
    put(tree, "usr/lib/skinnybox/lib/stack.sh", "an older one")
    put(tree, "usr/lib/skinnybox/protocol", "99\n")
    put(tree, "usr/share/initramfs-tools/scripts/init-top/skinnybox")
    fit(tree)
    source = guest_part.guest_folder() / "lib/stack.sh"
    assert (tree / "usr/lib/skinnybox/lib/stack.sh").read_bytes() == source.read_bytes()
    assert guest_part.protocol_version(tree) == GUEST_PROTOCOL
    assert not (tree / "usr/share/initramfs-tools/scripts/init-top/skinnybox").exists()


def test_what_is_put_away_is_noted(tree: Path) -> None:
    etc = tree / "etc/systemd/system"
    put(tree, "etc/systemd/system/modprobe@fuse.service", "of somebody")
    (etc / "modprobe@loop.service").symlink_to("/dev/null")  # of somebody, too
    (etc / "odd.wants").mkdir()
    (etc / "odd.wants/systemd-pstore.service").symlink_to("/a b")
    fit(tree)
    fit(tree)
    noted = (tree / "usr/lib/skinnybox/put-away").read_text().splitlines()
    masked = [f"masked etc/systemd/system/modprobe@{name}.service" for name in systemd.MASKED]
    assert noted == [
        *(line for line in masked if "fuse" not in line and "loop" not in line),
        "disabled etc/systemd/system/timers.target.wants/e2scrub_all.timer /x",
    ]
    assert not (etc / "odd.wants/systemd-pstore.service").is_symlink()
    (etc / "timers.target.wants/e2scrub_reap.service").symlink_to(
        "/y"
    )  # enabled in a machine that was promoted
    fit(tree)
    assert (tree / "usr/lib/skinnybox/put-away").read_text().splitlines() == [
        *noted, "disabled etc/systemd/system/timers.target.wants/e2scrub_reap.service /y"
    ]  # fmt: skip


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_is_to_run_is_nobody_elses(tree: Path) -> None:
    """The same bytes and mode, but somebody's own: he could change them when the machine runs."""
    fit(tree)
    report, lib = tree / "usr/lib/skinnybox/report", tree / "usr/lib/skinnybox/lib/stack.sh"
    os.chown(report, 1000, 1000)
    (tree / "home").mkdir()
    os.link(lib, tree / "home/mine")
    fit(tree)
    assert (report.stat().st_uid, report.stat().st_gid) == (0, 0)
    assert lib.stat().st_nlink == 1 and (tree / "home/mine").exists()


def test_it_has_no_version_while_something_is_missing(tree: Path) -> None:
    """Killed half-way, a tree has no guest part."""
    put(tree, "usr/lib/skinnybox/protocol", f"{GUEST_PROTOCOL}\n")
    (tree / "usr/lib/skinnybox/report").mkdir()
    with pytest.raises(Unsupported, match="usr/lib/skinnybox/report"):
        fit(tree)
    assert not guest_part.has_guest_part(tree)


@pytest.mark.parametrize("text", ["", "one\n", "-1\n"])
def test_nonsense_is_no_version(tmp_path: Path, text: str) -> None:
    put(tmp_path, "usr/lib/skinnybox/protocol", text)
    assert guest_part.protocol_version(tmp_path) is None


def test_root_boot_and_swap_leave_the_fstab_and_nothing_else(tree: Path) -> None:
    os.chown(tree / "etc/fstab", 7, 8)
    fit(tree)
    info = (tree / "etc/fstab").stat()
    assert (tree / "etc/fstab").read_text() == "# kept\nnas:/x /srv nfs ro 0 0\n"
    assert (info.st_uid, info.st_gid, info.st_mtime) == (7, 8, OLD)


def test_kernels_and_their_loader_are_held_and_nothing_else(tree: Path) -> None:
    fit(tree)
    status = (tree / "var/lib/dpkg/status").read_text()
    held = STATUS
    for name in ("linux-image-6.1.0-9-cloud-amd64", "grub-pc"):
        held = held.replace(f"Package: {name}\nStatus: install", f"Package: {name}\nStatus: hold")
    assert status == held and status.count("hold") == 2
    assert "update_initramfs=no\nbackup" in (tree / "etc/initramfs-tools/update-initramfs.conf").read_text()


@pytest.mark.skipif(run.find("dpkg-query") is None, reason="needs dpkg")
def test_dpkg_itself_finds_them_held(tree: Path) -> None:
    dpkg.hold(tree, "linux-image")
    said = run.run(
        ["dpkg-query", f"--admindir={tree}/var/lib/dpkg", "-W", "-f", "${Package} ${Status}\n", "linux*-9-*"]
    )
    assert said.stdout.decode() == "linux-image-6.1.0-9-cloud-amd64 hold ok installed\n"


def test_units_are_enabled_as_their_files_say(tree: Path) -> None:
    fit(tree)
    etc = tree / "etc/systemd/system"
    links = {str(path.relative_to(etc)): str(path.readlink()) for path in etc.rglob("*") if path.is_symlink()}
    unit = "/usr/lib/systemd/system/systemd-networkd"
    assert {name: to for name, to in links.items() if to != "/dev/null"} == {
        "multi-user.target.wants/systemd-networkd.service": f"{unit}.service",
        "dbus-org.freedesktop.network1.service": f"{unit}.service",
        "sockets.target.wants/systemd-networkd.socket": f"{unit}.socket",
    }
    assert links["modprobe@drm.service"] == "/dev/null"
    report = tree / "usr/lib/systemd/system/multi-user.target.wants/skinnybox-report.service"
    assert report.resolve() == tree / "usr/lib/systemd/system/skinnybox-report.service"


def test_what_a_machine_said_of_itself_is_in_no_master(tree: Path) -> None:
    for name in ("check", "active-units", "rebase", "rebase.failed", "rebase.done", "rebase.settled", "mine"):
        put(tree, f"var/lib/skinnybox/{name}", "of one machine\n")
    fit(tree)
    assert [path.name for path in (tree / "var/lib/skinnybox").iterdir() if path.is_file()] == ["mine"]
    rebase = tree / "usr/lib/systemd/system/sysinit.target.wants/skinnybox-rebase.service"
    assert rebase.resolve() == tree / "usr/lib/systemd/system/skinnybox-rebase.service"


@pytest.mark.skipif(run.find("systemctl") is None, reason="needs systemctl")
def test_systemctl_enables_in_the_same_way(tree: Path, tmp_path: Path) -> None:
    run.run(["cp", "-a", tree, tmp_path / "other"])
    put(tmp_path / "other", "usr/lib/systemd/system/missing.service", "")
    put(tree, "usr/lib/systemd/system/missing.service", "")
    run.run(["systemctl", f"--root={tmp_path / 'other'}", "enable", "systemd-networkd.service"])
    systemd.enable(tree, "systemd-networkd.service")
    made, wanted = ({str(path.relative_to(root)) for path in (root / "etc/systemd/system").rglob("*")}
                    for root in (tree, tmp_path / "other"))  # fmt: skip
    assert made == wanted


def test_what_an_administrator_masked_or_made_is_left_so(tree: Path) -> None:
    (tree / "etc/systemd/system/systemd-networkd.service").symlink_to("/dev/null")
    put(tree, "etc/systemd/system/modprobe@fuse.service", "of somebody")
    fit(tree)
    assert not (tree / "etc/systemd/system/multi-user.target.wants").exists()
    assert (tree / "etc/systemd/system/modprobe@fuse.service").read_text() == "of somebody"


def test_units_that_name_one_another_in_a_circle_end(tree: Path) -> None:
    put(tree, "usr/lib/systemd/system/systemd-networkd.socket", "[Install]\nAlso=systemd-networkd.service\n")
    fit(tree)


@pytest.mark.parametrize("name", ["../../../../outside", "a/b", "..", "/outside"])
def test_what_is_no_name_of_a_unit_leads_nowhere(tree: Path, name: str) -> None:
    text = f"[Install]\nWantedBy={name}\nAlias={name}\nAlso={name}\n"
    put(tree, "usr/lib/systemd/system/systemd-networkd.service", text)
    fit(tree)
    assert {path.name for path in (tree / "etc/systemd/system").iterdir()} <= {
        "timers.target.wants", *(f"modprobe@{module}.service" for module in systemd.MASKED),
    }  # fmt: skip
    assert sorted(path.name for path in tree.parent.iterdir()) == ["tree"]


@pytest.mark.parametrize("merged", [True, False])
def test_systemd_finds_what_runs_at_shutdown(tree: Path, merged: bool) -> None:
    if not merged:
        (tree / "lib").unlink()
        (tree / "lib").mkdir()
    fit(tree)
    found = [path for path in listing(tree) if path.endswith("system-shutdown/skinnybox")]
    assert found == [f"{'usr/lib' if merged else 'lib'}/systemd/system-shutdown/skinnybox"]


def test_a_tree_whose_init_nobody_knows(tmp_path: Path) -> None:
    put(tmp_path, "sbin/init")
    with pytest.raises(Unsupported, match="systemd"):
        fit(tmp_path)


@pytest.mark.parametrize("place", ["usr/lib/skinnybox", "etc/systemd", "media", "usr/lib/systemd/system"])
def test_a_link_in_the_way_is_refused_and_not_followed(tree: Path, tmp_path: Path, place: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    path = tree / place
    if path.exists():
        path.rename(tree / "aside")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(outside)
    with pytest.raises(Unsupported, match=place):
        fit(tree)
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("path", ["etc/fstab", "var/lib/dpkg/status", "usr/lib/skinnybox/lib/stack.sh"])
def test_a_linked_file_outside_stays_as_it_is(tree: Path, tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").write_text(FSTAB + STATUS)
    (tree / path).parent.mkdir(parents=True, exist_ok=True)
    (tree / path).unlink(missing_ok=True)
    (tree / path).symlink_to(tmp_path / "secret")
    fit(tree)
    assert (tmp_path / "secret").read_text() == FSTAB + STATUS


def test_devices_and_pipes_are_not_waited_for(tree: Path) -> None:
    (tree / "etc/fstab").unlink()
    os.mkfifo(tree / "etc/fstab")
    (tree / "usr/lib/skinnybox").mkdir()
    os.mkfifo(tree / "usr/lib/skinnybox/report")
    fit(tree)
    assert (tree / "usr/lib/skinnybox/report").is_file()


def test_a_file_in_place_of_a_folder_is_refused(tree: Path) -> None:
    (tree / "media").write_text("")
    with pytest.raises(Unsupported, match="/media"):
        fit(tree)


def test_inside_a_folder_is_not_taken_for_a_file(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    assert inside.open_file(tmp_path, "a/b") is None
    assert inside.exists(tmp_path, "a/b") and not inside.exists(tmp_path, "a/c")
    with pytest.raises(Unsupported, match="is a folder"):
        inside.put(tmp_path, "a/b", b"")
