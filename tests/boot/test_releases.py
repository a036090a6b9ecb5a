"""Guests of other releases: built here, booted, changed, reset, and flattened to ordinary disks.

What cannot be fetched from here is skipped, by name; what can be has to work.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skinnybox.errors import CommandFailed
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import MachineView
from skinnybox.model import ChangeKind
from tests.boot import ordinary, releases
from tests.boot.conftest import CACHE, Create
from tests.boot.settled import overlay_is_clean

pytestmark = [pytest.mark.full, pytest.mark.timeout(2400)]

Up = Callable[[str], MachineView]
Down = Callable[[str], None]
Sh = Callable[[str, str], str]

KEYRING = Path("/usr/share/keyrings/ubuntu-archive-keyring.gpg")
UBUNTU = "deb [signed-by={}] http://archive.ubuntu.com/ubuntu {} main universe"


def _build_ubuntu(fleet: Fleet, reference: str, suite: str, folder: Path) -> None:
    if not KEYRING.exists():
        pytest.skip(f"{suite}: no {KEYRING}")
    lines = [UBUNTU.format(KEYRING, name) for name in (suite, f"{suite}-updates", f"{suite}-security")]
    fleet.masters.build(reference, releases.recipe(folder, suite, lines, kernel="linux-image-virtual"))


@pytest.fixture(scope="module", params=["bullseye", "trixie", "noble"])
def master(
    fleet: Fleet, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """In place of the one all other tests share: `create` takes it."""
    suite: str = request.param
    reference = f"{suite}:tests"
    if reference in [known.reference for known in fleet.masters.all()]:
        fleet.masters.remove(reference)
    build = _build_ubuntu if suite == "noble" else releases.build_debian
    try:
        build(fleet, reference, suite, tmp_path_factory.mktemp(suite))
    except CommandFailed as error:
        if releases.NOT_FETCHED not in error.message:
            raise
        pytest.skip(f"{suite}: {error.message}")
    yield reference
    fleet.masters.remove(reference)


MAKE = "echo mine >/srv/mine; rm /etc/issue.net; echo other >/etc/issue; sync"
SHOW = """
cat /srv/mine /etc/issue; test ! -e /etc/issue.net
hostname; cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub
"""


# A mount of a later util-linux tells overlayfs each word of that line, which a later kernel refuses.
DAILY = """
cp /etc/fstab /tmp/fstab 2>/dev/null || :
echo 'UUID=11111111-2222-3333-4444-555555555555 / ext4 errors=remount-ro 0 1' >>/etc/fstab
systemctl daemon-reload
systemctl restart systemd-remount-fs
findmnt -no OPTIONS / | grep ^rw
cp /tmp/fstab /etc/fstab 2>/dev/null || rm /etc/fstab
df -P | awk 'NR > 1 && $5 == "100%" { exit 1 }'
findmnt -no FSTYPE,OPTIONS /var/lib/skinnybox/disk | grep '^ext4 *rw'
skinnybox-guest own /etc/profile /usr/share
skinnybox-guest changes | grep 'added .* /srv/mine$'
skinnybox-guest changes | grep 'deleted .* /etc/issue.net$'
"""


def test_a_guest_of_another_release_lives(
    fleet: Fleet, master: str, create: Create, up: Up, down: Down, sh: Sh
) -> None:
    create("other")
    up("other")
    suite = master.partition(":")[0]
    assert f"VERSION_CODENAME={suite}" in sh("other", "cat /etc/os-release").split()
    assert sh("other", "systemctl is-system-running --wait || systemctl --failed --no-legend") == "running\n"
    sh("other", MAKE)
    sh("other", DAILY)
    down("other")
    overlay_is_clean(fleet, "other")
    with fleet.overlays.changes("other") as found:
        kinds = {change.path: change.kind for change in found}
    assert kinds[b"srv/mine"] is ChangeKind.ADDED
    assert kinds[b"etc/issue"] is ChangeKind.MODIFIED
    assert kinds[b"etc/issue.net"] is ChangeKind.DELETED
    assert fleet.overlays.reset(["other"])[0].error is None
    up("other")
    sh("other", "test ! -e /srv/mine; test -e /etc/issue.net")


@ordinary.CAN_BOOT
def test_it_becomes_an_ordinary_disk(
    fleet: Fleet, create: Create, up: Up, down: Down, sh: Sh, tmp_path: Path
) -> None:
    create("flat")
    up("flat")
    sh("flat", MAKE)
    before = sh("flat", SHOW)
    down("flat")
    ordinary.boots_as_it_was(fleet, "flat", before, SHOW, CACHE / "ssh" / "id_ed25519", tmp_path)
