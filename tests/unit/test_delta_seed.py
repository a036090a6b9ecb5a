"""What the seed writes is told from what a machine made its own."""

import re
from pathlib import Path

import pytest

from skinnybox.delta.seed_marks import SEED_PATHS, marked, seed_paths
from skinnybox.model import Change, ChangeKind, Seed, SeedFile, StaticNetwork

GUEST = Path(__file__).parents[2] / "guest" / "lib"
SEED = Seed(
    hostname="web",
    machine_id="0" * 32,
    network=StaticNetwork(address="192.0.2.2/24", dns=("192.0.2.1",)),
    files=(SeedFile(path="/srv/[a]*/b c", content=b""),),
)


def from_seed(path: bytes, seed: Seed = SEED) -> bool:
    change = Change(path=path, kind=ChangeKind.ADDED, type="-", size=0, detail="mode 644 -> 600")
    shown = list(marked([change], seed_paths(seed), include_seed=False))
    assert [found.detail for found in shown] in ([], ["mode 644 -> 600"])
    (again,) = marked([change], seed_paths(seed), include_seed=True)
    assert again.detail == ("mode 644 -> 600" if shown else "mode 644 -> 600, seed")
    return not shown


def test_every_path_that_the_guest_writes_is_the_seeds() -> None:
    """Read from the guest's own scripts, so that a new one is not forgotten here."""
    text = "".join(file.read_text() for file in sorted(GUEST.glob("*.sh")))
    written = set(re.findall(r'put_file "?(/[a-z0-9/._-]+)(?= |")', text))
    assert {"/etc/hostname", "/etc/hosts", "/etc/machine-id", "/etc/resolv.conf"} < written
    assert len(written) == 7
    for path in written:
        assert from_seed(path.strip("/").encode()), path


@pytest.mark.parametrize(
    ("path", "is_seeds"),
    [
        (b"root/.ssh/authorized_keys", True),
        (b"root/.ssh/config", False),
        (b"home/debian/.ssh", False),
        (b"home/debian/.ssh/authorized_keys", True),
        (b"home/debian/.ssh/id_ed25519", False),
        (b"etc/ssh/ssh_host_ed25519_key.pub", True),
        (b"etc/ssh/sshd_config", False),
        (b"etc/systemd/system/multi-user.target.wants/skinnybox-run-once.service", True),
        (b"etc/systemd/system/multi-user.target.wants/other.service", False),
        (b"var/lib/skinnybox", True),
        (b"var/lib/skinnybox/seed-applied", True),
        (b"run/skinnybox", True),
        (b"srv/[a]*/b c", True),
        (b"srv/ax/b c", False),
        (b"etc/hosts.allow", False),
        (b"x/etc/hosts", False),
    ],
)
def test_what_is_the_seeds(path: bytes, is_seeds: bool) -> None:
    assert from_seed(path) is is_seeds


def test_resolvers_are_only_of_a_seed_that_has_some() -> None:
    without = Seed(hostname="web", machine_id="0" * 32, network=StaticNetwork(address="192.0.2.2/24"))
    assert not from_seed(b"etc/resolv.conf", without)
    assert not from_seed(b"etc/resolv.conf", Seed(hostname="web", machine_id="0" * 32))
    assert b"etc/resolv.conf" not in SEED_PATHS
