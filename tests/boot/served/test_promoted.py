"""What the web server became as a master: its machines serve, and know nothing of whose it was."""

from collections.abc import Callable, Iterator

import pytest

from skinnybox.fleet.service import Fleet
from tests.boot import lamp, year
from tests.boot.served.conftest import WANTED, content, started, stopped, told
from tests.boot.served.test_archive import SUM, whole

pytestmark = [pytest.mark.full, pytest.mark.timeout(5400)]

SECRET = "hunter2"
PLANTED = (
    "/etc/salt/minion_id", "/etc/salt/pki/minion/minion.pem",
    "/home/anna/.bash_history", "/root/.bash_history", "/root/.cache/session", "/root/.lesshst",
    "/root/.mysql_history", "/root/.viminfo", "/tmp/one", "/var/cache/apt/archives/one.deb", "/var/crash/one",
    "/var/lib/NetworkManager/secret_key", "/var/lib/cloud/instance/user-data.txt",
    "/var/lib/cloud/instances/one/user-data.txt", "/var/lib/dhcp/dhclient.eth0.leases",
    "/var/lib/puppet/ssl/private_keys/web.pem", "/var/lib/systemd/coredump/core.one",
    "/var/lib/systemd/credential.secret", "/var/lib/systemd/random-seed",
    "/var/lib/tailscale/tailscaled.state", "/var/log/apache2/access.log", "/var/log/auth.log.1",
    "/var/log/journal/one.journal", "/var/tmp/one",
)  # fmt: skip
IDENTITY = "cat /etc/machine-id /etc/hostname /etc/ssh/ssh_host_*_key.pub"
FOUND = f"grep -rlF {SECRET} /boot /etc /home /opt /root /srv /tmp /usr/local /var || :"
LOST = "find / -xdev \\( -nouser -o -nogroup \\) -print"


@pytest.fixture
def promoted(fleet: Fleet) -> Iterator[str]:
    yield "promoted:1"
    for name in fleet.names():
        if fleet.machine(name).instance.stack.reference == "promoted:1":
            fleet.delete([name], force=True)
    if "promoted:1" in [each.reference for each in fleet.masters.all()]:
        fleet.masters.remove("promoted:1")


def test_its_machines_serve_and_carry_nothing_of_it(
    fleet: Fleet, plain: str, copied: Callable[[str], str], promoted: str
) -> None:
    name = copied("web")
    started(fleet, name)
    whole(fleet, name)
    for path in PLANTED:
        told(fleet, name, f"mkdir -p $(dirname {path}); echo '{SECRET} of {path}' >>{path}")
    assert set(PLANTED) - {"/var/lib/systemd/random-seed"} <= set(told(fleet, name, FOUND).split())
    rows, looked = told(fleet, name, SUM), year.blocks(told(fleet, name, lamp.LOOK))
    identity = told(fleet, name, IDENTITY).split("\n")
    stopped(fleet, name)
    master = fleet.deltas.promote(name, promoted)
    print(f"{master.reference}: {sum(image.size for image in master.images)} bytes")

    (other,) = [each.name for each in fleet.create(["of-it"], promoted, WANTED)]
    started(fleet, other)
    whole(fleet, other)
    assert told(fleet, other, SUM) == rows
    assert year.blocks(told(fleet, other, lamp.LOOK)) == looked
    assert told(fleet, other, FOUND) == ""
    assert told(fleet, other, LOST) == ""
    own = set(told(fleet, other, IDENTITY).split("\n"))
    assert set(identity) & own == {""}
    of_plain, of_it = (numbers(fleet, each) for each in (plain, promoted))
    assert {each: number for each, number in of_it.items() if each in of_plain} == of_plain
    new = {each: number for each, number in of_it.items() if each not in of_plain}
    assert {"memcache", "worker", "anna"} <= set(new)
    assert all(100 <= number < 400 or number >= 1000 for number in new.values()), new
    print(f"{len(PLANTED)} secrets are gone; accounts: {new}")


def numbers(fleet: Fleet, reference: str) -> dict[str, int]:
    """By account."""
    lines = (content(fleet, reference, "etc/passwd") or b"").decode().splitlines()
    return {line.split(":")[0]: int(line.split(":")[2]) for line in lines}
