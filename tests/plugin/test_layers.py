"""Machines with layers: disks of the pool between master and overlay, as `skinnybox` itself has them."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from skinnybox.hosts.xapi import build, xenstore_data
from skinnybox.hosts.xapi.tags import Role
from skinnybox.model import DiskKind, Seed, Stack
from tests.emulators.xapi import EmulatedPool
from tests.plugin.conftest import ABOVE, DIGEST, GIB, MIB, Dom0, furnished, image
from tests.plugin.test_faults import cut
from tests.plugin.test_machines import disks, told
from tests.samples import an_instance
from tests.xapi import records

TWO = {"layers": "tools:1, site:1"}
OTHER = "sha256:" + "6d" * 32


@pytest.fixture
def layered(dom0: Dom0) -> Dom0:
    """tools:1 and site:1, above lamp:1."""
    dom0.layer("site:1", 2)
    dom0.layer("tools:1", 1)
    return dom0


def refused(dom0: Dom0, layers: str, **args: str) -> list[str]:
    given = {"template": "thin", "master": "lamp:1", "name": "web-01", "layers": layers, **args}
    before = dom0.counts()
    found = dom0.refused("provision", **given)
    assert dom0.counts() == before
    return found


def labels(dom0: Dom0, name: str) -> dict[str, str]:
    """What a machine has at its places."""
    found = disks(dom0, dom0.vm(name)).items()
    return {place: dom0.api.VDI.get_name_label(drive["VDI"]) for place, drive in found}


def test_a_machine_is_what_skinnybox_itself_would_have_made(layered: Dom0) -> None:
    """Each drive, and each word that its guest hears."""
    made = layered.provision(**TWO)
    record = layered.vm("web-01")
    drives = disks(layered, record)
    at = {place: drive["VDI"] for place, drive in drives.items()}
    vm = layered.api.VM.get_by_name_label("web-01")[0]
    expected = {
        "0": build.shared_drive(vm, layered.master, "0", Role.MASTER),
        "1": build.drive(vm, at["1"], "1", DiskKind.OVERLAY),
        "4": build.shared_drive(vm, at["4"], "4", Role.LAYER),
        "5": build.shared_drive(vm, at["5"], "5", Role.LAYER),
    }
    assert {place: {key: drive[key] for key in expected["0"]} for place, drive in drives.items()} == expected
    assert labels(layered, "web-01")["4"] == "Skinnybox layer tools:1 [NOBAK] [NOSNAP]"
    assert labels(layered, "web-01")["5"] == "Skinnybox layer site:1 [NOBAK] [NOSNAP]"
    identity = uuid.UUID(made["instance"])
    instance = an_instance(
        uuid=identity,
        stack=Stack(master=DIGEST, reference="lamp:1", images=(DIGEST, image(1), image(2))),
        ssh_user="root",
        seed=Seed(hostname="web-01", machine_id=uuid.uuid5(identity, "machine-id").hex),
    )
    found = told(record)
    assert found.pop("nonce") and found["layers"] == "xvde,xvdf"
    assert xenstore_data.told(instance, blank=True) == {
        f"{xenstore_data.PREFIX}{key}": value for key, value in found.items()
    }


@pytest.mark.full
def test_a_machine_without_hears_nothing_of_layers(layered: Dom0) -> None:
    """Also not of those of the machine that its template was made of."""
    template = layered.api.VM.get_by_name_label("thin")[0]
    stale = {"vm-data/skinnybox/layers": "xvde", "vm-data/skinnybox/data": "xvdc", "vm-data/other": "kept"}
    layered.api.VM.set_xenstore_data(template, stale)
    layered.api.VM.add_to_other_config(template, "skinnybox:layers", '[["site:1", "x"]]')
    layered.provision()
    data = layered.vm("web-01")["xenstore_data"]
    assert not stale.keys() & data.keys() - {"vm-data/other"} and data["vm-data/other"] == "kept"
    [shown] = layered.call("list")["machines"]
    assert (shown["layers"], shown["missing"]) == ([], []) and sorted(labels(layered, "web-01")) == ["0", "1"]


@pytest.mark.full
def test_sixteen_have_places(dom0: Dom0) -> None:
    names = [f"l{number}:1" for number in range(1, 17)]
    for number, name in enumerate(names, 1):
        dom0.layer(name, number)
    dom0.provision(layers=",".join(names), start="true")
    assert told(dom0.vm("web-01"))["layers"] == ",".join(f"xvd{each}" for each in "efghijklmnopqrst")
    assert sorted(map(int, labels(dom0, "web-01"))) == [0, 1, *range(4, 20)]
    assert dom0.call("list")["machines"][0]["layers"] == names


@pytest.mark.full
def test_a_batch_shares_them(layered: Dom0) -> None:
    """They cost no space, and go with nobody: not with the machines, and not with their overlays."""
    [before] = layered.call("capacity", overlay="1G", machines="3")["srs"]
    made = layered.batch(last=3, start="true", **TWO)["machines"]
    assert [each["started"] for each in made] == [True, True, True]
    [after] = layered.call("capacity", overlay="1G", machines="3")["srs"]
    assert before["free"] - after["free"] == before["take"]
    assert [each["machines"] for each in layered.call("layers")["layers"]] == [3, 3]
    for each in made:
        gone = layered.call("delete", name=each["uuid"], force="true")
        assert gone["overlays"] == 1 and len(gone["kept"]) == 3
    assert [each["machines"] for each in layered.call("layers")["layers"]] == [0, 0]


def test_the_layers_of_a_pool(layered: Dom0) -> None:
    layered.layer("half:1", 3, **{"skinnybox:role": "upload"})
    other = layered.layer("other:1", 4, **{f"skinnybox:above:{OTHER}": "mail:1"})
    layered.api.VDI.remove_from_other_config(other, next(iter(ABOVE)))
    layered.api.VDI.snapshot(other)
    found = layered.call("layers")["layers"]
    told = [(each["name"], each["masters"], each["digest"], each["sr"], each["machines"]) for each in found]
    assert told == [
        ("other:1", ["mail:1"], image(4), "shared", 0),
        ("site:1", ["lamp:1"], image(2), "shared", 0),
        ("tools:1", ["lamp:1"], image(1), "shared", 0),
    ]
    assert found[0]["uuid"] == layered.api.VDI.get_uuid(other) and found[0]["size"] == 64 * MIB
    fitting = layered.call("layers", master="lamp:1")["layers"]
    assert [each["name"] for each in fitting] == ["site:1", "tools:1"]
    assert layered.refused("layers", master="mail:1") == ["SKINNYBOX_NOT_FOUND", "master", "mail:1"]


@pytest.mark.full
@pytest.mark.parametrize("wanted", ["site:1", "Skinnybox layer site:1", image(2), "uuid", "größe 日本"])
def test_one_is_found_by_what_it_is_called(layered: Dom0, wanted: str) -> None:
    [ref] = layered.api.VDI.get_by_name_label("Skinnybox layer site:1 [NOBAK] [NOSNAP]")
    if wanted == "größe 日本":
        layered.api.VDI.set_name_label(ref, wanted)
    layered.api.VDI.snapshot(ref)
    layered.provision(layers=layered.api.VDI.get_uuid(ref) if wanted == "uuid" else wanted)
    assert disks(layered, layered.vm("web-01"))["4"]["VDI"] == ref
    expected = wanted if wanted == "größe 日本" else "site:1"
    assert layered.call("list")["machines"][0]["layers"] == [expected]


@pytest.fixture(scope="module")
def odd(plugins: Path) -> Iterator[Dom0]:
    """One pool for all that is refused."""
    with EmulatedPool(plugins=plugins) as pool, pool.session() as api:
        dom0 = furnished(pool, api)
        dom0.thin_template()
        for number, name in enumerate(("tools:1", "site:1", "twice:1", "twice:1"), 1):
            dom0.layer(name, number)
        dom0.layer("source:1", 7, **{"skinnybox:role": "source"})
        dom0.layer("undigested:1", 8, **{"skinnybox:layer": f"{DIGEST}\n"})
        plain = records.disk(dom0.sr, GIB, name_label="Skinnybox layer called:1", other_config=ABOVE)
        api.VDI.create(plain)
        api.VDI.remove_from_other_config(dom0.layer("mails:1", 9), next(iter(ABOVE)))
        vm = api.VM.clone(api.VM.get_by_name_label("thin")[0], "writer")
        api.VM.provision(vm)
        api.VBD.create(records.drive(vm, dom0.layer("written:1", 10), "0"))
        with_a_drive(dom0, "5")
        yield dom0


def with_a_drive(dom0: Dom0, place: str) -> None:
    """The template has a CD drive there."""
    template = dom0.api.VM.get_by_name_label("thin")[0]
    drive = records.drive(template, "OpaqueRef:NULL", place, "RO", type="CD", empty=True)
    dom0.api.VBD.create(drive)


CASES: list[tuple[str, list[str]]] = [
    ("nothing:1", ["SKINNYBOX_NOT_FOUND", "layer", "nothing:1"]),
    ("undigested:1", ["SKINNYBOX_NOT_A_LAYER"]),
    ("twice:1", ["SKINNYBOX_AMBIGUOUS", "layer", "twice:1"]),
    ("mails:1", ["SKINNYBOX_LAYER_NOT_ABOVE", "mails:1", "lamp:1"]),
    ("written:1", ["SKINNYBOX_LAYER_WRITABLE"]),
    ("tools:1,site:1", ["SKINNYBOX_TEMPLATE_HAS_DISKS", "thin", "5"]),
    ("", ["SKINNYBOX_BAD_ARGUMENT", "layers", ""]),
    ("tools:1,,site:1", ["SKINNYBOX_BAD_ARGUMENT", "layers"]),
    (",".join(map(str, range(17))), ["SKINNYBOX_BAD_ARGUMENT", "layers"]),
    ("Skinnybox master lamp:1", ["SKINNYBOX_NOT_A_LAYER"]),
    ("called:1", ["SKINNYBOX_NOT_A_LAYER"]),
    ("source:1", ["SKINNYBOX_NOT_A_LAYER"]),
]


@pytest.mark.parametrize(
    ("layers", "expected"),
    [*CASES[:6], *(pytest.param(*each, marks=pytest.mark.full) for each in CASES[6:])],
)
def test_what_cannot_be_stacked(odd: Dom0, layers: str, expected: list[str]) -> None:
    assert refused(odd, layers)[: len(expected)] == expected


@pytest.mark.full
def test_one_layer_twice(layered: Dom0) -> None:
    """Also under two names."""
    layered.layer("same:1", 1)
    assert refused(layered, "tools:1,tools:1") == ["SKINNYBOX_LAYER_TWICE", "tools:1", "tools:1"]
    assert refused(layered, "tools:1,same:1") == ["SKINNYBOX_LAYER_TWICE", "tools:1", "same:1"]


@pytest.mark.full
def test_a_drive_at_a_place_that_no_layer_takes_is_left(layered: Dom0) -> None:
    with_a_drive(layered, "5")
    layered.provision(layers="tools:1")
    assert "5" in disks(layered, layered.vm("web-01"))


@pytest.mark.full
def test_the_disk_beside_its_overlay_is_taken(plugins: Path) -> None:
    """A layer lies on several storages, and not each host sees each; the master is on what all see."""
    with EmulatedPool(hosts=("alpha", "beta"), plugins=plugins) as pool, pool.session() as api:
        here, there = pool.add_sr("here", "ext", on=[0]), pool.add_sr("there", "ext", on=[1])
        dom0 = furnished(pool, api)
        dom0.thin_template()
        on = {name: dom0.layer("site:1", 1, sr) for name, sr in (("here", here), ("there", there))}
        only = dom0.layer("only:1", 2, there)
        for name, ref in on.items():
            dom0.provision(f"web-{name}", sr=name, layers="site:1")
            assert disks(dom0, dom0.vm(f"web-{name}"))["4"]["VDI"] == ref
        uuids = [api.SR.get_uuid(here), api.VDI.get_uuid(only)]
        assert refused(dom0, "only:1", sr="here") == ["SKINNYBOX_NO_COMMON_HOST", *uuids]
        # of one that all see; what goes above a master does so wherever it lies
        everywhere = dom0.layer("site:1", 1)
        api.VDI.remove_from_other_config(everywhere, next(iter(ABOVE)))
        assert {tuple(each["masters"]) for each in dom0.call("layers")["layers"]} == {("lamp:1",)}
        dom0.provision("web-03", sr="shared", layers="site:1")
        assert disks(dom0, dom0.vm("web-03"))["4"]["VDI"] == everywhere
        # and none that would leave no host for the rest
        refusal = refused(dom0, f"{api.VDI.get_uuid(on['here'])},only:1")
        assert refusal == ["SKINNYBOX_NO_COMMON_HOST", api.SR.get_uuid(dom0.sr), uuids[1]]


def test_what_was_taken_off_is_told_and_attached_again(layered: Dom0) -> None:
    layered.provision(**TWO)
    before = disks(layered, layered.vm("web-01"))
    layered.take_off("web-01", "0", "5")
    assert layered.call("list")["machines"][0]["missing"] == ["master", "layer site:1"]
    assert layered.call("attach", name="web-01")["attached"] == ["layer site:1", "master"]
    after = disks(layered, layered.vm("web-01"))
    assert {place: (each["VDI"], each["mode"], each["other_config"]) for place, each in after.items()} == {
        place: (each["VDI"], each["mode"], each["other_config"]) for place, each in before.items()
    }
    assert layered.call("list")["machines"][0]["missing"] == []
    assert layered.call("attach", name="web-01")["attached"] == []


@pytest.mark.full
def test_a_layer_that_was_deleted_and_uploaded_again(layered: Dom0) -> None:
    """Known by the digest of its image, whatever it is called now; nothing is attached without it."""
    layered.provision(**TWO)
    layered.api.VDI.destroy(disks(layered, layered.vm("web-01"))["4"]["VDI"])
    layered.take_off("web-01", "1")
    assert layered.call("list")["machines"][0]["missing"] == ["overlay", "layer tools:1"]
    assert layered.refused("attach", name="web-01") == ["SKINNYBOX_NOT_FOUND", "layer", "tools:1"]
    assert sorted(labels(layered, "web-01")) == ["0", "5"]
    again = layered.layer("renamed:1", 1)
    assert layered.call("attach", name="web-01")["attached"] == ["layer tools:1", "overlay"]
    assert disks(layered, layered.vm("web-01"))["4"]["VDI"] == again


@pytest.mark.full
def test_a_record_that_somebody_spoilt_ends_no_list(layered: Dom0) -> None:
    layered.batch(last=2, **TWO)
    spoilt = layered.api.VM.get_by_name_label("web-01")[0]
    for text in ("[", "7", '["x"]', '[["a", 1, 2]]', '{"ab": 1}'):
        layered.api.VM.remove_from_other_config(spoilt, "skinnybox:layers")
        layered.api.VM.add_to_other_config(spoilt, "skinnybox:layers", text)
        first, second = layered.call("list")["machines"]
        assert (first["name"], second["missing"]) == ("web-01", [])
        layered.call("attach", name="web-02")


@pytest.mark.full
@pytest.mark.parametrize("at", [3, 4, 7])
def test_an_error_at_the_drive_of_a_layer_leaves_nothing(layered: Dom0, at: int) -> None:
    before = layered.counts()
    for fault in (layered.pool.faults.fail, layered.pool.faults.fail_after):
        fault("VBD.create", "SR_BACKEND_FAILURE_46", "", "", "the storage is gone", at=at)
        common = {"template": "thin", "master": "lamp:1", "prefix": "web-", "last": "2"}
        assert layered.refused("batch", **common, **TWO)[0] == "SR_BACKEND_FAILURE_46"
        layered.pool.faults.clear()
        assert layered.counts() == before
    assert len(layered.batch(last=2, **TWO)["machines"]) == 2


def is_sound(dom0: Dom0, names: list[str]) -> None:
    listed = dom0.call("list")
    assert [each["name"] for each in listed["machines"]] == names
    assert all(
        each["missing"] == [] and each["layers"] == ["tools:1", "site:1"] for each in listed["machines"]
    )
    counts = dom0.counts()
    assert (counts["VDI"], counts["VBD"], counts["journal"]) == (3 + len(names), 4 * len(names), 0)


@pytest.mark.parametrize(("step", "stride"), [(25, 8), pytest.param(1, 1, marks=pytest.mark.full)])
def test_killed_at_each_step_it_is_repaired_by_the_next_call(layered: Dom0, step: int, stride: int) -> None:
    """And no layer's disk is ever deleted, nor a machine there without one of its layers."""
    outcomes: set[tuple[str, ...]] = set()
    while cut(layered, lambda: layered.provision(**TWO), step):
        assert layered.refused("delete", name="nobody")[0] == "SKINNYBOX_NOT_FOUND"
        names = layered.names()
        is_sound(layered, names)
        outcomes.add(tuple(names))
        for name in names:
            layered.call("delete", name=name)
        step += stride
    assert step > 26 and outcomes == {(), ("web-01",)}


