"""A reset keeps who the machine is, and nothing else; and takes no word of the guest's for granted."""

from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from skinnybox import run, wire
from skinnybox.delta.reset import fresh_contents
from skinnybox.errors import Corrupt
from skinnybox.model import Allocation, Seed
from skinnybox.overlays.inspect import read_base, read_identity
from skinnybox.overlays.make import make
from skinnybox.overlays.seed import base_message, seed_message
from skinnybox.overlays.template import template
from skinnybox.sizes import KIB, MIB
from tests.samples import an_instance

pytestmark = pytest.mark.image

INSTANCE = an_instance(
    uuid=UUID("11111111-2222-4333-8444-555555555555"),
    seed=Seed(hostname="web-01", machine_id="0" * 32, generation=3),
)
KEY = wire.Line("ssh-host-key", "ssh_host_ed25519_key", b"\0secret\n" * 40)
IDENTITY = wire.encode("identity", 1, [wire.Line("instance", str(INSTANCE.uuid)), KEY])
OTHER = wire.encode("identity", 1, [wire.Line("instance", str(UUID(int=1))), KEY])


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("templates")


def overlay(cache: Path, folder: Path, identity: bytes) -> Path:
    image = folder / "overlay.img"
    base, seed = base_message(INSTANCE), seed_message(INSTANCE)
    form = template(cache, 32 * MIB)
    make(form, image, base=base, seed=seed, identity=identity, allocation=Allocation.SPARSE)
    return image


def test_a_reset_carries_the_identity_and_counts_up(cache: Path, tmp_path: Path) -> None:
    disk = overlay(cache, tmp_path, IDENTITY)
    fresh = fresh_contents(INSTANCE, read_identity(disk, INSTANCE.uuid))
    assert read_base(disk).get("instance") == str(INSTANCE.uuid)
    assert fresh.identity == IDENTITY
    assert fresh.base == base_message(INSTANCE)
    assert fresh.instance == replace(INSTANCE, seed=replace(INSTANCE.seed, generation=4))
    assert wire.decode(fresh.seed, "seed").get("generation") == "4"


@pytest.mark.parametrize(
    "identity",
    [
        b"",
        b"\xff" * 32 * KIB,
        OTHER,
        IDENTITY.replace(b"end\n", b""),
        IDENTITY.replace(b"\n ", b"\n !"),
        b"skinnybox-identity 1\nend\n",
        b"skinnybox-seed 1\nend\n",
    ],
)
def test_what_is_no_identity_of_this_machine_is_not_carried(
    cache: Path, tmp_path: Path, identity: bytes
) -> None:
    assert read_identity(overlay(cache, tmp_path, identity), INSTANCE.uuid) == b""


def test_what_follows_the_identity_is_not_carried(cache: Path, tmp_path: Path) -> None:
    disk = overlay(cache, tmp_path, IDENTITY + b"smuggled\n" * 100)
    assert read_identity(disk, INSTANCE.uuid) == IDENTITY


@pytest.mark.parametrize("command", ["rm /skinnybox/identity", "sif /skinnybox/identity mode 040755"])
def test_a_broken_overlay_costs_the_identity_not_the_reset(cache: Path, tmp_path: Path, command: str) -> None:
    image = overlay(cache, tmp_path, IDENTITY)
    run.run(["debugfs", "-w", "-R", command, image])
    assert read_identity(image, INSTANCE.uuid) == b""
    assert fresh_contents(INSTANCE, b"").identity == b""


def test_a_huge_identity_is_read_to_its_limit_only(cache: Path, tmp_path: Path) -> None:
    image = overlay(cache, tmp_path, IDENTITY)
    run.run(["debugfs", "-w", "-R", "sif /skinnybox/identity size 0x100000000000", image])
    assert read_identity(image, INSTANCE.uuid) == IDENTITY


def test_a_base_that_says_nothing_is_corrupt(cache: Path, tmp_path: Path) -> None:
    image = tmp_path / "overlay.img"
    make(template(cache, 32 * MIB), image, base=b"?", seed=b"", allocation=Allocation.SPARSE)
    with pytest.raises(Corrupt, match="not a base"):
        read_base(image)
