"""disks.sh: the right disk by whatever name the host gave it, or none."""

from tests.guest.conftest import IMAGE, Shell
from tests.guest.test_stack import PARTS, REFUSE, erofs


def test_a_disk_is_found_by_serial_whatever_its_name(shell: Shell) -> None:
    shell.disk("vda", None)
    shell.disk("xvdb", "something")
    shell.disk("sdq", "skinny-overlay")
    assert shell(PARTS, REFUSE + "find_disk skinny-overlay; echo $DISK").out == f"{shell.tmp}/dev/sdq\n"


def test_no_such_disk(shell: Shell) -> None:
    shell.disk("vda", "skinny-overlay-2")
    ended = shell(PARTS, REFUSE + "find_disk skinny-overlay", stubs=["sleep"])
    assert (ended.code, ended.out) == (9, "REFUSED: no disk called skinny-overlay appeared\n")
    assert ended.calls == ["sleep 0.1"]


def test_two_such_disks(shell: Shell) -> None:
    shell.disk("vda", "skinny-overlay")
    shell.disk("vdb", "skinny-overlay")
    ended = shell(PARTS, REFUSE + "find_disk skinny-overlay")
    assert ended.code == 9
    assert "several disks are called skinny-overlay" in ended.out


def test_a_disk_is_found_by_the_name_xen_gave_it(shell: Shell) -> None:
    """xen-blkfront's disks have no serial."""
    shell.disk("xvda", None)
    shell.disk("xvdb", None)
    assert shell(PARTS, REFUSE + "find_disk xvdb; echo $DISK").out == f"{shell.tmp}/dev/xvdb\n"


def test_a_scsi_disk_is_found_by_its_serial(shell: Shell) -> None:
    for name, serial in (("sda", b"\0\x80\0\x0dskinny-master"), ("sdb", b"\0\x80\0\x0eskinny-overlay")):
        shell.disk(name, None)
        (shell.tmp / "sys/block" / name / "device").mkdir()
        (shell.tmp / "sys/block" / name / "device/vpd_pg80").write_bytes(serial)
    assert shell(PARTS, REFUSE + "find_disk skinny-overlay; echo $DISK").out == f"{shell.tmp}/dev/sdb\n"


def test_a_name_that_two_disks_answer_to_is_none(shell: Shell) -> None:
    shell.disk("vdb", "xvdb")
    shell.disk("xvdb", None)
    assert shell(PARTS, REFUSE + "find_disk xvdb").code == 9


def test_an_image_lies_on_its_partition_where_firmware_boots_from_the_disk(shell: Shell) -> None:
    shell.disk("xvda", None)
    for number, name in enumerate(("esp", "skinny-master"), start=1):
        part = shell.tmp / f"sys/block/xvda/xvda{number}"
        part.mkdir()
        (part / "uevent").write_text(f"MAJOR=202\nPARTN={number}\nPARTNAME={name}\n")
    (shell.tmp / "dev/xvda2").write_bytes(erofs())
    assert shell(PARTS, REFUSE + f"find_image xvda {IMAGE}; echo $DISK").out == f"{shell.tmp}/dev/xvda2\n"


def test_a_disk_without_partitions_is_the_image(shell: Shell) -> None:
    shell.disk("xvda", None, erofs())
    (shell.tmp / "sys/block/xvda/queue").mkdir()
    assert shell(PARTS, REFUSE + f"find_image xvda {IMAGE}; echo $DISK").out == f"{shell.tmp}/dev/xvda\n"
