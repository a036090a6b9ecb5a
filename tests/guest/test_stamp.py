"""stamp.sh: a report as keys of xenstore, and the emulator, which has none, says the same."""

import pytest

from tests.emulators.xapi import xenstore
from tests.guest.conftest import IMAGE, INSTANCE, Shell
from tests.guest.xenstored import Xenstored

PARTS = "message xenstore host stamp"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA"
READY = f"""skinnybox-report 1
state ready
nonce abc123
instance {INSTANCE}
image {IMAGE}
image bbbbbbbb-bbbb-8ccc-8ddd-eeeeeeeeeeee
seed 3
dax off
overlay 1000000 500000
address eth0 10.0.0.5/24
address eth0 10.0.0.6/24
address eth0 fd00::5/64
address eth1 192.168.1.5/24
ssh-host-key {KEY}
failed-unit apache2.service
failed-unit getty@tty1.service
kernel 6.1.0-44-cloud-amd64
uptime 12.34
end
"""
FAILED = f"""skinnybox-report 1
state failed
nonce abc123
instance {INSTANCE}
reason the overlay on /dev/xvdb is no ext4 filesystem
end
"""


def cards(shell: Shell, **names: str) -> None:
    for card, nodename in names.items():
        folder = shell.tmp / "sys/class/net" / card / "device"
        folder.mkdir(parents=True)
        (folder / "nodename").write_text(f"{nodename}\n")
    (shell.tmp / "sys/class/net/lo").mkdir(parents=True, exist_ok=True)


def written(shell: Shell, text: str, before: dict[str, str] | None = None) -> dict[str, str]:
    (shell.tmp / "report").write_text(text)
    with Xenstored(shell.tmp / "dev/xen/xenbus", dict(before or {})) as store:
        ended = shell(PARTS, f"can_report && send_report {shell.tmp}/report 5")
    assert ended.code == 0, ended.out
    return store.tree


@pytest.mark.parametrize("report", [READY, FAILED], ids=["ready", "failed"])
def test_the_emulator_says_the_same_for_a_guest_without_xenstore(shell: Shell, report: str) -> None:
    cards(shell, eth0="device/vif/0", eth1="device/vif/1")
    found = written(shell, report)
    assert found == xenstore.keys_of(report)
    assert len(found["data/ts"]) < 2000


def test_addresses_that_went_are_gone(shell: Shell) -> None:
    cards(shell, eth0="device/vif/2")
    before = {"attr/vif/2/ipv4/0": "10.0.0.9", "attr/vif/2/ipv6/1": "fd00::9", "attr/vif/7/ipv4/0": "x"}
    found = written(shell, READY, before)
    assert {key: value for key, value in found.items() if key.startswith("attr")} == {
        "attr/vif/2/ipv4/0": "10.0.0.5",
        "attr/vif/2/ipv4/1": "10.0.0.6",
        "attr/vif/2/ipv6/0": "fd00::5",
        "attr/vif/7/ipv4/0": "x",
    }


def test_a_store_that_refuses_is_no_success(shell: Shell) -> None:
    (shell.tmp / "report").write_text(READY)
    with Xenstored(shell.tmp / "dev/xen/xenbus", {}, refused=("data/ts",)) as store:
        assert shell(PARTS, f"send_report {shell.tmp}/report 5").code != 0
    assert "data/updated" not in store.tree
