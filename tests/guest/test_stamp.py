"""stamp.sh: a report as keys of xenstore, and the emulator, which has none, says the same."""

import pytest

from skinnybox.hosts.xapi.guest_metrics import stamp_of
from skinnybox.model import RebaseTasks
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

REBASED = READY.replace(
    "state ready\n",
    "state failed\nreason the rebase was not finished: configure: it ended with 1\n"
    "rebase 0af3 failed configure: it ended with 1\n",
).replace("kernel 6", "inactive-unit php8.2-fpm.service\nkernel 6")
CHECKING = READY.replace("state ready\n", "state checking\nreason check fails: curl: (7) no = route\n")


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


@pytest.mark.parametrize(
    "report", [READY, FAILED, REBASED, CHECKING], ids=["ready", "failed", "rebased", "checking"]
)
def test_the_emulator_says_the_same_for_a_guest_without_xenstore(shell: Shell, report: str) -> None:
    cards(shell, eth0="device/vif/0", eth1="device/vif/1")
    found = written(shell, report)
    assert found == xenstore.keys_of(report)
    assert len(found["data/ts"]) < 2000


WHY = "the rebase was not finished: configure: it ended with 1"


@pytest.mark.parametrize(
    ("report", "reason", "rebase"),
    [
        (REBASED, WHY, RebaseTasks(identifier="0af3", done=False, why=WHY)),
        (CHECKING, "check fails: curl: (7) no = route", None),
    ],
    ids=["rebased", "checking"],
)
def test_why_it_is_not_ready_comes_through_a_pool(
    shell: Shell, report: str, reason: str, rebase: RebaseTasks | None
) -> None:
    cards(shell, eth0="device/vif/0")
    line = written(shell, report.replace("abc123", "0" * 32))["data/ts"]
    found = stamp_of({"other": {"data-ts": line}})
    assert found is not None and (found.ready, found.reason, found.rebase) == (False, reason, rebase)
    assert found.overlay == (1000000, 500000) and len(found.failed_units) == 2
    assert (found.checking, found.inactive_units) == (
        (False, ("php8.2-fpm.service",)) if rebase else (True, ())
    )


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
