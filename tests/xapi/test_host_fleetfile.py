"""What a fleet file can say only of machines in a pool."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from skinnybox.fleet.service import Fleet
from tests.emulators.xapi import EmulatedPool
from tests.fleet.fleetfile import File
from tests.samples import seal
from tests.xapi.furnished import host_on, message_of, plain_disk

pytestmark = pytest.mark.image
TEXT = (
    "version: 1\nfleet: shop\nmachines:\n  web: {master: tiny, overlay: 32M, memory: 256M, follow_name: %s}\n"
)


@pytest.fixture
def file(pool: EmulatedPool, tmp_path: Path) -> Iterator[File]:
    seal(tmp_path / "state", tmp_path, "tiny", "1")
    host = host_on(pool, tmp_path / "state", make_disk=plain_disk)
    with Fleet(tmp_path / "state", host, boots_at_once=1) as fleet:
        yield File(fleet, tmp_path / "fleet.yaml")


def told(pool: EmulatedPool) -> list[str]:
    """The lines of the seed that the only machine is told."""
    with pool.database() as database:
        (data,) = [r["xenstore_data"] for r in database.tables["VM"].values() if r["name_label"] == "web"]
    return message_of(data, "seed").decode().splitlines()


def test_a_hostname_that_follows_the_name_in_the_pool(pool: EmulatedPool, file: File) -> None:
    file.write(TEXT % "true")
    assert [outcome.error for outcome in file.apply()] == [None]
    assert "hostname-from host" in told(pool)
    assert file.plan() == []

    file.write(TEXT % "false")
    assert file.plan() == ["seed web"]
    (outcome,) = file.apply()
    assert outcome.error is None and "generation" in (outcome.value or "")
    assert "hostname-from host" not in told(pool)
    assert file.plan() == [] and not file.fleet.machine("web").instance.seed.follows_name
