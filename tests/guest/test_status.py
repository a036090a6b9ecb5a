"""status.sh: what the ready report says, and when it is said again."""

from uuid import UUID

import pytest

from skinnybox.wire import decode
from tests.guest.conftest import IMAGE, INSTANCE, Shell

PARTS = "message applied host status"
IP = """ip() { cat <<'END'
2: ens3    inet 10.0.2.15/24 metric 1024 brd 10.0.2.255 scope global dynamic ens3
2: ens3    inet6 fd00::15/64 scope global tentative
END
}
"""


@pytest.fixture(autouse=True)
def machine(shell: Shell) -> None:
    tmp = shell.tmp
    for folder in ("proc/sys/kernel", "root/media/root-rw", "root/var/lib/skinnybox", "sys/fs/ext4/vdq"):
        (tmp / folder).mkdir(parents=True)
    (tmp / "proc/uptime").write_text("12.34 3.00\n")
    (tmp / "proc/mounts").write_text(
        "skinnybox / overlay rw 0 0\n/dev/vda /media/root-ro erofs ro,relatime 0 0\n"
    )
    (tmp / "proc/sys/kernel/osrelease").write_text("6.1.0-9-cloud-amd64\n")
    (tmp / "sys/fs/ext4/vdq/reserved_clusters").write_text("20\n")
    (tmp / "run/images").write_text(IMAGE + "\n")
    (tmp / "run/disk").write_text("/dev/vdq\n")
    (tmp / "root/var/lib/skinnybox/seed-applied").write_text(f"3 {INSTANCE}\n")
    (tmp / "root/etc/ssh/ssh_host_ed25519_key.pub").write_text("ssh-ed25519 AAAA skinnybox x\n")


@pytest.mark.parametrize(
    ("file", "text", "polls"),
    [
        ("sys/class/net/ens3/device", "", 3),
        ("sys/bus/pci/devices/0000:00:02.0/class", "0x020000\n", 3),  # its driver comes when udev comes to it
        ("sys/bus/xen/devices/vif-0", "", 3),
        ("sys/bus/pci/devices/0000:00:03.0/class", "0x010000\n", 0),
        ("sys/class/net/lo/address", "", 0),
    ],
)
def test_a_card_is_waited_for_before_its_driver_is_there(
    shell: Shell, file: str, text: str, polls: int
) -> None:
    (shell.tmp / file).parent.mkdir(parents=True)
    (shell.tmp / file).write_text(text)
    script = "addresses() { :; }\nADDRESS_POLLS=3\nwait_for_address"
    assert shell(PARTS, script, stubs=["sleep"]).calls == ["sleep 0.2"] * polls


def test_what_udev_has_not_come_to_yet_is_waited_for(shell: Shell) -> None:
    assert shell(PARTS, "wait_for_devices", stubs=["udevadm"]).calls == ["udevadm settle --timeout=30"]
    assert shell(PARTS, "udevadm() { return 1; }\nset -e\nwait_for_devices\necho on").out == "on\n"
    assert shell(PARTS, "command() { return 1; }\nset -e\nwait_for_devices\necho on").out == "on\n"


def test_a_ready_report(shell: Shell) -> None:
    text = shell(PARTS, IP + 'ready_report "$(addresses)" 1000000 500000').out
    message = decode(text.encode(), "report")
    assert [(line.key, line.value) for line in message.lines] == [
        ("state", "ready"),
        ("nonce", "abc123"),
        ("instance", INSTANCE),
        ("image", IMAGE),
        ("seed", "3"),
        ("dax", "off"),
        ("overlay", "1000000 500000"),
        ("address", "ens3 10.0.2.15/24"),
        ("ssh-host-key", "ssh-ed25519 AAAA"),
        ("kernel", "6.1.0-9-cloud-amd64"),
        ("uptime", "12.34"),
    ]
    assert UUID(message.get("image"))


@pytest.mark.parametrize(("free", "full"), [(19999, True), (20000, False)])
def test_full_is_said_below_two_percent(shell: Shell, free: int, full: bool) -> None:
    text = shell(PARTS, f"ready_report '' 1000000 {free}").out
    assert ("\nfull\n" in text) is full
    decode(text.encode(), "report")


@pytest.mark.parametrize(
    ("mounted", "said"),
    [("on\n", "on"), ("on\non\n", "on"), ("on\noff\n", "off"), ("off\non\n", "off"), ("", "off")],
)
def test_dax_is_on_when_every_image_is_mapped(shell: Shell, mounted: str, said: str) -> None:
    (shell.tmp / "run/dax").write_text(mounted)
    assert shell(PARTS, "dax").out == f"{said}\n"


def test_an_initramfs_that_knows_no_dax_has_none(shell: Shell) -> None:
    assert shell(PARTS, "dax").out == "off\n"


@pytest.mark.parametrize(("free", "said"), [(120, 100), (20, 0), (7, 0)])
def test_what_ext4_keeps_for_itself_is_not_free(shell: Shell, free: int, said: int) -> None:
    stat = f"stat() {{ echo 4096 1000 {free}; }}\n"
    assert shell(PARTS, stat + "space").out == f"{4096 * 1000} {4096 * said}\n"


def test_a_machine_without_a_card_waits_for_no_address(shell: Shell) -> None:
    (shell.tmp / "sys/class/net/lo").mkdir(parents=True)
    ended = shell(PARTS, "addresses() { :; }\nwait_for_address", stubs=["sleep"])
    assert ended.calls == []


def test_the_wait_for_an_address_ends(shell: Shell) -> None:
    (shell.tmp / "sys/class/net/ens3/device").mkdir(parents=True)
    ended = shell(PARTS, "ADDRESS_POLLS=3; addresses() { :; }\nwait_for_address", stubs=["sleep"])
    assert ended.calls == ["sleep 0.2"] * 3


def test_a_report_nobody_took_is_sent_again(shell: Shell) -> None:
    script = """sent=0
send_report() { sent=$((sent + 1)); echo "try $sent"; [ "$sent" -eq 3 ]; }
tell '' 100 50"""
    ended = shell(PARTS, script, stubs=["sleep"])
    assert ended.out == "try 1\ntry 2\ntry 3\n"
    assert ended.calls == ["sleep 5"] * 2


def test_it_is_said_again_only_when_something_changed(shell: Shell) -> None:
    """A script of looks: the address changes once, the free space slowly; finer steps when it gets tight."""
    script = """looks_left=8
sleep() { looks_left=$((looks_left - 1)); [ "$looks_left" -ge 0 ]; }
addresses() { [ "$looks_left" -gt 6 ] && echo 'a 1/8' || echo 'a 2/8'; }
space() {
    case $looks_left in
    8) set 900 ;; 7) set 860 ;; 6) set 855 ;; 5) set 815 ;;
    4) set 760 ;; 3) set 200 ;; 2) set 195 ;; 1) set 185 ;;
    *) set 180 ;;
    esac
    echo 1000 $1
}
tell() { echo "told $* at $looks_left"; }
tell_for_ever"""
    assert shell(PARTS, script).out.splitlines() == [
        "told a 1/8 1000 900 at 8",
        "told a 2/8 1000 855 at 6",
        "told a 2/8 1000 760 at 4",
        "told a 2/8 1000 200 at 3",
        "told a 2/8 1000 185 at 1",
    ]
