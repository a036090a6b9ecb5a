"""What the plugin makes, as the pool's records and the guest's xenstore show it."""

import base64
import uuid
from pathlib import Path
from typing import Any

import pytest

from skinnybox import wire
from skinnybox.hosts.xapi import build, tags, xenstore_data
from skinnybox.model import Seed, Stack
from skinnybox.overlays import seed as seeds
from skinnybox.overlays.template import SEED_CAPACITY
from tests.emulators.xapi import EmulatedPool
from tests.plugin.conftest import DIGEST, GIB, MIB, Dom0, details, furnished
from tests.samples import an_instance
from tests.xapi import records


def told(record: dict[str, Any]) -> dict[str, str]:
    """What the guest finds below vm-data/skinnybox/."""
    data = record["xenstore_data"]
    return {
        key.removeprefix(xenstore_data.PREFIX): value
        for key, value in data.items()
        if key.startswith(xenstore_data.PREFIX)
    }


def message_of(keys: dict[str, str], kind: str) -> bytes:
    """As the guest puts it together."""
    parts = [keys[f"{kind}-{number}"] for number in range(int(keys[kind]))]
    return base64.b64decode("".join(parts), validate=True)


def disks(dom0: Dom0, record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    drives = [dom0.api.VBD.get_record(each) for each in record["VBDs"]]
    return {each["userdevice"]: each for each in drives}


def test_the_first_skinnyboxs_call_still_works(dom0: Dom0) -> None:
    made = dom0.call("provision", template="thin", master="lamp:1", name="web-01")
    record = dom0.vm("web-01")
    assert made["uuid"] == record["uuid"] and made["started"] is False
    assert not record["is_a_template"] and record["power_state"] == "Halted"
    assert record["tags"] == ["skinnybox"]
    assert record["other_config"]["skinnybox:dom0"] == made["instance"]
    assert record["other_config"]["skinnybox:master"] == "lamp:1"
    leaked = {"disks", "skinnybox:call", "skinnybox:overlay", "default_template"} & set(
        record["other_config"]
    )
    assert not leaked


def test_the_masters_machine_names_the_master_as_it_once_did(dom0: Dom0) -> None:
    old = dom0.api.VM.clone(dom0.api.VM.get_by_name_label("thin")[0], "the-master")
    dom0.api.VM.provision(old)
    dom0.api.VBD.create(records.drive(old, dom0.master, "0", "RO", bootable=True))
    dom0.provision(master="the-master")
    assert disks(dom0, dom0.vm("web-01"))["0"]["VDI"] == dom0.master


def test_disks_of_a_machine(dom0: Dom0) -> None:
    made = dom0.provision(overlay="64M")
    drives = disks(dom0, dom0.vm("web-01"))
    assert sorted(drives) == ["0", "1"]
    master, overlay = drives["0"], drives["1"]
    assert (master["VDI"], master["mode"], master["bootable"]) == (dom0.master, "RO", True)
    assert (overlay["mode"], overlay["bootable"], overlay["type"]) == ("RW", False, "Disk")
    assert "owner" in overlay["other_config"] and "owner" not in master["other_config"]
    disk = dom0.api.VDI.get_record(overlay["VDI"])
    assert int(disk["virtual_size"]) == 64 * MIB and disk["tags"] == ["skinnybox"]
    assert disk["other_config"] == {"skinnybox:dom0": made["instance"], "skinnybox:blank": "yes"}
    assert set(dom0.pool.file_of(overlay["VDI"]).read_bytes()) == {0}


def test_what_the_guest_reads(dom0: Dom0) -> None:
    """The very messages that Skinnybox itself writes for such a machine."""
    keys = "ssh-ed25519 AAAAC3Nza somebody@example\nssh-rsa AAAAB3Nza other\n"
    made = dom0.provision(authorized_keys=keys, user="admin", follow_name="true")
    found = told(dom0.vm("web-01"))
    identity = uuid.UUID(made["instance"])
    instance = an_instance(
        uuid=identity,
        stack=Stack(master=DIGEST, reference="lamp:1", images=(DIGEST,)),
        ssh_user="admin",
        seed=Seed(
            hostname="web-01",
            machine_id=uuid.uuid5(identity, "machine-id").hex,
            authorized_keys=tuple(keys.splitlines()),
            follows_name=True,
        ),
    )
    nonce = found.pop("nonce")
    assert {f"{xenstore_data.PREFIX}{key}": value for key, value in found.items()} == xenstore_data.told(
        instance, blank=True
    )
    assert len(bytes.fromhex(nonce)) == 16
    assert message_of(found, "base") == seeds.base_message(instance)


def test_those_who_keep_records_do_not_take_it_for_theirs(dom0: Dom0) -> None:
    """Skinnybox's own repair deletes the disks of a machine that is marked as its own and has no record."""
    dom0.provision()
    everything = [*dom0.api.VM.get_all_records().values(), *dom0.api.VDI.get_all_records().values()]
    assert not any(tags.instance_of(each) for each in everything)


def test_a_large_seed_is_cut_into_values_that_xenstore_takes(dom0: Dom0) -> None:
    keys = "".join(f"ssh-ed25519 {'A' * 68} user-{number}\n" for number in range(85))
    dom0.provision(authorized_keys=keys)
    found = told(dom0.vm("web-01"))
    assert all(len(value) <= 2000 for value in found.values()) and "seed-5" in found
    message = wire.decode(message_of(found, "seed"), "seed")
    assert message.all("authorized-keys")[0].payload == keys.encode()
    assert len(message_of(found, "seed")) <= SEED_CAPACITY


@pytest.mark.parametrize("asked", ["true", "auto"])
def test_secure_boot_of_a_template_is_off(dom0: Dom0, asked: str) -> None:
    with dom0.pool.database() as database:
        template = next(ref for ref, _ in database.where("VM", name_label="thin"))
        database.put("VM", template, "platform", "secureboot", asked)
    dom0.provision()
    found = dom0.vm("web-01")["platform"]
    assert found["secureboot"] == "false" and found["viridian"] == "false"


def test_what_would_copy_the_master_is_blocked(dom0: Dom0) -> None:
    dom0.provision()
    vm = dom0.api.VM.get_by_name_label("web-01")[0]
    before = dom0.counts()
    expected = ["OPERATION_BLOCKED", vm, "Skinnybox: this would copy the whole master"]
    assert details(dom0.api.VM.clone, vm, "copy") == expected
    assert details(dom0.api.VM.copy, vm, "copy", "OpaqueRef:NULL") == expected
    assert dom0.counts() == before
    assert set(dom0.vm("web-01")["blocked_operations"]) == set(build.BLOCKED)


def test_a_batch(dom0: Dom0) -> None:
    made = dom0.batch(last=4, first="2", start="true")
    assert [each["name"] for each in made["machines"]] == ["web-02", "web-03", "web-04"]
    assert all(each["started"] for each in made["machines"])
    assert dom0.names() == ["web-02", "web-03", "web-04"]
    assert len({each["instance"] for each in made["machines"]}) == 3
    vbds = dom0.api.VDI.get_VBDs(dom0.master)
    assert len(vbds) == 3 and all(dom0.api.VBD.get_currently_attached(each) for each in vbds)


def test_names_of_a_batch_are_all_or_nothing(dom0: Dom0) -> None:
    dom0.provision("web-03")
    before = dom0.counts()
    common = {"template": "thin", "master": "lamp:1", "prefix": "web-", "padding": "2", "last": "4"}
    assert dom0.refused("batch", **common) == ["SKINNYBOX_NAME_TAKEN", "web-03"]
    assert dom0.counts() == before


def test_a_machine_that_cannot_start_stays_and_says_why(plugins: Path) -> None:
    with EmulatedPool(plugins=plugins, host_memory=2 * GIB) as pool, pool.session() as api:
        dom0 = furnished(pool, api)
        dom0.thin_template(memory="700M")
        first, second = dom0.batch(start="true")["machines"]
        assert first["started"] and not second["started"]
        assert second["error"][0] == "HOST_NOT_ENOUGH_FREE_MEMORY"
        assert dom0.names() == ["web-01", "web-02"]


def test_cards(dom0: Dom0) -> None:
    dom0.thin_template(name="with-card", network="lan")
    dom0.provision("web-01", template="with-card")
    dom0.provision("web-02", network="lan")
    cards = [dom0.api.VIF.get_record(dom0.vm(name)["VIFs"][0]) for name in ("web-01", "web-02")]
    assert {card["device"] for card in cards} == {"0"}
    assert cards[0]["MAC"] != cards[1]["MAC"] and cards[0]["network"] == cards[1]["network"]


def test_a_template(bare: Dom0) -> None:
    made = bare.call(
        "create_template", template="Stock", name="thin", overlay="2G", memory="1G", vcpus="4", sr="shared"
    )["template"]
    record = bare.vm("thin")
    assert made == {"uuid": record["uuid"], "name": "thin", "overlay": 2 * GIB}
    assert record["is_a_template"] and not record["is_default_template"]
    assert record["HVM_boot_params"]["firmware"] == "uefi" and record["platform"]["secureboot"] == "false"
    assert "disks" not in record["other_config"]
    assert int(record["memory_static_max"]) == GIB and record["VCPUs_at_startup"] == "4"
    bare.provision()
    overlay = disks(bare, bare.vm("web-01"))["1"]["VDI"]
    assert int(bare.api.VDI.get_virtual_size(overlay)) == 2 * GIB
    assert bare.refused("create_template", template="Stock", name="thin") == ["SKINNYBOX_NAME_TAKEN", "thin"]


def test_a_machine_with_fewer_processors_than_its_template(bare: Dom0) -> None:
    bare.thin_template(vcpus="4")
    bare.call("create_template", template="thin", name="small", vcpus="1")
    record = bare.vm("small")
    assert (record["VCPUs_max"], record["VCPUs_at_startup"]) == ("1", "1")


@pytest.mark.parametrize(
    "wanted", ["lamp:1", "Skinnybox master lamp:1", "Skinnybox master lamp:1 [NOBAK] [NOSNAP]"]
)
def test_a_master_is_found_by_its_name_whatever_backups_leave_out_by_it(dom0: Dom0, wanted: str) -> None:
    dom0.api.VDI.set_name_label(dom0.master, "Skinnybox master lamp:1 [NOBAK] [NOSNAP]")
    dom0.provision(master=wanted)
    assert dom0.vm("web-01")["other_config"]["skinnybox:master"] == "lamp:1"
