"""What becomes of each line of a stranger's fstab and crypttab."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skinnybox.errors import NotFound, SkinnyboxError, Unsupported, UsageError
from skinnybox.masters.disk_parts import DiskPart
from skinnybox.masters.disk_sources import locator
from skinnybox.masters.filesystem_table import parsed
from skinnybox.masters.mounts import Found, Plan, decide

A, B = "0a0a0a0a-1111-2222-3333-444444444444", "0b0b0b0b-1111-2222-3333-444444444444"
MIB = 1 << 20


def part(number: int, *names: str, holds: str = "ext4", kernel: bool = False) -> DiskPart:
    return DiskPart(
        number=number, start=number * MIB, length=MIB, holds=holds, clean=True, kernel=kernel, names=names
    )


ROOT = DiskPart(
    number=1, start=MIB, length=MIB, holds="ext4", clean=True, system=True, names=(f"UUID={A}", "LABEL=root")
)
DISK = (
    ROOT,
    part(2, f"UUID={B}", "LABEL=my srv", "PARTUUID=11111111-02", "PARTLABEL=Service"),
    part(3, "UUID=beef", holds="xfs"),
    part(4, "LABEL=twin"),
    part(5, "LABEL=twin"),
    part(6, holds="LVM"),
)


def settled(
    fstab: str,
    leave_out: Sequence[str] = (),
    *,
    crypttab: str = "",
    parts: Sequence[DiskPart] = DISK,
    root: DiskPart = ROOT,
) -> Plan:
    tables = parsed(fstab.encode(), crypttab.encode())
    return decide(tables, locator(tables, parts, root), leave_out, "disk")


def refusal(fstab: str, leave_out: Sequence[str] = (), *, crypttab: str = "") -> str:
    with pytest.raises(Unsupported) as caught:
        settled(fstab, leave_out, crypttab=crypttab)
    assert caught.value.hint is not None
    return f"{caught.value.message}\n{caught.value.hint}"


@pytest.mark.parametrize(
    "source",
    [
        f"UUID={B}", f"UUID={B.upper()}", f'UUID="{B}"', "LABEL=my\\040srv", "PARTUUID=11111111-02",
        "PARTLABEL=Service", f"/dev/disk/by-uuid/{B}", "/dev/disk/by-label/my\\134x20srv",
        "/dev/disk/by-partuuid/11111111-02", "/dev/sda2", "/dev/vda2", "/dev/xvda2", "/dev/nvme0n1p2",
        "/dev/mmcblk0p2",
    ],
)  # fmt: skip
def test_every_name_of_a_partition_finds_it(source: str) -> None:
    plan = settled(f"# ours\nLABEL=root / ext4 defaults 0 1\n{source} /srv ext4 defaults 0 2\n")
    assert plan.parts == (("/srv", DISK[1]),)
    assert plan.brought.placed == ("/srv",)
    assert plan.fstab == "# ours\nLABEL=root / ext4 defaults 0 1\n"


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("UUID=beef", "partition 3 holds xfs, and only ext4 can be read"),
        ("LABEL=twin", "partition 4 and partition 5 are all LABEL=twin"),
        ("LABEL=root", "partition 1 is the root itself"),
        ("UUID=cafe", r"UUID=cafe is not on this image \(partition 6 holds LVM\)"),
        ("/dev/sdb2", "/dev/sdb2 is not on this image"),
        ("/dev/sda9", "/dev/sda9 is not on this image"),
        ("/dev/sdb", "/dev/sdb is not on this image"),
        ("/dev/mapper/vg-srv", "/dev/mapper/vg-srv is a volume of LVM"),
        ("/dev/vg/srv", "/dev/vg/srv is a volume of LVM"),
        ("/dev/md0", "/dev/md0 is a RAID"),
        ("nas:/x", r"nas:/x \(ext4\) lies on another machine"),
        ("//nas/x", r"//nas/x \(ext4\) lies on another machine"),
    ],
)  # fmt: skip
def test_what_cannot_be_brought_is_refused_by_name(source: str, why: str) -> None:
    with pytest.raises(Unsupported, match=f"/srv: {why}") as caught:
        settled(f"LABEL=root / ext4 defaults 0 1\n{source} /srv ext4 defaults,nofail 0 2\n")
    assert caught.value.hint is not None
    assert "--leave-out /srv;" in caught.value.hint and caught.value.hint.endswith("-C / . ./srv")
    plan = settled(f"#1\n{source} /srv/ ext4 defaults 0 2\ntmpfs /tmp tmpfs\n", ["/srv/"])
    assert (plan.parts, plan.brought.left_out) == ((), ("/srv",))
    assert plan.fstab == "#1\ntmpfs /tmp tmpfs\n"


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "9p", "fuse.sshfs", "glusterfs", "ceph"])
def test_file_servers_are_refused_by_their_kind(kind: str) -> None:
    assert f"/mnt: share ({kind}) lies on another machine" in refusal(f"share /mnt {kind} ro 0 0")


def test_all_refusals_are_told_at_once() -> None:
    said = refusal("nas:/a /a nfs\nnas:/b /b nfs\nUUID=x /c auto")
    assert "/a: nas:/a" in said and "/b: nas:/b" in said and "/c: UUID=x is not" in said
    assert "--leave-out /a --leave-out /b --leave-out /c" in said
    many = refusal("".join(f"UUID=x /m{number} ext4\n" for number in range(40)))
    assert "; and 30 more" in many and len(many) < 2000


def test_no_name_does_anything_to_the_shell_that_the_hint_is_for() -> None:
    assert "--leave-out '/$(reboot)'; or make" in refusal("UUID=x /$(reboot) ext4")
    assert refusal("UUID=x /a\\040b ext4").endswith("-C / . './a b'")


def test_tables_without_end_are_refused() -> None:
    for tables in ((b"x /srv ext4\n" * 513, b""), (b"", b"x y\n" * 513)):
        with pytest.raises(Unsupported, match="more than 512"):
            parsed(*tables)


UNTOUCHED = """\
# /etc/fstab
UUID=1 / ext4 errors=remount-ro 0 1
UUID=2 /boot/efi vfat umask=0077 0 1
UUID=3 none swap sw 0 0
/swapfile none swap sw
proc /proc proc
tmpfs /tmp tmpfs nosuid
/srv/www /var/www none bind 0 0
/srv/disk.img /mnt ext4 loop,ro 0 0
UUID=4 /backup ext4 noauto,user 0 0
/dev/sr0 /media/cdrom0 udf,iso9660 user,noauto 0 0
nonsense
"""


def test_what_a_thin_machine_can_do_stays_as_it_is() -> None:
    plan = settled(UNTOUCHED)
    assert (plan.parts, plan.fstab, plan.crypttab, plan.brought.placed) == ((), None, None, ())


@pytest.mark.parametrize("line", ["/dev/sr0 /cd auto ro", "/dev/cdrom /cd iso9660", "/dev/fd0 /floppy auto"])
def test_drives_that_no_thin_machine_has_go(line: str) -> None:
    assert settled(f"{line}\n").fstab == ""


def test_what_is_mounted_at_its_first_use_is_brought_too() -> None:
    line = "LABEL=my\\040srv /srv ext4 noauto,x-systemd.automount 0 0"
    assert settled(line).brought.placed == ("/srv",)


def test_folders_above_come_first_whatever_their_lines() -> None:
    fstab = f"LABEL=a /var/log/x auto\nUUID={B} /var/log auto\nLABEL=b /var auto\n"
    parts = (*DISK[:2], part(7, "LABEL=a"), part(8, "LABEL=b"))
    plan = settled(fstab, parts=parts)
    assert [place for place, _ in plan.parts] == ["/var", "/var/log", "/var/log/x"]


def test_how_a_system_protects_itself_is_kept() -> None:
    plan = settled(f"UUID={B} /my\\040srv ext4 nodev,noatime,nosuid,usrquota 0 2\nproc /proc proc\n")
    assert plan.fstab == "proc /proc proc\n/my\\040srv /my\\040srv none bind,nosuid,nodev 0 0\n"


def test_what_is_there_twice_is_refused() -> None:
    parts = (*DISK[:2], part(7, "LABEL=a"))
    with pytest.raises(Unsupported, match="/srv: is mounted twice"):
        settled(f"UUID={B} /srv ext4\nLABEL=a //srv/. ext4", parts=parts)
    assert f"/www: UUID={B} is mounted at /srv too" in refusal(f"UUID={B} /srv ext4\nUUID={B} /www ext4")
    assert settled(f"UUID={B} /srv ext4\nUUID={B} /www ext4", ["/www"]).brought.placed == ("/srv",)


def test_what_shows_a_folder_of_what_is_left_out_goes_with_it() -> None:
    fstab = f"nas:/x /srv nfs\nUUID={B} /srv/own ext4\n/srv/www /var/www none bind\n/srv/own/a /a none bind\n"
    plan = settled(fstab, ["/srv"])
    assert plan.brought.left_out == ("/srv", "/var/www")
    assert plan.fstab == "/srv/own/a /a none bind\n"


def test_device_names_count_only_for_the_disk_of_the_root() -> None:
    at_sda = "/dev/sda1 / ext4\n{} /srv ext4\n"
    assert settled(at_sda.format("/dev/sda2")).brought.placed == ("/srv",)
    assert "/dev/vda2 is not on this image" in refusal(at_sda.format("/dev/vda2"))
    at_sdb = "/dev/sdb1 / ext4\n{} /srv ext4\n"
    assert settled(at_sdb.format("/dev/sdb2")).brought.placed == ("/srv",)
    assert "/dev/sda2 is not on this image" in refusal(at_sdb.format("/dev/sda2"))
    # Another partition than the root's: these names are of another time.
    assert "/dev/sda2 is not on this image" in refusal("/dev/sda3 / ext4\n/dev/sda2 /srv ext4\n")


def test_a_boot_volume_is_known_by_its_kernel_too() -> None:
    parts = (*DISK, part(7, kernel=True))
    assert settled("UUID=stale /boot ext2", parts=parts).parts == (("/boot", parts[-1]),)
    assert "UUID=stale is not on this image" in refusal("UUID=stale /boot ext2")


def test_what_is_to_be_left_out_must_be_there() -> None:
    with pytest.raises(NotFound, match="mounts nothing at /srvv") as caught:
        settled(f"UUID={B} /srv ext4", ["/srvv"])
    assert caught.value.hint == "there are: /srv"
    for path in ("/", "srv", "", "//"):
        with pytest.raises(UsageError):
            settled(f"UUID=1 / ext4\nUUID={B} /srv ext4", [path])


def test_encrypted_disks_are_refused_by_name() -> None:
    crypttab = "# c\ndata UUID=x none luks\nlater UUID=y none luks,noauto\n"
    said = refusal("/dev/mapper/data /srv ext4", crypttab=crypttab)
    assert "/srv: /dev/mapper/data is encrypted" in said
    plan = settled("/dev/mapper/data /srv ext4\n", ["/srv"], crypttab=crypttab)
    assert (plan.fstab, plan.crypttab) == ("", "# c\nlater UUID=y none luks,noauto\n")


def test_what_is_decrypted_for_nobody_is_refused_too() -> None:
    said = refusal("", crypttab="data UUID=x none luks")
    assert "/dev/mapper/data: its crypttab decrypts that" in said and "--leave-out /dev/mapper/data" in said
    plan = settled("", ["/dev/mapper/data"], crypttab="data UUID=x none luks\n")
    assert (plan.brought.left_out, plan.crypttab, plan.fstab) == (("/dev/mapper/data",), "", None)
    # Below LVM: what lies on it has its own line.
    assert "--leave-out /dev" not in refusal("/dev/mapper/vg-srv /srv ext4", crypttab="c UUID=x none luks")


@pytest.mark.parametrize("rest", ["/dev/urandom swap,cipher=aes", "/dev/random", "none tmp", "none swap"])
def test_what_has_a_new_key_at_each_boot_holds_nothing(rest: str) -> None:
    plan = settled("/dev/mapper/c /tmp ext4\n#\n", crypttab=f"c /dev/sda9 {rest}\n")
    assert (plan.fstab, plan.crypttab, plan.brought.placed) == ("#\n", "", ())


@pytest.mark.parametrize(
    "line", [b"UUID=\x1b[2J /srv ext4", b"UUID=x /s\\033rv ext4", b"x /\xff ext4", b"x /a/../b ext4",
             b"x /" + b"n" * 256 + b" ext4", b"x " + b"/n" * 2000 + b" ext4", b"x /srv e\0xt4"],
)  # fmt: skip
def test_a_line_that_cannot_be_shown_is_refused_with_its_number(line: bytes) -> None:
    with pytest.raises(Unsupported, match="line 2 of its /etc/fstab") as caught:
        parsed(b"# one\n" + line, b"")
    assert caught.value.message.isprintable()


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_no_bytes_end_in_anything_but_a_plan_or_a_refusal(fstab: bytes, crypttab: bytes) -> None:
    try:
        tables = parsed(fstab, crypttab)
        plan = decide(tables, lambda _: Found(here=True), [], "disk")
    except SkinnyboxError as error:
        assert error.message.isprintable() and error.hint
        return
    for text in (plan.fstab or "", plan.crypttab or ""):
        text.encode("utf-8", "surrogateescape")


def test_a_mount_unit_is_as_good_as_a_line() -> None:
    text = f"[Unit]\nWhat=x\n[Mount]\nWhat=UUID={B}\nWhere = /my srv\nType=ext4\nOptions=nosuid,noauto\n"
    tables = parsed(b"", b"", [("my\\x20srv.mount", text.encode()), ("empty.mount", b"")])
    plan = decide(tables, locator(tables, DISK, ROOT), [], "disk")
    assert (plan.parts, plan.units) == ((("/my srv", DISK[1]),), ("my\\x20srv.mount",))
    assert plan.fstab == "/my\\040srv /my\\040srv none bind,nosuid 0 0\n"
    tables = parsed(b"", b"", [("srv.mount", b"[Mount]\nWhat=nas:/x\nWhere=/srv\nType=nfs\n")])
    with pytest.raises(Unsupported, match="/srv: nas:/x"):
        decide(tables, locator(tables, DISK, ROOT), [], "disk")
    plan = decide(tables, locator(tables, DISK, ROOT), ["/srv"], "disk")
    assert (plan.units, plan.fstab, plan.brought.left_out) == (("srv.mount",), None, ("/srv",))
    with pytest.raises(Unsupported, match=r"its /etc/systemd/system/a.mount names what cannot be shown"):
        parsed(b"", b"", [("a.mount", b"[Mount]\nWhat=a\x1bb\nWhere=/srv\n")])
