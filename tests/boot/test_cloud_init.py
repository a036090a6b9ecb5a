"""A master with cloud-init: it acts where there is user-data, and only there; what a seed says stays ours."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from skinnybox.fleet.service import Fleet
from skinnybox.fleet.specification import Specification
from skinnybox.fleet.view import MachineView
from skinnybox.model import Allocation, Overlay, SeedUser
from skinnybox.sizes import MIB
from tests.boot.conftest import guest_version
from tests.pace import within

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]

USER_DATA = b"""#cloud-config
write_files:
- path: /etc/site
  content: from user-data
  permissions: '0640'
runcmd:
- [sh, -c, 'echo ran >>/root/ran']
"""
SECONDS = 400.0


@pytest.fixture(scope="module")
def cloud_master(fleet: Fleet) -> str:
    """Kept, as the plain one of the same age is, which `master` builds."""
    reference = f"cloudy:{guest_version()}"
    if reference not in [known.reference for known in fleet.masters.all()]:
        fleet.masters.build(reference, packages=("cloud-init", "sudo"), unrelated=True)
    return reference


@pytest.fixture
def machines(fleet: Fleet, master: str, cloud_master: str) -> Iterator[dict[str, MachineView]]:
    """Up, one after the other: a plain one; one whose cloud-init has nothing to do; one whose has."""
    usual = Specification(overlay=Overlay(size=128 * MIB, allocation=Allocation.SPARSE), dax=False)
    users = (SeedUser(name="deploy", groups=("adm",), sudo=True),)
    wanted = {
        "plain": (master, usual),
        "idle": (cloud_master, usual),
        "told": (
            cloud_master,
            Specification(overlay=usual.overlay, dax=False, user_data=USER_DATA, users=users),
        ),
    }
    found = {}
    with ExitStack() as undo:
        for name, (reference, specification) in wanted.items():
            fleet.create([name], reference, specification)
            undo.callback(fleet.delete, [name], force=True)
            outcome = fleet.start([name], timeout=within(SECONDS))[0]
            if outcome.error:
                print(fleet.console_log(name).decode("utf-8", "replace")[-4000:])
                raise outcome.error
            found[name] = fleet.machine(name)
            print(f"{name}: ready after {found[name].boot_seconds} s")
        yield found


def test_only_one_of_the_two_acts(
    fleet: Fleet, machines: dict[str, MachineView], sh: Callable[[str, str], str]
) -> None:
    assert "disabled" in sh("idle", "cloud-init status 2>&1 || :")
    assert "instance" not in sh("idle", "ls /run/cloud-init /var/lib/cloud 2>&1 || :")
    _acted(sh)
    for name, machine in machines.items():
        assert sh(name, "hostname; cat /etc/hostname") == f"{name}\n{name}\n"
        ours = " ".join(sh(name, "cat /etc/ssh/ssh_host_*_key.pub").split()[:2])
        assert machine.host_keys == (ours,), "its own, the reported one, and no other"
        assert sh(name, "ls /etc/network/interfaces.d /etc/netplan 2>/dev/null || :").count("cloud") == 0
    plain, idle = (machines[name].boot_seconds for name in ("plain", "idle"))
    assert plain and idle and idle < plain * 1.5, (plain, idle)
    with fleet.overlays.changes("told", include_seed=True) as changes:
        listed = {change.path.decode(): change.detail for change in changes}
    print("\n".join(f"{path}: {detail}" for path, detail in listed.items()))
    seeded = {path for path, detail in listed.items() if detail.endswith("seed") and "not as" not in detail}
    assert {"etc/cloud/cloud.cfg.d/zzz-skinnybox.cfg", "root/.ssh/authorized_keys", "etc/hostname"} <= seeded
    assert {f"var/lib/cloud/seed/nocloud/{name}" for name in ("meta-data", "user-data")} <= seeded


def _acted(sh: Callable[[str, str], str]) -> None:
    assert "done" in sh("told", "timeout 300 cloud-init status --wait || :")
    assert sh("told", "cat /etc/site; stat -c %a /etc/site; cat /root/ran") == "from user-data640\nran\n"
    assert "nocloud" in sh("told", "cloud-id").lower()
    modes = sh("told", "cd /var/lib/cloud/seed/nocloud; stat -c '%a %U' meta-data user-data vendor-data")
    assert modes.split() == ["600", "root"] * 3
    holding = "grep -rls 'content: from user-data' /run /var || test $? -le 2"
    assert "/var/lib/cloud/seed/nocloud/user-data" in sh("told", holding)
    nobody = "setpriv --reuid nobody --clear-groups"
    assert sh("told", f"{nobody} true && {nobody} {holding}") == ""
    assert sh("told", "id -nG deploy").split() == ["deploy", "adm"]
    assert sh("told", "setpriv --reuid deploy --regid deploy --init-groups sudo -n id -u") == "0\n"
    assert sh("told", "getent passwd debian || :") == "", "no default user of the distribution's"
    assert sh("told", "cat /etc/fstab | grep -c cloudconfig || :").strip() == "0"
    assert "WARNING" not in sh("told", "cat /var/log/cloud-init.log"), sh(
        "told", "cat /var/log/cloud-init.log"
    )
