"""What the seed writes is told from what a machine made its own. That the guest writes it so, and what is
found on a disk: tests/guest/test_seed_expected.py."""

import re
from pathlib import Path

import pytest

from skinnybox.delta.as_seeded import FOLDER, decode, encode, public_part
from skinnybox.delta.seed_marks import expected, marked
from skinnybox.model import Change, ChangeKind, Seed, SeedFile, SeedUser, StaticNetwork
from tests.samples import PUBLIC_KEY, an_instance

GUEST = Path(__file__).parents[2] / "guest" / "lib"
SEED = Seed(
    hostname="web",
    machine_id="0" * 32,
    network=StaticNetwork(address="192.0.2.2/24", gateway="192.0.2.1", dns=("192.0.2.1",)),
    authorized_keys=(PUBLIC_KEY,),
    files=(SeedFile(path="/srv/[a]*/b c", content=b"\xff"),),
    run_once="#!/bin/sh\n",
    users=(SeedUser(name="deploy", sudo=True),),
    timezone="Europe/Berlin",
    locale="C.UTF-8",
    ntp=("ntp.example",),
    user_data=b"#cloud-config\n",
)
EXPECTED = expected(an_instance(seed=SEED), (PUBLIC_KEY,))


def change(path: bytes, kind: ChangeKind = ChangeKind.MODIFIED, detail: str = "") -> Change:
    return Change(path=path, kind=kind, type="-", detail=detail)


def test_every_path_that_the_guest_writes_is_expected() -> None:
    """Read from the guest's own scripts, so that a new one is not forgotten here."""
    text = "".join(file.read_text() for file in sorted(GUEST.glob("*.sh")))
    text = text.replace("put_file /etc/passwd", "")  # which the guest's own programs write as well
    written = set(re.findall(r'(?:put_file "?|file=|folder=)(/[A-Za-z0-9/._-]+)', text))
    written |= {
        f"/var/lib/cloud/seed/nocloud/{name}" for name in re.findall(r'put_file "\$CLOUD_SEED/(.*?)"', text)
    }
    assert {"/etc/hostname", "/etc/hosts", "/etc/machine-id", "/etc/resolv.conf"} < written
    assert len(written) == 20
    for begins in written:  # some go on with the number of a card
        paths = [path for path in EXPECTED if path.startswith(begins.strip("/").encode())]
        assert any(all(way.kind != FOLDER for way in EXPECTED[path]) for path in paths), begins


@pytest.mark.parametrize(
    ("path", "is_expected"),
    [
        (b"root/.ssh/authorized_keys", True),
        (b"root/.ssh/config", False),
        (b"home/debian/.ssh", False),
        (b"home/debian/.ssh/authorized_keys", False),
        (b"etc/ssh/ssh_host_ed25519_key.pub", True),
        (b"etc/ssh/ssh_host_rsa_key", False),
        (b"etc/systemd/system/multi-user.target.wants/skinnybox-run-once.service", True),
        (b"etc/systemd/system/multi-user.target.wants/other.service", False),
        (b"var/lib/skinnybox", True),
        (b"var/lib/skinnybox/seed-applied", True),
        (b"var/lib/skinnybox/other", False),
        (b"run/skinnybox", True),
        (b"srv/[a]*/b c", True),
        (b"srv/ax/b c", False),
        (b"etc/hosts.allow", False),
        (b"x/etc/hosts", False),
    ],
)
def test_what_is_expected(path: bytes, is_expected: bool) -> None:
    assert (path in EXPECTED) is is_expected


def test_resolvers_are_only_of_a_seed_that_has_some() -> None:
    for network in (None, StaticNetwork(address="192.0.2.2/24")):
        seed = Seed(hostname="web", machine_id="0" * 32, network=network)
        assert b"etc/resolv.conf" not in expected(an_instance(seed=seed), ())
    assert b"etc/resolv.conf" in EXPECTED


def test_what_is_said_of_each() -> None:
    found = [
        (change(b"a", detail="mode 644 -> 600"), True),
        (change(b"b", detail="mode 644 -> 600"), False),
        (change(b"c"), False),
        (change(b"d"), None),
    ]
    said = ["mode 644 -> 600, not as the seed has it", "not as the seed has it", ""]
    assert [each.detail for each in marked(found, include_seed=False)] == said
    assert [each.detail for each in marked(found, include_seed=True)] == ["mode 644 -> 600, seed", *said]


def test_what_is_expected_reaches_the_child_as_it_is() -> None:
    assert decode(encode(EXPECTED)) == EXPECTED


@pytest.mark.parametrize("text", [b"", b"x" * 99, b"-----BEGIN OPENSSH PRIVATE KEY-----\n%s-----END "
    b"OPENSSH PRIVATE KEY-----\n" % b"b3Bl\n"])  # fmt: skip
def test_what_is_no_private_key_has_no_public_part(text: bytes) -> None:
    assert public_part(text) is None
