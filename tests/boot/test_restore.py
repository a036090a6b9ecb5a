"""A machine that was exported, deleted and restored is for its guest what it was: it walks its own tree
before and after."""

import re
import shutil
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.fleet.exporting import Export
from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.restoring import Restore
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.settings import Settings
from skinnybox.fleet.specification import Specification
from skinnybox.masters import imports
from skinnybox.model import Allocation, Overlay
from skinnybox.operation import Operation
from skinnybox.sizes import MIB
from tests.faults import small_guest
from tests.pace import within

pytestmark = [pytest.mark.boot, pytest.mark.full, pytest.mark.timeout(900)]
SECONDS = 60.0
TOOLS = ("getfattr", "setfattr")
LIVED = """
rm /data/1 /data/2
rm -r /srv; mkdir -m 2750 /srv; cd /srv
echo mine >file; chown 70000:3 file; chmod 4711 file; setfattr -n user.note -v kept file
setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 file
ln file again; ln -s ../etc/hosts way; mkfifo pipe; mknod null c 1 3; mknod disk b 8 70000
truncate -s 5000000 holes; echo end >>holes
mkdir 'a b'; echo odd >'a b/"x'; touch -d '2001-02-03 04:05:06' old
chmod 600 /data/3; mv /data/4 /data/renamed; echo more >>/data/5
mkdir -m 1777 deep; mkdir -p deep/er/and/deeper; echo x >deep/er/and/deeper/x; chown 5 deep/er
sync
"""
WALK = r"""
cd /; each() { stat -c '%n|%F|%a|%u|%g|%h|%t:%T' "$1"; getfattr -h -d -m - -e hex "$1" 2>/dev/null; }
file() { [ -L "$1" ] && readlink "$1"; [ ! -L "$1" ] && [ -f "$1" ] && sum "$1"; }
sum() { sha256sum "$1"; stat -c '%s %Y' "$1"; }
find bin data etc root sbin srv usr/bin usr/lib/skinnybox -xdev | sort >/tmp/names
while read -r p; do each "$p"; file "$p"; done </tmp/names >/tmp/walk; sha256sum /tmp/walk
"""


@pytest.fixture
def fleet(tmp_path: Path, test_kernel: Path) -> Fleet:
    state = tmp_path / "state"
    tree = small_guest.tree(tmp_path / "tree", small_guest.static_busybox())
    shutil.copytree(test_kernel / "lib/modules", tree / "usr/lib/modules", ignore=small_guest._not_needed)
    with_tools(tree)
    imports.import_tree(
        tree, store=state / "masters", name="small", version="1", as_is=True, operation=Operation(),
        kernel=next(test_kernel.glob("boot/vmlinuz-*")), initrd=None,
    )  # fmt: skip
    return open_fleet(Settings(state=state, reach=False))  # its guests have host keys, and no sshd


def with_tools(tree: Path) -> None:
    """What reads attributes, with the libraries that it needs."""
    for tool in TOOLS:
        program = run.find(tool)
        if program is None:
            pytest.skip(f"no {tool} (Debian: attr)")
        files = re.findall(r"(/\S+) \(0x", run.run(["ldd", program]).stdout.decode())
        for file in (str(program), *files):
            target = tree / file.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)


def told(fleet: Fleet, script: str) -> str:
    """What the guest's shell says of it."""
    with fleet.console("web") as console:
        console.settimeout(within(SECONDS))
        for line in [*script.strip().splitlines(), "echo all-$((40 + 2))"]:
            console.sendall(line.encode() + b"\n")
        said = b""
        while b"all-42" not in said:
            said += console.recv(4096)
    return said.decode(errors="replace")


def started(fleet: Fleet) -> None:
    outcome = fleet.start(["web"], timeout=within(SECONDS))[0]
    assert outcome.ok, (outcome.error, fleet.console_log("web").decode(errors="replace"))


def walk(fleet: Fleet) -> tuple[str, list[str]]:
    """The digest of what the walk says, and all of it."""
    said = told(fleet, WALK)
    found = re.search(r"([0-9a-f]{64})  /tmp/walk", said)
    assert found, said
    lines = told(fleet, "cat /tmp/walk").splitlines()
    return found[1], [line.rstrip() for line in lines]


def test_a_guest_finds_what_it_left(fleet: Fleet, tmp_path: Path) -> None:
    with fleet:
        overlay = Overlay(size=64 * MIB, allocation=Allocation.SPARSE)
        [before] = fleet.create(["web"], "small", Specification(overlay=overlay, memory=128 * MIB, cpus=1))
        started(fleet)
        told(fleet, LIVED)
        digest, lines = walk(fleet)
        srv = [line for line in lines if "srv/" in line]
        assert any("srv/file|regular file|4711|70000|3|2|" in line for line in lines), srv
        assert any(line == "user.note=0x6b657074" for line in lines), lines
        told(fleet, "sync")
        fleet.kill(["web"])
        file = tmp_path / "web.tar.zst"
        fleet.deltas.export("web", Export(file=file))
        assert fleet.delete(["web"])[0].ok
        after = fleet.deltas.restore("web", Restore(sources=(file,)))
        assert after == before
        started(fleet)
        again, now = walk(fleet)
        fleet.delete(["web"], force=True)
    assert again == digest, [line for line in now if line not in lines]
