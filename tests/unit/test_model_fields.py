"""The table of what is written down of a machine, and what is not made of it but must agree with it."""

import ast
import base64
import dataclasses
import json
import re
import uuid
from dataclasses import replace
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

import pytest

from skinnybox import values, wire
from skinnybox.fleet import create, present
from skinnybox.fleet.catalog.rows import Phase
from skinnybox.fleet.change import Changes
from skinnybox.fleet.plan.actions import Action, Desired, Verb, plan
from skinnybox.fleet.spec.shape import Group, Shared
from skinnybox.fleet.specification import Specification
from skinnybox.fleet.view import MachineView
from skinnybox.hosts.record import from_record, to_record
from skinnybox.model import (
    Allocation,
    DataDisk,
    Encryption,
    Forward,
    Instance,
    Network,
    Nic,
    Overlay,
    SeedFile,
    SeedUser,
    StaticNetwork,
    Swap,
    ThrowAway,
    Thrown,
    fields,
)
from skinnybox.model.fields import FORMS, INSTANCE, Field, Form, Transition, machine_fields
from skinnybox.model.kinds import FLAG
from skinnybox.overlays.seed import seed_message
from skinnybox.sizes import GIB, MIB
from tests.fleet.planned import FLEET, LAMP1, SPEC, machine, wanted
from tests.samples import PUBLIC_KEY

ROOT = Path(__file__).parents[2]
RECORDS = ROOT / "tests/data/records"
FIRST = {
    "Instance": "uuid name stack overlay seed created memory cpus ssh_port ssh_user network",
    "Stack": "master reference images",
    "Trial": "before kept since phase patience started identifier keep_until aside",
    "Overlay": "size allocation",
    "Seed": "hostname machine_id generation network authorized_keys files run_once",
    "StaticNetwork": "address gateway dns",
    "DataDisk": "size folders allocation",
    "SeedFile": "path content mode owner",
    "Nic": "bridge network manual vlan",
    "SeedUser": "name groups sudo shell authorized_keys password_hash",
}
"""What the first version wrote, which never changes: whatever else there is, came later."""
NOT_OF_A_MACHINE = {"state", "addresses", "values", "replay"}
"""Keys of the fleet file: what becomes of its power, a list of what `address` says of each, what its
templates may name, and how it goes onto another release."""
OTHER: dict[str, Any] = {
    "overlay": Overlay(size=2 * GIB),
    "memory": GIB,
    "cpus": 3,
    "network": Network.BRIDGE,
    "bridge": "br0",
    "autostart": True,
    "protected": True,
    "labels": (("role", "web"), ("site", "b")),
    "forwards": (Forward(port=8080, to=80),),
    "ssh_user": "admin",
    "fleet": FLEET,
    "static_network": StaticNetwork(address="10.0.0.5/24", gateway="10.0.0.1", dns=("1.1.1.1",)),
    "authorized_keys": (PUBLIC_KEY,),
    "files": (SeedFile(path="/etc/motd", content=b"hello"),),
    "run_once": "#!/bin/sh\n",
    "hostname": "another",
    "nics": (Nic(bridge="br1", vlan=7),),
    "follow_name": True,
    "users": (SeedUser(name="deploy", groups=("adm",), sudo=True),),
    "timezone": "Europe/Berlin",
    "locale": "de_DE.UTF-8",
    "ntp": ("ntp.example", "192.0.2.7"),
    "user_data": b"#cloud-config\n\xff",
    "dax": True,
    "layers": ("site:1", "model:2"),
    "swap": Swap(size=512 * MIB),
    "data": DataDisk(size=2 * GIB, folders=("/data", "/var/lib/mysql")),
    "throw_away": ThrowAway(kind=Thrown.MEMORY, size=64 * MIB),
    "encrypt": Encryption(key_file="/etc/keys/web.key"),
    "check": "curl -fs http://localhost/",
}
"""Of each property that can be given, another value than the usual one."""
PLUGIN = ("authorized_keys", "follow_name")
"""What the plugin of dom0 says of a seed."""
VERBS = {
    Transition.SET: Verb.SET,
    Transition.SEED: Verb.SEED,
    Transition.GROW: Verb.GROW,
    Transition.RECREATE: Verb.BLOCKED,
}
LOSING = {"throw_away"}
"""What takes from a machine what it wrote, where it is said anew: never without --reset."""


