"""What doctor says of a pool's hosts, its storage's links and its user's rights."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from skinnybox.hosts.xapi.host import XapiHost
from skinnybox.issues import Check
from tests.emulators.xapi import EmulatedPool
from tests.xapi.furnished import host_on

NAMES = ("hosts", "plugged", "rights")


@pytest.fixture
def host(our_pool: EmulatedPool, tmp_path: Path) -> Iterator[XapiHost]:
    opened = host_on(our_pool, tmp_path / "state")
    yield opened
    opened.close()


def troubles(host: XapiHost) -> dict[str, list[Check]]:
    """What is not ok, of these three."""
    found = [check for check in host.doctor() if check.name in NAMES]
    assert {check.name for check in found} == set(NAMES)
    return {name: [c for c in found if c.name == name and c.status != "ok"] for name in NAMES}


def change(pool: EmulatedPool, of: str, number: int, **values: Any) -> str:
    """Of the n-th object of a class; its UUID."""
    with pool.database() as database:
        ref = list(database.tables[of])[number]
        database.update(of, ref, **values)
        return str(database.get(of, ref, "uuid"))


def test_a_pool_in_order(host: XapiHost) -> None:
    assert not any(troubles(host).values())


def test_a_host_that_is_offline_or_disabled_is_named(our_pool: EmulatedPool, host: XapiHost) -> None:
    """What storage one that is offline has plugged in is not known."""
    change(our_pool, "host_metrics", 1, live=False)
    change(our_pool, "PBD", 1, currently_attached=False)
    found = troubles(host)
    (told,) = found["hosts"]
    assert told.status == "warn" and "beta is offline" in told.detail and found["plugged"] == []
    change(our_pool, "host_metrics", 1, live=True)
    change(our_pool, "PBD", 1, currently_attached=True)
    change(our_pool, "host", 0, enabled=False)
    (told,) = troubles(host)["hosts"]
    assert "alpha is disabled" in told.detail and told.hint == "xe host-enable"


def test_storage_that_is_not_plugged_in_is_named(our_pool: EmulatedPool, host: XapiHost) -> None:
    uuid = change(our_pool, "PBD", 1, currently_attached=False)
    (told,) = troubles(host)["plugged"]
    assert told.status == "warn" and "beta has not plugged in shared" in told.detail
    assert told.hint == f"xe pbd-plug uuid={uuid}"
    change(our_pool, "PBD", 0, currently_attached=False)
    (told,) = troubles(host)["plugged"]
    assert told.status == "fail" and "no host" in told.detail


def test_of_storage_that_no_host_speaks_of_nothing_is_said(our_pool: EmulatedPool, host: XapiHost) -> None:
    """All of its hosts are offline."""
    for number in (0, 1):
        change(our_pool, "host_metrics", number, live=False)
    assert [check for check in host.doctor() if check.name == "plugged"] == []


@pytest.mark.parametrize(
    ("role", "status"),
    [
        ("pool-admin", None), ("vm-power-admin", None), ("vm-admin", "note"), ("vm-operator", "warn"),
        ("read-only", "warn"),
    ],
)  # fmt: skip
def test_what_a_user_may_not_is_said(
    our_pool: EmulatedPool, tmp_path: Path, role: str, status: str | None
) -> None:
    our_pool.add_user("anna", "emulated", role)
    host = host_on(our_pool, tmp_path / "state", user="anna")
    found = troubles(host)["rights"]
    assert [check.status for check in found] == ([status] if status else [])
    if status:
        assert "memory" in found[0].detail and ("make" in found[0].detail) == (status == "warn")
        assert ("start" in found[0].detail) == (role == "read-only")
    host.close()
