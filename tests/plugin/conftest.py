"""A pool with the real plugin in its hosts' plugin folder, a master's disk and a stock template."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import XenAPI

from tests.emulators.xapi import EmulatedPool
from tests.xapi import records

PLUGIN = Path(__file__).parents[2] / "xenserver" / "skinnybox"
DIGEST = "sha256:" + "5c" * 32
MASTER = {"skinnybox:digest": DIGEST, "skinnybox:role": "master"}
ABOVE = {f"skinnybox:above:{DIGEST}": "lamp:1"}
MIB, GIB = 1 << 20, 1 << 30


def image(number: int) -> str:
    """The digest of a layer's image."""
    return f"sha256:{number:064x}"


def details(call: Callable[..., Any], /, *params: Any, **args: Any) -> list[str]:
    """What a call was refused with; the test fails when it was not."""
    with pytest.raises(XenAPI.Failure) as caught:
        call(*params, **args)
    return list(caught.value.details)


@dataclass(frozen=True, slots=True)
class Dom0:
    """`call` answers as `xe host-call-plugin` would, read from JSON; `refused` is what it failed with."""

    pool: EmulatedPool
    api: Any
    sr: str
    master: str

    def call(self, function: str, **args: str) -> Any:
        answer = self.api.host.call_plugin(self.pool.hosts[0], "skinnybox", function, args)
        return json.loads(answer)

    def refused(self, function: str, **args: str) -> list[str]:
        return details(self.call, function, **args)

    def thin_template(self, **args: str) -> str:
        made = self.call("create_template", **{"template": "Stock", "name": "thin", **args})
        return str(made["template"]["uuid"])

    def provision(self, name: str = "web-01", **args: str) -> Any:
        return self.call("provision", **{"template": "thin", "master": "lamp:1", "name": name, **args})

    def batch(self, last: int = 2, **args: str) -> Any:
        common = {"template": "thin", "master": "lamp:1", "prefix": "web-", "padding": "2"}
        return self.call("batch", **{**common, "last": str(last), **args})

    def layer(self, name: str, number: int, sr: str = "", **marks: str) -> str:
        """The reference of a layer's disk, as `skinnybox` leaves it with a machine of lamp:1."""
        found = {"skinnybox:layer": image(number), "skinnybox:role": "layer", **ABOVE, **marks}
        label = f"Skinnybox layer {name} [NOBAK] [NOSNAP]"
        disk = records.disk(sr or self.sr, 64 * MIB, name_label=label, other_config=found)
        return str(self.api.VDI.create(disk))

    def take_off(self, name: str, *places: str) -> None:
        """Drives of a machine, by somebody."""
        for drive in self.vm(name)["VBDs"]:
            if self.api.VBD.get_userdevice(drive) in places:
                self.api.VBD.destroy(drive)

    def counts(self) -> dict[str, int]:
        """How many of what a call may leave behind; the journal's entries among them."""
        with self.pool.database() as database:
            found = {name: len(database.tables[name]) for name in ("VM", "VDI", "VBD", "VIF", "VM_metrics")}
            return found | {"journal": len(database.get("pool", self.pool.xapi.pool, "other_config"))}

    def vm(self, name: str) -> dict[str, Any]:
        (found,) = (each for each in self.api.VM.get_all_records().values() if each["name_label"] == name)
        return dict(found)

    def names(self) -> list[str]:
        """Of all machines, also unfinished ones, which are still templates."""
        everything = self.api.VM.get_all_records().values()
        own = [each for each in everything if not each["is_control_domain"]]
        return sorted(
            each["name_label"] for each in own if not each["is_a_template"] or "making" in each["name_label"]
        )


@pytest.fixture(scope="session")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as /etc/xapi.d/plugins, with the plugin as the project holds it."""
    folder = tmp_path_factory.mktemp("plugins")
    shutil.copy(PLUGIN, folder / "skinnybox")
    return folder


def furnished(pool: EmulatedPool, api: Any, *, sr: str = "nfs") -> Dom0:
    storage = pool.add_sr("shared", sr)
    pool.add_network("lan")
    pool.add_template("Stock", uefi=False, disk_size=8 * GIB, default=True)
    disk = records.disk(storage, 2 * GIB, name_label="Skinnybox master lamp:1", other_config=MASTER)
    return Dom0(pool, api, storage, api.VDI.create(disk))


@pytest.fixture
def bare(plugins: Path) -> Iterator[Dom0]:
    """Without a template for thin machines."""
    with EmulatedPool(hosts=("alpha", "beta"), plugins=plugins) as pool, pool.session() as api:
        yield furnished(pool, api)


@pytest.fixture(scope="module")
def shared(plugins: Path) -> Iterator[Dom0]:
    """One pool for all tests of a file that change nothing."""
    with EmulatedPool(plugins=plugins) as pool, pool.session() as api:
        dom0 = furnished(pool, api)
        dom0.thin_template()
        yield dom0


@pytest.fixture
def dom0(bare: Dom0) -> Dom0:
    bare.thin_template()
    return bare