def all_given() -> Instance:
    specification = Specification(**OTHER)
    return create.instance(
        "web-1", replace(LAMP1, dax=True, layers=OTHER["layers"]), specification, iter((22000,))
    )


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.of.__name__)
def test_the_table_has_what_the_model_has(form: Form) -> None:
    hints = get_type_hints(form.of)
    known = {field.name: field for field in form.fields}
    assert len(known) == len(form.fields)
    assert set(known) == {each.name for each in dataclasses.fields(form.of)}
    assert {name for name in known if known[name].optional} == {
        name for name in known if NoneType in get_args(hints[name])
    }
    assert {field.of for field in form.fields} == {form.of}
    assert {name for name in known if not known[name].later} == set(FIRST[form.of.__name__].split())


@pytest.mark.parametrize("name", ["plain", "full"])
def test_a_record_is_written_as_ever(name: str) -> None:
    """To the byte, and its sum; but for what came later, which is all that may be added."""
    text = (RECORDS / f"{name}.json").read_text().strip()
    kept = json.loads(text)
    written = to_record(from_record(kept))
    known = without_later(written, kept)
    assert json.dumps({**known, "sum": kept["sum"]}) == text
    assert known != written or written["sum"] == kept["sum"]


def without_later(written: Any, kept: Any) -> Any:
    if not isinstance(kept, dict):
        return written
    return {key: without_later(value, kept[key]) for key, value in written.items() if key in kept}


def test_what_can_be_given_is_in_a_specification() -> None:
    table = {field.given for field in machine_fields() if field.given}
    assert table == {each.name for each in dataclasses.fields(Specification)} - {"any_allocation"}
    assert table == set(OTHER)


def test_what_is_given_is_in_the_machine() -> None:
    made = all_given()
    for field in machine_fields():
        if field.given:
            assert fields.part(made, field) == OTHER[field.given], field.name


def test_what_changes_in_place_can_be_set() -> None:
    table = {field.name for field in INSTANCE.fields if field.change in (Transition.SET, Transition.ADOPT)}
    assert table == set(Changes.__annotations__)


def planned(after: Specification, before: Specification = SPEC) -> list[Action]:
    return list(plan(Desired(fleet=FLEET, machines=(wanted(specification=after),)), [machine(
        wanted(specification=before))]))  # fmt: skip


WITH_DATA = replace(SPEC, data=DataDisk(size=GIB, folders=("/data",)))


def changed(field: Field) -> Specification:
    if field.told == "data":
        return replace(SPEC, data=DataDisk(size=2 * GIB, folders=("/data",)))
    if field.told == "data-folders":
        return replace(SPEC, data=DataDisk(size=GIB, folders=("/data", "/srv/data")))
    if field.told == "overlay":
        return replace(SPEC, overlay=replace(SPEC.overlay, size=2 * GIB))
    if field.told == "allocation":
        return replace(SPEC, overlay=replace(SPEC.overlay, allocation=Allocation.SPARSE))
    assert field.given
    return replace(SPEC, **{field.given: OTHER[field.given]})


COMPARED = [f for f in machine_fields() if f.told and f.told not in ("master", "fleet")]


@pytest.mark.parametrize("field", COMPARED, ids=lambda field: str(field.told))
def test_what_differs_is_planned(field: Field) -> None:
    """With the verb of the table, and both ways."""
    before = WITH_DATA if field.of is DataDisk else SPEC
    (action,) = planned(changed(field), before)
    assert action.verb is (Verb.BLOCKED if field.told in LOSING else VERBS[field.change])
    (difference,) = action.differences
    assert difference.what.split()[0] == field.told
    if field.told not in ("overlay", "allocation", "dax", "layers", "data", "data-folders"):
        (back,) = planned(SPEC, changed(field))
        assert (back.verb, back.differences[0].after) == (VERBS[field.change], difference.before)


def test_every_property_of_the_file_is_compared() -> None:
    keys = {field.key: field for field in machine_fields() if field.key}
    parts = {"address", "gateway", "dns"}  # of Seed.network
    assert {key for key, field in keys.items() if not field.told} == parts
    assert {field.change for field in keys.values() if field.told} <= set(VERBS)


