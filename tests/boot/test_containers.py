"""Docker and Podman as Debian has them, each in a thin machine: a container is made of the guest's own files
(nothing is reached outside) and put together by the kernel's overlayfs. And what a machine serves by NFS."""

import json
from collections.abc import Callable

import pytest

from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import MachineView
from skinnybox.model import Allocation, Change, Overlay
from skinnybox.model.datadisk import data_disk
from skinnybox.sizes import MIB
from tests.boot.conftest import Create, guest_version

pytestmark = [pytest.mark.full, pytest.mark.timeout(2400)]

Up = Callable[[str], MachineView]
Down = Callable[[str], None]
Sh = Callable[[str, str], str]

PACKAGES = ("apparmor", "busybox-static", "docker.io", "nfs-kernel-server", "podman")
ENGINES = {"podman": "{{.Store.GraphDriverName}}", "docker": "{{.Driver}}"}
IMPORT = """
mkdir -p /tmp/image/bin; cp /bin/busybox /tmp/image/bin/sh
tar -C /tmp/image -c . | ENGINE import - own:1
ENGINE run --name kept --network none own:1 /bin/sh -c 'echo from within >/written; cat /written'
"""
AGAIN = """
ENGINE start -a kept
ENGINE run --rm --network none own:1 /bin/sh -c 'echo another; ! test -e /written'
"""
GONE = 'test -z "$(ENGINE ps -aq)$(ENGINE images -q)"'
SERVE = """
echo '/srv/data 127.0.0.1(rw,no_subtree_check,no_root_squash)' >/etc/exports
exportfs -ra
mount -t nfs 127.0.0.1:/srv/data /mnt
echo 'by NFS' >/mnt/served; umount /mnt; cat /srv/data/served
"""
SERVE_THE_ROOT = "echo '/ 127.0.0.1(ro,no_subtree_check,fsid=0)' >/etc/exports; exportfs -ra 2>&1 || :"


@pytest.fixture(scope="module")
def engines(fleet: Fleet, master: str) -> str:
    """`master` is made first: it clears away what other guest parts left."""
    reference = f"engines:{guest_version()}"
    if reference not in [known.reference for known in fleet.masters.all()]:
        fleet.masters.build(reference, packages=PACKAGES)
    return reference


@pytest.fixture
def made(create: Create, engines: str) -> Create:
    def make(name: str, **fields: object) -> MachineView:
        overlay = Overlay(size=512 * MIB, allocation=Allocation.SPARSE)
        return create(name, master=engines, overlay=overlay, memory=1024 * MIB, cpus=2, **fields)

    return make


def run(sh: Sh, name: str, lines: str) -> list[str]:
    """The same by each engine; all that was said."""
    return [sh(name, lines.replace("ENGINE", engine)) for engine in ENGINES]


def uses_overlayfs(sh: Sh, name: str) -> None:
    for engine, key in ENGINES.items():
        assert sh(name, f"{engine} info --format '{key}'").strip().startswith("overlay"), engine
    for folder in ("containers", "docker"):
        assert sh(name, f"findmnt -no FSTYPE /var/lib/{folder}") == "ext4\n"


def test_without_a_data_disk(fleet: Fleet, made: Create, up: Up, down: Down, sh: Sh) -> None:
    made("engines")
    first = up("engines")
    assert first.current_report is not None and first.current_report.failed_units == ()
    uses_overlayfs(sh, "engines")
    assert all("from within" in said for said in run(sh, "engines", IMPORT))
    status = json.loads(sh("engines", "skinnybox-guest status --json"))
    assert {"/var/lib/containers", "/var/lib/docker"} <= set(status["direct"])
    sh("engines", "sync")
    within = json.loads(sh("engines", "skinnybox-guest changes --json"))
    listed = [line for line in within if line["path"].startswith("/var/lib/docker")]
    assert [line["path"] for line in listed] == ["/var/lib/docker"] and listed[0]["size"] > MIB // 2

    down("engines")
    with fleet.overlays.changes("engines") as found:
        beside = [
            change for change in found if change.path.startswith((b"var/lib/docker", b"var/lib/containers"))
        ]
    assert [change.path for change in beside] == [b"var/lib/containers", b"var/lib/docker"]
    assert all(_holds_an_image(change) for change in beside)
    up("engines")
    uses_overlayfs(sh, "engines")
    assert all("from within" in said and "another" in said for said in run(sh, "engines", AGAIN))
    down("engines")

    assert fleet.overlays.reset(["engines"])[0].error is None
    up("engines")
    uses_overlayfs(sh, "engines")
    run(sh, "engines", GONE)
    assert "does not support NFS export" in sh("engines", SERVE_THE_ROOT)
    down("engines")
    again = up("engines")
    assert again.current_report is not None and again.current_report.failed_units == ()
    sh("engines", "systemctl is-active nfs-server")
    down("engines")


def _holds_an_image(change: Change) -> bool:
    return MIB // 2 < change.size < 64 * MIB and "not looked into" in change.detail


def test_with_a_data_disk(fleet: Fleet, made: Create, up: Up, down: Down, sh: Sh) -> None:
    made("on-data", data=data_disk(512 * MIB, ["/srv/data"], Allocation.SPARSE))
    up("on-data")
    uses_overlayfs(sh, "on-data")
    assert sh("on-data", "findmnt -no SOURCE /var/lib/docker").startswith("/dev/vdc[/folders/")
    assert all("from within" in said for said in run(sh, "on-data", IMPORT))
    assert sh("on-data", SERVE) == "by NFS\n"
    down("on-data")
    assert fleet.overlays.reset(["on-data"])[0].error is None
    with fleet.overlays.changes("on-data") as found:
        assert [change for change in found if change.path.startswith(b"var/lib/docker")] == []
    up("on-data")
    uses_overlayfs(sh, "on-data")
    assert all("from within" in said and "another" in said for said in run(sh, "on-data", AGAIN))
    assert sh("on-data", "cat /srv/data/served") == "by NFS\n"
    down("on-data")
