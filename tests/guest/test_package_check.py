"""skinnybox-guest-check: what it says of systems that would become a master, and of others."""

import pytest

from skinnybox import run
from tests.guest.conftest import GUEST, Ended, Shell

PROGRAM = GUEST / "package/skinnybox-guest-check"
KERNEL = "6.1.0-37-amd64"
FILES = (
    "usr/lib/systemd/systemd", "usr/lib/systemd/systemd-networkd", "usr/lib/systemd/systemd-resolved",
    "usr/sbin/sshd", "usr/bin/ip", f"boot/vmlinuz-{KERNEL}",
    *(f"usr/lib/modules/{KERNEL}/kernel/fs/{name}.ko.xz" for name in ("overlay", "ext4", "erofs")),
)  # fmt: skip
MOUNTS = "/dev/vda1 / ext4 rw 0 0\n"


@pytest.fixture
def system(shell: Shell) -> Shell:
    """With all that a master needs."""
    for path in FILES:
        put(shell, path)
    (shell.tmp / "root/sbin").mkdir()
    (shell.tmp / "root/sbin/init").symlink_to("/lib/systemd/systemd")
    put(shell, "../mounts", MOUNTS)
    return shell


def put(shell: Shell, path: str, text: str = "x") -> None:
    place = shell.tmp / "root" / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def looked(shell: Shell, *words: str) -> Ended:
    environment = {**shell.environment(), "MOUNTS": str(shell.tmp / "mounts")}
    argv = [*shell.argv, PROGRAM, *(words or [str(shell.tmp / "root")])]
    done = run.run(argv, env=environment, ok=range(256), timeout=30)
    return Ended(code=done.returncode, out=(done.stdout + done.stderr).decode())


def said(ended: Ended, word: str) -> list[str]:
    """What stands behind `word`, each with its hint."""
    lines = ended.out.splitlines()
    hints = (*lines[1:], "")
    found = zip(lines, hints, strict=True)
    return [f"{line[6:]}: {hint.strip()}" for line, hint in found if line.startswith(word)]


def test_a_system_that_is_fit_has_nothing_to_do(system: Shell) -> None:
    put(
        system,
        "etc/fstab",
        "UUID=1 / ext4 defaults 0 1\nESP /boot/efi vfat x 0 0\n#x /var xfs\n\nU none swap\n",
    )
    ended = looked(system)
    assert ended.code == 0 and (said(ended, "look"), said(ended, "no")) == ([], [])
    assert f"ok    the kernel {KERNEL} has overlay, ext4 and erofs\n" in ended.out
    assert "ok    the root is ext4 on /dev/vda1" in ended.out


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("usr/lib/systemd/systemd", "no systemd"),
        ("sbin/init", "/sbin/init is not systemd"),
        ("usr/sbin/sshd", "no sshd"),
        ("usr/bin/ip", "no ip"),
        ("usr/lib/systemd/systemd-networkd", "address of its seed"),
        (f"boot/vmlinuz-{KERNEL}", "no kernel"),
        (f"usr/lib/modules/{KERNEL}/kernel/fs/ext4.ko.xz", "lacks: ext4"),
    ],
)
def test_what_no_master_can_do_without_is_missed_by_name(system: Shell, path: str, words: str) -> None:
    (system.tmp / "root" / path).unlink()
    ended = looked(system)
    assert ended.code == 1
    [only] = said(ended, "no")
    assert words in only and not only.endswith(": ")


@pytest.mark.parametrize("where", ["modules.builtin", "config"])
def test_what_is_built_into_the_kernel_is_there(system: Shell, where: str) -> None:
    (system.tmp / f"root/usr/lib/modules/{KERNEL}/kernel/fs/ext4.ko.xz").unlink()
    if where == "config":
        put(system, f"boot/config-{KERNEL}", "CONFIG_EXT4_FS=y\n")
    else:
        put(system, f"usr/lib/modules/{KERNEL}/modules.builtin", "kernel/fs/ext4/ext4.ko\n")
    assert looked(system).code == 0
    put(system, f"boot/config-{KERNEL}", "CONFIG_EXT4_FS=m\n")
    assert looked(system).code == (1 if where == "config" else 0)


def test_the_kernel_is_the_one_that_import_takes(system: Shell) -> None:
    """The newest that has its modules; 6.1.0-9 is older than 6.1.0-37, and a rescue kernel is none."""
    for version in ("6.1.0-9-amd64", "6.12.1", "9-rescue-1"):
        put(system, f"boot/vmlinuz-{version}")
    put(system, "usr/lib/modules/9-rescue-1/modules.dep")
    put(system, "usr/lib/modules/6.1.0-9-amd64/modules.dep")
    assert f"the kernel {KERNEL} has" in looked(system).out
    put(system, "lib/modules/6.12.1/modules.dep")
    assert "the kernel 6.12.1, the newest, lacks: overlay ext4" in looked(system).out


def test_a_kernel_without_erofs_makes_a_larger_image(system: Shell) -> None:
    (system.tmp / f"root/usr/lib/modules/{KERNEL}/kernel/fs/erofs.ko.xz").unlink()
    ended = looked(system)
    assert ended.code == 0
    assert f"ok    the kernel {KERNEL} has overlay and ext4\n" in ended.out
    [only] = said(ended, "look")
    assert "an ext4" in only


