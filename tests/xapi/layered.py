"""Layers of a pool's machines, for tests: two of them, and what the pool has of each."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from skinnybox.fleet.service import Fleet
from skinnybox.hosts.xapi import tags
from skinnybox.model import Instance, Layer
from tests.emulators.xapi import EmulatedPool
from tests.layered import planted
from tests.xapi.furnished import SMALL, machine

TREES = {"low": {"srv/site/index.html": "low\n"}, "top": {"srv/site/index.html": "top\n", "opt/x": "x\n"}}
NAMES = tuple(TREES)
LAYERED = replace(SMALL, layers=NAMES)


def sealed(fleet: Fleet, tmp_path: Path, above: str = "tiny") -> dict[str, Layer]:
    return {
        name: fleet.layers.import_tree(planted(tmp_path / f"{name}-of", files), f"{name}:1", above=above)
        for name, files in TREES.items()
    }


def lying(pool: EmulatedPool, role: str, name: str = "") -> list[dict[str, Any]]:
    """Disks of a role, those of one layer, with their references."""
    with pool.database() as database:
        return [
            dict(record, ref=ref)
            for ref, record in database.tables["VDI"].items()
            if tags.role_of(record) == role and name in record["name_label"]
        ]


def drives(pool: EmulatedPool, instance: Instance) -> dict[str, tuple[str, str, str]]:
    """What it has attached, by its places: the disk's role and name, and how it may be used."""
    attached, found = machine(pool, instance)["VBDs"], {}
    with pool.database() as database:
        for vbd in attached:
            drive = database.tables["VBD"][vbd]
            disk = database.tables["VDI"][drive["VDI"]]
            name = disk["name_label"].removesuffix(" [NOBAK] [NOSNAP]").rpartition(" ")[2]
            assert drive["other_config"]["skinnybox:role"] == tags.role_of(disk)
            assert not drive["bootable"] or drive["userdevice"] == "0"
            found[drive["userdevice"]] = (tags.role_of(disk), name, drive["mode"])
    return dict(sorted(found.items(), key=lambda each: int(each[0])))