@pytest.mark.full
def test_an_attach_that_was_killed_goes_on(layered: Dom0) -> None:
    layered.provision(**TWO)
    before, step = disks(layered, layered.vm("web-01")), 1
    layered.take_off("web-01", "0", "1", "4", "5")
    while cut(layered, lambda: layered.call("attach", name="web-01"), step):
        layered.call("attach", name="web-01")
        after = disks(layered, layered.vm("web-01"))
        assert {place: each["VDI"] for place, each in after.items()} == {
            place: each["VDI"] for place, each in before.items()
        }
        layered.take_off("web-01", "0", "1", "4", "5")
        step += 1
    assert step > 4


@pytest.mark.full
def test_a_mark_of_a_call_on_a_layer_deletes_it_never(layered: Dom0) -> None:
    """As only somebody could put it there."""
    [ref] = layered.api.VDI.get_by_name_label("Skinnybox layer site:1 [NOBAK] [NOSNAP]")
    layered.api.VDI.add_to_other_config(ref, "skinnybox:call", "11111111-2222-4333-8444-555555555555")
    made = layered.provision(**TWO)
    layered.api.VDI.add_to_other_config(ref, "skinnybox:dom0", made["instance"])
    assert layered.call("delete", name="web-01")["overlays"] == 1
    assert ref in layered.api.VDI.get_all()