def test_the_fleet_file_has_the_keys_of_the_table() -> None:
    keys = {field.key: field.said for field in machine_fields() if field.key}
    shape = {**Shared.model_fields, **Group.model_fields}
    assert set(shape) - NOT_OF_A_MACHINE == set(keys)
    assert {key: shape[key].description for key in keys} == keys
    assert all(said for said in keys.values())


def test_the_form_of_a_machine_shows_what_the_table_says() -> None:
    made = all_given()
    shown = present.machine(MachineView(instance=made, phase=Phase.DEFINED))
    for field in machine_fields():
        if field.shown and field.shown != "created":  # in seconds there
            assert shown[field.shown] == field.plain(fields.part(made, field))


WORDS = {field.word for field in machine_fields() if field.word}


def test_a_seed_has_the_words_of_the_table() -> None:
    lines = wire.decode(seed_message(all_given()), "seed").lines
    assert {line.key for line in lines} == WORDS


def test_the_guest_knows_the_words_of_the_table() -> None:
    text = (ROOT / "guest/lib/seed.sh").read_text()
    cases = re.search(r"^seed_line\(\) \{\n    case \$3 in\n(.*?)^    esac", text, re.MULTILINE | re.DOTALL)
    assert cases
    found = re.findall(r"^    ([a-z| -]+)\)", cases[1], re.MULTILINE)
    assert {word.strip() for words in found for word in words.split("|")} == WORDS


def test_the_plugin_of_dom0_writes_the_same_seed() -> None:
    """It can import none of this. What it never says needs a value that it does not take."""
    tree = ast.parse((ROOT / "xenserver/skinnybox").read_text())
    parts = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name in ("_seed_lines", "_base64")]
    names: dict[str, Any] = {"uuid": uuid, "base64": base64}
    exec(compile(ast.Module(body=list(parts), type_ignores=[]), "plugin", "exec"), names)
    made = all_given()
    told = {f.name: getattr(SPEC, f.given) for f in fields.SEED.fields if f.given not in (None, *PLUGIN)}
    made = replace(
        made,
        swap=None,
        throw_away=None,
        data=None,
        check=None,
        seed=replace(made.seed, **{**told, "hostname": made.name}),
    )
    values = {"follow_name": True, "authorized_keys": [PUBLIC_KEY], "user": "admin"}
    lines = names["_seed_lines"](values, str(made.uuid), made.name)
    assert "\n".join(["skinnybox-seed 1", *lines, "end", ""]).encode() == seed_message(made)
    assigned = [n for n in tree.body if isinstance(n, ast.Assign)]
    (takes,) = [n.value for n in assigned if ast.unparse(n.targets[0]) == "_MACHINE"]
    assert isinstance(takes, ast.Dict)
    taken = {ast.literal_eval(key) for key in takes.keys if key}
    known = {name for field in machine_fields() for name in (field.key, field.given) if name}
    assert taken - {"call", "template", "sr", "start"} <= known  # which are the pool's, and no property


def test_the_reference_has_the_words_of_the_table() -> None:
    page = (ROOT / "docs/reference/on-disk.md").read_text()
    row = next(line for line in page.splitlines() if line.startswith("| seed |"))
    assert {word for word in WORDS if f"`{word}" not in row} == set()


@values.dataclass(frozen=True, slots=True, kw_only=True)
class Nested(Instance):
    """With a property that nobody knows yet."""

    nested: bool = False


def test_a_new_property_is_a_line_of_the_table() -> None:
    form = Form(
        Nested, (*INSTANCE.fields, Field(of=Nested, name="nested", kind=FLAG, later=True, what="New."))
    )
    old = all_given()
    values = {each.name: getattr(old, each.name) for each in dataclasses.fields(Instance)}
    new = Nested(**values, nested=True)
    assert form.plain(new) == {**INSTANCE.plain(old), "nested": True}
    assert form.value(json.loads(json.dumps(form.plain(new)))) == new
    assert form.value(INSTANCE.plain(old)) == replace(new, nested=False)
    assert INSTANCE.value(form.plain(new)) == old


def test_without_its_row_a_record_would_lose_a_property() -> None:
    """What the first test here is for."""
    made = all_given()
    short = Form(Instance, [field for field in INSTANCE.fields if field.name != "autostart"])
    assert short.value(short.plain(made)) == replace(made, autostart=False)
