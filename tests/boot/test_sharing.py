"""Two machines on one master: neither the other nor the master notices."""

import hashlib
from collections.abc import Callable

from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import MachineView
from skinnybox.model import Network, StaticNetwork
from tests.boot.conftest import Create

# By every way to a disk that root of a guest has; each may fail, none may reach the image.
ATTACK = """
set +e
for d in /sys/block/*; do
    [ "$(cat $d/serial 2>/dev/null)" = skinny-master ] && master=/dev/${d##*/}
done
test -b "$master"
mount -t erofs -o ro "$master" /media/root-ro
mount -o remount,rw /media/root-ro 2>/dev/null && touch /media/root-ro/owned 2>/dev/null
blockdev --setrw "$master" || true
dd if=/dev/zero of="$master" bs=4096 count=4 conv=fsync 2>/dev/null && echo written
mount -o remount,bind,rw /media/root-ro 2>/dev/null && echo x >/media/root-ro/etc/hostname 2>/dev/null
python3 -c pass 2>/dev/null; echo 1 >/sys/block/${master#/dev/}/ro 2>/dev/null
printf x | dd of="$master" oflag=direct bs=512 count=1 conv=sync 2>/dev/null && echo written
echo done
"""


def test_two_machines_on_one_master(
    fleet: Fleet, create: Create, up: Callable[[str], MachineView], sh: Callable[[str, str], str]
) -> None:
    create("one")
    static = StaticNetwork(address="10.7.0.5/24", gateway="10.7.0.1", dns=("10.7.0.3",))
    create("two", static_network=static, network=Network.RESTRICTED)
    stack = fleet.machine("one").instance.stack
    found = fleet.masters.find(stack.reference)
    sealed = found.image(stack.images[0])
    assert sealed is not None
    image = fleet.masters.folder(found) / sealed.file
    before = hashlib.sha256(image.read_bytes()).hexdigest()

    outcomes = fleet.start(["one", "two"], parallel=2)
    assert [outcome.error for outcome in outcomes] == [None, None]
    one, two = fleet.machines(["one", "two"])
    assert one.host_keys != two.host_keys
    assert one.instance.mac != two.instance.mac
    assert two.current_report is not None
    assert [text.split()[-1] for text in two.current_report.addresses] == ["10.7.0.5/24"]
    assert "default via 10.7.0.1" in sh("two", "ip route")
    assert sh("one", "cat /etc/machine-id") != sh("two", "cat /etc/machine-id")

    sh("one", "echo mine >/etc/issue")
    assert sh("two", "cat /etc/issue") != "mine\n"
    assert "written" not in sh("one", ATTACK)
    fleet.masters.verify(found.reference)
    assert hashlib.sha256(image.read_bytes()).hexdigest() == before
    assert sh(
        "two",
        "skinnybox-guest look sh -c 'sha256sum /media/root-ro/etc/hostname | cut -c1-8;"
        " head -1 /media/root-ro/etc/os-release'",
    )