def test_what_is_mounted_from_elsewhere_is_to_be_decided(system: Shell) -> None:
    put(
        system,
        "etc/fstab",
        "UUID=1 / ext4 x 0 1\nUUID=2 /var ext4 x 0 2\nUUID=3 /srv auto x 0 2\nUUID=4 /opt ext4 x 0 2\n"
        "nas:/home /home nfs4 x 0 0\n/dev/sr0 /cd iso9660 x 0 0\ntmpfs /tmp tmpfs x 0 0\n"
        "/srv/a /a none bind 0 0\nUUID=5 /hand ext4 rw,noauto 0 0\n"
        "UUID=6 /data xfs noauto,x-systemd.automount\n",
    )
    put(
        system,
        "../mounts",
        MOUNTS + "/dev/vda2 /var ext4 rw\n/dev/mapper/vg-srv /srv ext4 rw\n/dev/vdb1 /opt ext4 rw\n",
    )
    ended = looked(system)
    assert ended.code == 0
    assert "ok    /var (/dev/vda2) comes along with an image of the disk\n" in ended.out
    found = said(ended, "look")
    tar = found.pop()
    assert [line.partition(" ")[0] for line in found] == ["/srv", "/opt", "/home", "/data"]
    whys = ("on LVM", "on another disk", "on another machine", "it is xfs")
    assert all(why in line for why, line in zip(whys, found, strict=True))
    assert all(f"--leave-out {line.partition(' ')[0]})" in line for line in found)
    assert tar.endswith(f"-C {system.tmp}/root . ./var ./srv ./opt ./home ./data")


def test_disks_of_which_a_system_has_several(system: Shell) -> None:
    put(system, "etc/fstab", "UUID=2 /var ext4 x 0 2\nUUID=3 /srv ext4 x 0 2\n")
    mounts = "/dev/nvme0n1p2 / ext4 rw\n/dev/nvme0n1p3 /var ext4 rw\n/dev/nvme1n1p1 /srv ext4 rw\n"
    put(system, "../mounts", mounts)
    found = said(looked(system), "look")
    assert [line.partition(" ")[0] for line in found] == ["/srv", "a"]


@pytest.mark.parametrize(
    ("mount", "fits"),
    [
        ("/dev/nvme0n1p2 / ext4", True), ("/dev/vda / ext4", True), ("/dev/vda1 / xfs", False),
        ("/dev/mapper/ubuntu--vg-ubuntu--lv / ext4", False), ("/dev/md0 / ext4", False),
    ],
)  # fmt: skip
def test_a_root_that_no_image_gives_away(system: Shell, mount: str, fits: bool) -> None:
    put(system, "../mounts", f"{mount} rw 0 0\n")
    ended = looked(system)
    assert ended.code == 0
    assert [line.split(" ")[:3] for line in said(ended, "look")] == (
        [] if fits else [["the", "root", "cannot"], ["a", "tar", "brings"]]
    )


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        ("root/.ssh/id_ed25519", "x", "/root/.ssh/id_ed25519 would be in every machine"),
        ("etc/network/interfaces", "auto lo\niface lo inet loopback\niface ens3 inet dhcp\n", "own cards"),
        ("etc/netplan/50.yaml", "x", "own cards"),
    ],
)
def test_what_machines_would_rather_not_have(system: Shell, path: str, text: str, words: str) -> None:
    put(system, "root/.ssh/id_rsa.pub")
    put(system, "etc/network/interfaces", "auto lo\niface lo inet loopback\n")
    assert said(looked(system), "look") == []
    put(system, path, text)
    [only] = said(looked(system), "look")
    assert words in only
    assert looked(system).code == 0


def test_cloud_init_may_stay(system: Shell) -> None:
    assert "cloud-init" not in "".join(said(looked(system), "ok"))
    put(system, "usr/bin/cloud-init")
    assert "is off in all others" in "".join(said(looked(system), "ok"))
    assert said(looked(system), "look") == []


def test_a_thin_machine_is_no_source(system: Shell) -> None:
    put(system, "run/skinnybox/host/instance", "1")
    ended = looked(system)
    assert ended.code == 1 and "flatten" in said(ended, "no")[0]


def test_where_there_is_no_system(system: Shell) -> None:
    assert looked(system, str(system.tmp / "run")).code == 2
    assert looked(system, "--help").out.startswith("usage: ")


@pytest.mark.parametrize("script", ["preinst", "prerm"])
def test_a_thin_machine_keeps_its_guest_part(shell: Shell, script: str) -> None:
    def went(*words: str) -> int:
        environment = {**shell.environment(), "DPKG_ROOT": str(shell.tmp / "root")}
        argv = [*shell.argv, str(GUEST / "package" / script), *words]
        return run.run(argv, env=environment, ok=range(256)).returncode

    refused = ["install", "upgrade"] if script == "preinst" else ["remove"]
    others = ["abort-upgrade"] if script == "preinst" else ["upgrade", "failed-upgrade", "deconfigure"]
    assert [went(word) for word in refused + others] == [0] * len(refused + others)
    put(shell, "run/skinnybox/host/instance", "1")
    assert [went(word) for word in refused] == [1] * len(refused)
    assert [went(word) for word in others] == [0] * len(others)
