"""A Debian of an (emulated) pool that is reached over a bridge: what it made its own stays while its overlay
goes over the wire and back, and leaves as an ordinary disk."""

import json
from pathlib import Path

import pytest

from skinnybox.fleet.service import Fleet
from tests.boot import ordinary
from tests.boot.on_a_pool import SECONDS, Skinnybox, booting, command_line, state_with
from tests.pace import within

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]

ADDRESS = "198.18.77.9/24"
SHOW = "hostname; cat /etc/machine-id /srv/mine /etc/ssh/ssh_host_ed25519_key.pub"
SIZE = "findmnt -n -b -o SIZE / | tr -d ' '"


def sh(skinnybox: Skinnybox, line: str) -> str:
    """What it prints in the machine, by ssh with its pinned host keys."""
    return skinnybox("exec", "web", "--", "sh", "-euc", line)


def test_a_machine_of_a_pool_and_what_is_its_own(
    fleet: Fleet, master: str, bridge_name: str, tmp_path: Path
) -> None:
    with booting(tmp_path, bridge_name) as pool:
        skinnybox = command_line(pool, state_with(fleet, master, tmp_path), reach=True)
        skinnybox(
            "create", "web", "--master", master, "--overlay", "128M", "--memory", "384M", "--address", ADDRESS
        )
        skinnybox("start", "web", "--timeout", str(within(SECONDS)))
        (shown,) = json.loads(skinnybox("show", "web", "--format", "json"))
        assert shown["address"] == "root@198.18.77.9"
        sh(skinnybox, "echo mine >/srv/mine; echo other >/etc/motd; sync")
        before, small = sh(skinnybox, SHOW), int(sh(skinnybox, SIZE))

        skinnybox("stop", "web")
        found = json.loads(skinnybox("changes", "web", "--format", "json"))
        kinds = {change["path"]: change["change"] for change in found}
        assert (kinds["/srv/mine"], kinds["/etc/motd"]) == ("added", "modified")
        skinnybox("snapshot", "create", "web", "--label", "mine")
        skinnybox("grow", "web", "192M")
        skinnybox("start", "web", "--timeout", str(within(SECONDS)))
        assert sh(skinnybox, SHOW) == before and int(sh(skinnybox, SIZE)) > small * 1.4

        skinnybox("stop", "web")
        disk = tmp_path / "web.qcow2"
        skinnybox("flatten", "web", str(disk), "--format", "qcow2")
        host_key, key = before.splitlines()[-1], tmp_path / "state" / "ssh" / "id_ed25519"
        with ordinary.booted(disk, shown["mac"], [host_key], key, tmp_path, ADDRESS) as run:
            assert run(SHOW) == before
            run(ordinary.CHECK)

        skinnybox("reset", "web", "--yes")
        skinnybox("start", "web", "--timeout", str(within(SECONDS)))
        assert sh(skinnybox, "cat /etc/ssh/ssh_host_ed25519_key.pub; ls -A /srv").splitlines() == [host_key]
        skinnybox("stop", "web")
        skinnybox("snapshot", "restore", "mine", "web", "--yes")
        skinnybox("start", "web", "--timeout", str(within(SECONDS)))
        assert sh(skinnybox, SHOW) == before
        skinnybox("delete", "web", "--force", "--yes")
