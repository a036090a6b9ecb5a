"""The whole way on an (emulated) XAPI pool: machines made by a command line or by the dom0 plugin alone boot
under firmware from one read-only disk, format their own overlays, and say that they are ready."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from skinnybox.fleet.service import Fleet
from skinnybox.masters.disk import image_of
from tests.boot.on_a_pool import SECONDS, Skinnybox, booting, command_line, state_with
from tests.emulators.xapi import EmulatedPool
from tests.pace import within


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[EmulatedPool]:
    with booting(tmp_path) as pool:
        yield pool


@pytest.fixture
def skinnybox(pool: EmulatedPool, fleet: Fleet, master: str, tmp_path: Path) -> Skinnybox:
    return command_line(pool, state_with(fleet, master, tmp_path), reach=False)


def masters(pool: EmulatedPool) -> list[str]:
    """The disks that machines attach read-only."""
    with pool.database() as database:
        drives = list(database.tables["VBD"].values())
        return [each["VDI"] for each in drives if each["mode"] == "RO" and each["type"] == "Disk"]


def digest(pool: EmulatedPool, vdi: str) -> str:
    with pool.file_of(vdi).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + within(SECONDS)
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(1)


@pytest.mark.full
@pytest.mark.parametrize("count", [2, 4])
def test_machines_from_a_command_line(
    pool: EmulatedPool, master: str, skinnybox: Skinnybox, count: int
) -> None:
    size = ("--overlay", "128M", "--memory", "384M")
    skinnybox("create", f"web-{{01..0{count}}}", "--master", master, *size, "--follow-name")
    with pool.session() as api:
        (second,) = api.VM.get_by_name_label("web-02")
        api.VM.set_name_label(second, "Shop Front")
    (vdi,) = set(masters(pool))
    assert len(masters(pool)) == count
    before = digest(pool, vdi)
    skinnybox("start", "*", "--timeout", str(within(SECONDS)))
    listed = json.loads(skinnybox("list", "--format", "json"))
    assert [machine["state"] for machine in listed] == ["ready"] * count
    (shown,) = json.loads(skinnybox("show", "web-02", "--format", "json"))
    assert shown["ssh_host_keys"] or shown["host_keys"]
    until(lambda: b"shop-front login" in pool.console_of(second))
    with pool.database() as database:
        orders = [
            key for vm in database.tables["VM"].values() for key in vm["xenstore_data"] if "format" in key
        ]
    assert orders == []
    skinnybox("stop", "*", "--timeout", str(within(SECONDS)))
    assert digest(pool, vdi) == before
    for name in ("web-01", f"web-0{count}"):
        changed = json.loads(skinnybox("changes", name, "--format", "json"))
        assert {"/var/log/wtmp"} <= {change["path"] for change in changed}
    skinnybox("delete", "*", "--yes")
    with pool.database() as database:
        assert [vdi] == [
            reference
            for reference, record in database.tables["VDI"].items()
            if record["other_config"].get("skinnybox:role") == "master"
        ]


def call(api: Any, pool: EmulatedPool, function: str, **words: str) -> Any:
    return json.loads(api.host.call_plugin(pool.hosts[0], "skinnybox", function, words))


def listed(api: Any, pool: EmulatedPool) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = call(api, pool, "list")["machines"]
    return found


def test_machines_from_the_dom0_plugin_alone(
    pool: EmulatedPool, fleet: Fleet, master: str, skinnybox: Skinnybox
) -> None:
    """The master's disk is the only thing that came from elsewhere."""
    skinnybox("create", "upload", "--master", master, "--overlay", "128M")
    skinnybox("delete", "upload", "--yes")
    pool.add_template("Stock", uefi=False, disk_size=8 << 30, default=True, memory=384 << 20)
    with pool.session() as api:
        made = call(api, pool, "create_template", template="Stock", name="thin", overlay="128M")
        assert made["template"]["uuid"]
        call(
            api, pool, "batch",
            template="thin", master=master, prefix="lamp-", first="1", last="2", padding="2", start="true",
        )  # fmt: skip
        until(lambda: {machine["report"] for machine in listed(api, pool)} == {"ready"})
        records = api.VM_guest_metrics.get_all_records().values()
        wanted = str(image_of(fleet.masters.find(master)).uuid)
        assert [record["other"]["data-ts"].split(" ")[3] for record in records] == [wanted] * 2
        call(api, pool, "delete", name="lamp-01", force="true")
        assert [machine["name"] for machine in listed(api, pool)] == ["lamp-02"]
