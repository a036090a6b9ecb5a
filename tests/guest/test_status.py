"""status.sh: what the ready report says, and when it is said again."""

from uuid import UUID

import pytest

from skinnybox.wire import decode
from tests.guest.conftest import GUEST, IMAGE, INSTANCE, Shell

PARTS = "message applied host failing room readiness services status"
IP = """ip() { cat <<'END'
2: ens3    inet 10.0.2.15/24 metric 1024 brd 10.0.2.255 scope global dynamic ens3
2: ens3    inet6 fd00::15/64 scope global tentative
END
}
"""


@pytest.fixture(autouse=True)
def machine(shell: Shell) -> None:
    tmp = shell.tmp
    for folder in ("proc/sys/kernel", "root/var/lib/skinnybox/disk", "sys/fs/ext4/vdq"):
        (tmp / folder).mkdir(parents=True)
    (tmp / "proc/uptime").write_text("12.34 3.00\n")
    (tmp / "proc/mounts").write_text(
        "/dev/vdq / overlay rw 0 0\n/dev/vdq /var/lib/skinnybox/disk ext4 rw 0 0\n"
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


def test_what_this_start_has_to_tell_is_a_reason_though_it_is_ready(shell: Shell) -> None:
    (shell.tmp / "run/data-told").write_text("it has no perl\n")
    words = "ready_report '' 1000000 500000"
    assert (
        "state ready\nnonce abc123\n" in (said := shell(PARTS, words).out)
        and "reason it has no perl\n" in said
    )
    said = shell(PARTS, f"STANDING=failed STANDING_WHY=other; {words}").out
    assert "reason other\n" in said and "no perl" not in said


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


SYSTEMCTL = r"""systemctl() { printf '%s\n' 'apache2.service loaded failed failed The Apache HTTP Server' \
    'a\x2db.mount loaded failed failed /a-b'; }
"""


def test_units_that_failed_are_reported(shell: Shell) -> None:
    text = shell(PARTS, SYSTEMCTL + 'ready_report "" 1000000 500000 "$(failed_units)"').out
    lines = decode(text.encode(), "report").lines
    assert [line.value for line in lines if line.key == "failed-unit"] == ["apache2.service", r"a\x2db.mount"]
    assert shell(PARTS, "systemctl() { seq 100; }\nfailed_units | wc -l").out.strip() == "64"
    assert shell(PARTS, "systemctl() { return 127; }\nset -e\nfailed_units\necho on").out == "on\n"


FSTAB = """# what was there
/dev/vdz  /srv\tauto  defaults 0 2

UUID=1    /var/with\\040blank ext4 nosuid
LABEL=x   /media/x ext4 nofail
LABEL=y   /media/y ext4 noauto,user
LABEL=z   none swap sw
LABEL=z   none what sw
tmpfs     /tmp tmpfs defaults
proc      /pro proc defaults
"""


def test_a_machine_in_emergency_mode_says_why(shell: Shell) -> None:
    (shell.tmp / "root/etc/fstab").write_text(FSTAB)
    with (shell.tmp / "proc/mounts").open("a") as mounts:
        mounts.write("tmpfs /tmp tmpfs rw 0 0\nproc /proc proc rw 0 0\n")
    message = decode(shell(PARTS, SYSTEMCTL + "emergency_report emergency").out.encode(), "report")
    assert message.get("state") == "failed"
    assert message.get("reason") == (
        r"it came up in emergency mode only; not mounted: /srv /var/with\040blank /pro; "
        r"failed units: apache2.service a\x2db.mount"
    )
    (shell.tmp / "root/etc/fstab").unlink()
    text = shell(PARTS, "systemctl() { :; }\nemergency_report rescue").out
    assert decode(text.encode(), "report").get("reason") == "it came up in rescue mode only"


def test_an_ordinary_system_in_emergency_mode_tells_no_host(shell: Shell) -> None:
    """It may have the package, and a port of that name or a xenstore that are not ours to write to."""
    port = shell.tmp / "sys/class/virtio-ports/vport0p1"
    port.mkdir(parents=True)
    (port / "name").write_text("skinnybox.report\n")
    line = f"sh {GUEST}/bin/emergency emergency"
    (shell.tmp / "run/host/instance").unlink()
    assert shell("host", line).code == 0
    assert not (shell.tmp / "dev/vport0p1").exists() and not (shell.tmp / "run/report").exists()
    shell.says(instance=INSTANCE)
    shell("host", line)
    assert decode((shell.tmp / "dev/vport0p1").read_bytes(), "report").get("state") == "failed"


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
failed_units() { [ "$looks_left" -gt 0 ] || echo 'x.service'; }
tell_for_ever"""
    assert [" ".join(line.split()) for line in shell(PARTS, script).out.splitlines()] == [
        "told a 1/8 1000 900 0 0 at 8",
        "told a 2/8 1000 855 0 0 at 6",
        "told a 2/8 1000 760 0 0 at 4",
        "told a 2/8 1000 200 0 0 at 3",
        "told a 2/8 1000 185 0 0 at 1",
        "told a 2/8 1000 180 x.service 0 0 at 0",
    ]


def test_it_is_said_again_when_the_data_disk_fills(shell: Shell) -> None:
    script = """looks_left=4
sleep() { looks_left=$((looks_left - 1)); [ "$looks_left" -ge 0 ]; }
addresses() { echo 'a 1/8'; }
space() { echo 1000 900; }
data_space() { case $looks_left in 4 | 3) echo 500 400 ;; 2) echo 500 390 ;; 1) echo 500 370 ;; *) ;; esac; }
tell() { echo "told $* at $looks_left"; }
failed_units() { :; }
tell_for_ever"""
    assert [" ".join(line.split()) for line in shell(PARTS, script).out.splitlines()] == [
        "told a 1/8 1000 900 500 400 at 4",
        "told a 1/8 1000 900 500 370 at 1",
        "told a 1/8 1000 900 0 0 at 0",  # somebody has unmounted it
    ]


def test_how_full_the_data_disk_is(shell: Shell) -> None:
    """As its filesystem says where one of its folders is; what ext4 keeps for itself is not free."""
    stat = """stat() { case $4 in */root/srv/data) echo '4096 100 60' ;; *) echo '4096 1000 900' ;; esac; }
"""
    run, root = shell.tmp / "run", shell.tmp / "root"
    assert shell(PARTS, f"{stat}data_space").out == ""
    (run / "data-disk").write_text("/dev/vdq\n")
    (run / "data-folders").write_text("/srv/data\n/srv/more\n")
    assert shell(PARTS, f"{stat}data_space").out == ""  # somebody has removed it
    (root / "srv/data").mkdir(parents=True)
    assert shell(PARTS, f"{stat}data_space").out == f"{4096 * 100} {4096 * 40}\n"
    text = shell(PARTS, "ready_report '' 1000000 500000 '' '' 4000 3000").out
    assert decode(text.encode(), "report").get("data") == "4000 3000"


def test_it_looks_often_at_first(shell: Shell) -> None:
    script = """looks_left=7
sleep() { echo "$1"; looks_left=$((looks_left - 1)); [ "$looks_left" -gt 0 ]; }
space() { echo 1000 900; }
addresses() { :; }
failed_units() { :; }
tell() { :; }
tell_for_ever"""
    assert shell(PARTS, script).out.split() == ["1", "2", "4", "8", "15", "15", "15"]
