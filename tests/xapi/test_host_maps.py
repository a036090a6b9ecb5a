"""Maps of the pool's objects belong to everybody: what others write there between two calls of ours stays."""

import contextlib
import dataclasses
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from skinnybox.errors import SkinnyboxError
from skinnybox.hosts.xapi import tags
from skinnybox.hosts.xapi.host import XapiHost
from skinnybox.model import Instance
from skinnybox.operation import Operation
from skinnybox.sizes import MIB
from tests.emulators.xapi import EmulatedPool
from tests.emulators.xapi.context import Call
from tests.emulators.xapi.database import Database
from tests.emulators.xapi.model import load
from tests.xapi.conftest import Sealed
from tests.xapi.furnished import host_on, machine, make_one, plain_disk
from tests.xapi.test_host_hostile_day import CHANGES, rebuilt

ROOT = Path(__file__).parents[2]
CALL = re.compile(r"\b([A-Za-z_]+)\.set_(\w+)\b")
ON_THEIR_OWN = {
    ("telling.py", "VM.set_xenstore_data"): "the only call that reaches a running guest; read just before",
    ("skinnybox", "VM.set_xenstore_data"): "the same; and of a machine that this call has just cloned",
    ("skinnybox", "VM.set_HVM_boot_params"): "of a template that this call has just cloned",
    ("skinnybox", "VM.set_platform"): "of a template that this call has just cloned",
    ("skinnybox", "VM.set_blocked_operations"): "of a machine that this call has just cloned",
}


def test_nothing_here_writes_a_whole_map() -> None:
    """But what is named above, and maps.first, of objects that are new."""
    classes, found, open_ended = load().classes, set(), set()
    for path in [*(ROOT / "src/skinnybox/hosts/xapi").glob("*.py"), ROOT / "xenserver/skinnybox"]:
        text = path.read_text()
        if re.search(r"\.set_\{", text):
            open_ended.add(path.name)
        for of, name in CALL.findall(text):
            field = classes[of].fields.get(name) if of in classes else None
            if field and field.kind.shape == "map":
                found.add((path.name, f"{of}.set_{name}"))
    assert found == set(ON_THEIR_OWN)
    assert open_ended == {"maps.py"}


BLOCKED = (
    "pause", "suspend", "send_sysrq", "send_trigger", "csvm", "resume_on", "awaiting_memory_live", "sysprep",
)  # fmt: skip


class Others:
    """Clients who write something of theirs into every map just before each call of ours, and look whether
    all that they wrote is there."""

    def __init__(self) -> None:
        self._number = 0
        self._wrote: dict[tuple[str, str, str], set[str]] = defaultdict(set)
        self._lifted: set[tuple[str, str]] = set()
        self.lost: set[tuple[str, str, str]] = set()

    def __call__(self, call: Call) -> None:
        if call.xapi.sessions[call.session].originator != "skinnybox":
            return
        self.look(call.database)
        self._number += 1
        for of in ("VM", "VDI"):
            for ref, record in list(call.database.where(of)):
                if tags.instance_of(record) or tags.DIGEST in record["other_config"]:
                    self._write(call.database, of, ref, "other_config", f"theirs-{self._number}")
        for ref, record in list(call.database.where("VM", power_state="Halted")):
            if record["blocked_operations"]:  # while it is made nobody knows it yet
                self._write(call.database, "VM", ref, "xenstore_data", f"vm-data/theirs-{self._number}")
                self._block(call.database, ref, BLOCKED[self._number % len(BLOCKED)])

    def _write(self, database: Database, of: str, ref: str, name: str, key: str) -> None:
        database.put(of, ref, name, key, "theirs")
        self._wrote[of, ref, name].add(key)

    def _block(self, database: Database, ref: str, operation: str) -> None:
        """Or lift it again."""
        held = self._wrote["VM", ref, "blocked_operations"]
        if operation in held:
            database.put("VM", ref, "blocked_operations", operation, None)
            held.remove(operation)
            self._lifted.add((ref, operation))
        else:
            self._lifted.discard((ref, operation))
            self._write(database, "VM", ref, "blocked_operations", operation)

    def look(self, database: Database) -> None:
        for (of, ref, name), keys in self._wrote.items():
            if database.valid(of, ref):
                self.lost |= {(of, name, key) for key in keys - set(database.get(of, ref, name))}
        for ref, operation in self._lifted:
            if database.valid("VM", ref) and operation in database.get("VM", ref, "blocked_operations"):
                self.lost.add(("VM", "blocked_operations", f"{operation} is back"))


@pytest.mark.image
def test_what_others_write_between_our_calls_stays(
    pool: EmulatedPool, tmp_path: Path, sealed: Sealed, new_instance: Callable[..., Instance]
) -> None:
    host = host_on(pool, tmp_path / "state", make_disk=plain_disk)
    others = Others()
    pool.xapi.others = others
    host.add_master(*sealed, Operation())
    instance = new_instance()
    make_one(host, instance, Operation())
    host.start(instance, *sealed, Operation())
    host.reports([instance.uuid])
    host.take_snapshot(instance, "running", Operation())
    host.power_off(instance)
    with pool.session() as api:
        vm = api.VM.get_by_name_label(instance.name)[0]
        api.VM.remove_from_blocked_operations(vm, "clone")
    larger = new_instance_of(instance)
    host.define(larger)
    for change in CHANGES.values():
        change(host, larger)
    host.start(larger, *sealed, Operation())
    assert host.reports([instance.uuid])[instance.uuid].ready
    pool.xapi.others = None
    with pool.database() as database:
        others.look(database)
    assert others.lost == set()
    assert host._pool.ours()[instance.uuid][1]["blocked_operations"]["clone"]
    assert next(iter(host.records())).memory == larger.memory
    host.close()


def new_instance_of(instance: Instance) -> Instance:
    return dataclasses.replace(instance, memory=instance.memory + 64 * MIB)


@pytest.mark.image
@pytest.mark.parametrize("step", range(1, 9))
def test_a_record_and_a_role_are_never_missing(
    pool: EmulatedPool, tmp_path: Path, sealed: Sealed, new_instance: Callable[..., Instance], step: int
) -> None:
    """Whoever is killed while they are replaced leaves the old or the new: a disk without a role is nobody's,
    and a machine without a record would be forgotten."""
    host: XapiHost = host_on(pool, tmp_path / "state", make_disk=plain_disk)
    host.add_master(*sealed, Operation())
    instance = new_instance()
    make_one(host, instance, Operation())
    larger = new_instance_of(instance)
    acts: tuple[Callable[[], None], ...] = (lambda: host.define(larger), lambda: rebuilt(host, larger))
    for act in acts:
        pool.faults.drop_before("*.*_other_config", at=step, times=1 << 20)
        with contextlib.suppress(SkinnyboxError):
            act()
        pool.faults.clear()
        with pool.database() as database:
            disks = [each for _, each in database.where("VDI") if tags.INSTANCE in each["other_config"]]
        assert all(tags.role_of(each) for each in disks)
        found = tags.instance_from(machine(pool, instance))
        assert found and found.memory in (instance.memory, larger.memory)
    again = host_on(pool, tmp_path / "state", make_disk=plain_disk)
    again.define(larger)
    again.start(larger, *sealed, Operation())
    assert tags.instance_from(machine(pool, instance)) == larger
    assert not any(key.endswith(tags.NEXT) for key in machine(pool, instance)["other_config"])
    for each in (host, again):
        each.close()
