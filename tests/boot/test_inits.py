"""Trees whose services something else than systemd starts, or whose initramfs something else than
initramfs-tools made: built here of Debian's packages, imported, booted, changed, powered off, reset.

The initramfs is ours whatever the tree has, so what can go wrong is what comes after it.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import CommandFailed
from skinnybox.fleet.power import Stopping
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import MachineView
from skinnybox.masters import sources
from skinnybox.masters.build import explained
from skinnybox.model import RebaseTasks
from tests.boot.conftest import Create
from tests.boot.settled import overlay_is_clean

pytestmark = [
    pytest.mark.full,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0, reason="mmdebstrap makes a tree with its owners for root only"),
]

Up = Callable[[str], MachineView]
Down = Callable[[str], None]
Sh = Callable[[str, str], str]

NOT_FETCHED = "cannot be fetched"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """`first` is what its first process is; `is_well` says nothing when all of its services run. `has` and
    `lacks` are what makes it another tree than the one of all other tests. Where it does not settle its disk
    at power off, the next boot replays the journal."""

    packages: str
    first: str
    is_well: str
    has: str
    lacks: str = ""
    settles: bool = True
    kernel: str = "linux-image-cloud-amd64"


_COMMON = "apt udev openssh-server iproute2 kmod"
_SYSV = f"{_COMMON} sysvinit-core ifupdown isc-dhcp-client"
TREES = {
    # acpid is in none: the power button is heard all the same
    "sysvinit": Tree(
        packages=f"{_SYSV} sysv-rc",
        first="init",
        is_well="ls /run/skinnybox/failed 2>/dev/null || :",
        has="/etc/rc0.d/K*umountroot",
        lacks="/lib/systemd/systemd",
    ),
    "openrc": Tree(
        packages=f"{_SYSV} openrc",
        first="init",
        is_well="ls /run/openrc/failed 2>/dev/null || :",
        has="/run/openrc/started/skinnybox",
        settles=False,  # seen twice; why is not known
        lacks="/lib/systemd/systemd",
    ),
    "dracut": Tree(
        packages=f"{_COMMON} systemd-sysv systemd-resolved dbus dracut",
        first="systemd",
        is_well="systemctl is-system-running --wait | grep -vx running || :; "
        "systemctl --failed --plain --no-legend",
        has="/usr/bin/dracut",
        lacks="/usr/sbin/update-initramfs",
    ),
}


@pytest.fixture(scope="module", params=list(TREES))
def tree(request: pytest.FixtureRequest) -> Tree:
    return TREES[request.param]


@pytest.fixture(scope="module")
def master(fleet: Fleet, tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """In place of the one all other tests share: `create` takes it."""
    reference = "inits:tests"
    if reference in [known.reference for known in fleet.masters.all()]:
        fleet.masters.remove(reference)
    folder = tmp_path_factory.mktemp("tree") / "tree"
    _install(tree, folder)
    fleet.masters.import_tree(folder, reference, as_is=False)
    shutil.rmtree(folder)
    yield reference
    fleet.masters.remove(reference)


def _install(tree: Tree, folder: Path) -> None:
    release = sources.release()
    if release.id != "debian":
        pytest.skip("this machine has no sources of Debian")
    text = "\n".join(source.stanza() for source in sources.own_sources(release.codename))
    include = ",".join([*tree.packages.split(), tree.kernel])
    with tempfile.TemporaryFile() as stanzas:
        stanzas.write(text.encode())
        stanzas.seek(0)
        try:
            run.run(
                ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--format=directory",
                 f"--include={include}", release.codename, str(folder), "-"],
                stdin=stanzas, env={"INITRD": "No"},
            )  # fmt: skip
        except CommandFailed as error:
            if NOT_FETCHED not in (told := explained(error)).message:
                raise
            pytest.skip(told.message)


RAN = "#!/bin/sh\nip -o address show scope global >/srv/ran\n"
MAKE = "echo mine >/srv/mine; rm /etc/issue.net; sync"
SHOW = "hostname; cat /srv/mine /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub; test ! -e /etc/issue.net"

LEFT = r"""
cat >/var/lib/dpkg/info/demo.postinst <<'END'
#!/bin/sh
set -e
echo "postinst $*" >>/root/said
cat /proc/[0-9]*/comm | grep -c -x -e sshd -e dhclient -e systemd-network >>/root/said || true
ip -o -4 address show scope global | wc -l >>/root/said
cat /proc/1/comm >>/root/said
! command -v invoke-rc.d >/dev/null || invoke-rc.d ssh restart
cat /proc/[0-9]*/comm | grep -c -x sshd >>/root/said || true
END
chmod 0755 /var/lib/dpkg/info/demo.postinst
echo /. >/var/lib/dpkg/info/demo.list
cat >>/var/lib/dpkg/status <<'END'
Package: demo
Status: install ok unpacked
Priority: optional
Section: admin
Maintainer: A <a@b.example>
Architecture: all
Version: 2.0
Config-Version: 1.0
Description: a package

END
printf 'skinnybox-rebase 1\nid 0af3\ntask configure\ntask ldconfig\nend\n' >/var/lib/skinnybox/rebase
sync
"""


def test_what_a_rebase_leaves_is_done_before_the_network_and_its_services(
    fleet: Fleet, tree: Tree, create: Create, up: Up, down: Down, sh: Sh
) -> None:
    create("moved")
    up("moved")
    sh("moved", LEFT)
    down("moved")
    report = up("moved").current_report
    assert report is not None and report.rebase == RebaseTasks(identifier="0af3", done=True)
    early = "systemd" if tree.first == "systemd" else "before-init"
    assert sh("moved", "cat /root/said").split() == ["postinst", "configure", "1.0", "0", "0", early, "0"]
    assert sh("moved", "cat /proc/1/comm").strip() == tree.first
    assert sh("moved", "dpkg-query -W -f '${Status} ${Version}' demo") == "install ok installed 2.0"
    assert sh("moved", "ls /usr/sbin/policy-rc.d /var/lib/skinnybox/rebase 2>/dev/null || :") == ""
    assert sh("moved", tree.is_well) == ""


def test_a_machine_lives(fleet: Fleet, tree: Tree, create: Create, up: Up, down: Down, sh: Sh) -> None:
    create("other", run_once=RAN)
    assert up("other").address is not None
    assert sh("other", "cat /proc/1/comm").strip() == tree.first
    sh("other", f"test -e {tree.has}; {f'test ! -e {tree.lacks}' if tree.lacks else ':'}")
    assert sh("other", tree.is_well) == ""
    sh("other", "while [ ! -e /var/lib/skinnybox/run-once.ran ]; do sleep 1; done; grep 'inet ' /srv/ran")
    sh("other", MAKE)
    before = sh("other", SHOW)
    assert before.startswith("other\nmine\n")

    down("other")
    if tree.settles:
        overlay_is_clean(fleet, "other")
    up("other")
    assert sh("other", SHOW) == before
    sh("other", "test ! -e /var/lib/skinnybox/run-once")
    (outcome,) = fleet.restart(["other"], Stopping())
    assert outcome.error is None
    assert sh("other", SHOW) == before

    down("other")
    assert fleet.overlays.reset(["other"])[0].error is None
    up("other")
    sh("other", "test ! -e /srv/mine; test -e /etc/issue.net")
