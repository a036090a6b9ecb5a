"""What plans are made of, as values: machines as they are wanted, and as they are."""

import uuid
from dataclasses import replace
from typing import Any

from skinnybox.fleet.catalog.rows import Phase
from skinnybox.fleet.plan.actions import Wanted
from skinnybox.fleet.specification import Specification
from skinnybox.fleet.view import MachineView
from skinnybox.model import Overlay, Power, Seed, Stack, Status, fields
from skinnybox.sizes import GIB, MIB
from tests.samples import an_instance

FLEET = "widgets"
LAMP1 = Stack(master="sha256:1", reference="lamp:1", images=("a",))
LAMP2 = Stack(master="sha256:2", reference="lamp:2", images=("b",))
MAIL = Stack(master="sha256:3", reference="mail:1", images=("c",), dax=True)
SPEC = Specification(overlay=Overlay(size=GIB), memory=512 * MIB, cpus=1, fleet=FLEET)


def wanted(name: str = "web-1", **fields: Any) -> Wanted:
    return replace(Wanted(name=name, stack=LAMP1, specification=SPEC), **fields)


def machine(of: Wanted, *, on: bool = False, fleet: str | None = FLEET) -> MachineView:
    """A machine that is just as it is wanted."""
    specification = of.specification
    instance = an_instance(
        of.name,
        uuid=uuid.uuid5(uuid.NAMESPACE_DNS, of.name),
        stack=of.stack,
        seed=Seed(machine_id="0" * 32, **{"hostname": of.name, **fields.given(specification, fields.SEED)}),
        **{**fields.given(specification, fields.INSTANCE), "fleet": fleet},
    )
    return MachineView(instance=instance, phase=Phase.DEFINED, status=RUNNING if on else None)


RUNNING = Status(power=Power.RUNNING, pid=1, nonce="n")
