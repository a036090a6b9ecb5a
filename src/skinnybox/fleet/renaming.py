"""A machine that is called otherwise: by its host, in the catalog and, where its hostname was its name, by
its guest. Who it is stays: its UUID, its machine-id, its keys, its address."""

from dataclasses import replace

from skinnybox.errors import Conflict
from skinnybox.fleet import power
from skinnybox.fleet.context import Context
from skinnybox.fleet.update_seed import reseed
from skinnybox.fleet.view import MachineView
from skinnybox.model import Instance, check_name
from skinnybox.operation import Operation


def rename(context: Context, machine: MachineView, name: str, operation: Operation) -> Instance:
    """Returns it as it is recorded then; idempotent. Conflict for a name that is taken, here or at the host;
    Blocked while it runs."""
    check_name(name)
    if machine.name == name:
        return machine.instance
    power.refuse_running(machine, "rename")
    if context.catalog.taken([name]):
        raise Conflict(f"there is a machine {name} already", hint="choose another name")
    context.host.refuse_names([name])

    def called(now: Instance) -> Instance:
        hostname = name if now.seed.hostname == now.name else now.seed.hostname
        return replace(now, name=name, seed=replace(now.seed, hostname=hostname))

    return reseed(context.host, context.catalog, machine.instance, called, operation)
