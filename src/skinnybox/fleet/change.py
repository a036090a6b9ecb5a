"""Changing machines that exist, in place: what the host reads at the next start."""

from collections.abc import Callable, Iterator, Sized
from dataclasses import replace
from typing import TypeAlias, TypedDict

from skinnybox.errors import UsageError
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.catalog.ports import FIRST_FOR_ALL, LAST
from skinnybox.fleet.catalog.rows import Doing
from skinnybox.fleet.lease import leased
from skinnybox.fleet.specification import Specification, check, completed
from skinnybox.hosts.base import Host
from skinnybox.model import Forward, Instance, Network
from skinnybox.model.fields import INSTANCE


class Changes(TypedDict, total=False):
    """What to change; what is not in it stays. `memory` is bytes, `network` None the host's default,
    `ssh_port` one of the host's loopback."""

    memory: int
    cpus: int
    network: Network | None
    bridge: str | None
    ssh_port: int
    autostart: bool
    forwards: tuple[Forward, ...]
    protected: bool
    labels: tuple[tuple[str, str], ...]
    fleet: str | None


Changing: TypeAlias = Changes | Callable[[Instance], Changes]
"""What to change, or what makes that of the machine as it is when it is its turn."""


def change(
    host: Host, catalog: Catalog, instance: Instance, changing: Changing, ports: Iterator[int]
) -> Instance:
    """Rewrite a machine's record; returns it as it is then. A machine that runs goes on as it was started.

    Raises what `create` would say of such a machine, NotFound when it is gone, Conflict while a command
    creates or deletes it. Killed at any moment, the record is the old or the new one.
    """
    with leased(host, catalog, instance, Doing.SET) as held:
        return held.commit(altered(host, changed(held.instance, changing), ports))


def altered(host: Host, new: Instance, ports: Iterator[int]) -> Instance:
    """The machine with what the host adds to what is said of it: its default network, and where its ssh is
    then. Raises what `create` would say of it."""
    new = _checked(host, new)
    reached = new.network is not Network.BRIDGE
    return replace(new, ssh_port=(new.ssh_port or next(ports)) if reached else None)


def changed(instance: Instance, changing: Changing) -> Instance:
    """With what is to be changed, as it was said."""
    changes = changing(instance) if callable(changing) else changing
    new = replace(instance, **changes)
    if "network" in changes and "bridge" not in changes and new.network is not Network.BRIDGE:
        new = replace(new, bridge=None)
    if "ssh_port" in changes:
        _check_port(new)
    return new


def gives_port(changing: Changing, machines: Callable[[], Sized]) -> bool:
    """Whether an ssh port is among it. UsageError where it would be that of several."""
    given = not callable(changing) and "ssh_port" in changing
    if given and len(machines()) > 1:
        raise UsageError("one port cannot lead to several machines", hint="name one machine")
    return given


def _check_port(new: Instance) -> None:
    """Whether it is another machine's the commit finds out."""
    port = new.ssh_port
    if new.network is Network.BRIDGE:
        raise UsageError(f"{new.name} is reached at its own address", hint="its ssh port is 22 there")
    if port is None or not FIRST_FOR_ALL <= port <= LAST:
        raise UsageError(f"{port} is no port for it: {FIRST_FOR_ALL} to {LAST}")


def _checked(host: Host, new: Instance) -> Instance:
    """With the host's default network where none is said."""
    features = host.features
    has = {field.given: getattr(new, field.name) for field in INSTANCE.fields if field.given}
    # It has its overlay already.
    specification = completed(Specification(**has, any_allocation=True), features)
    check(specification, features)
    return replace(new, network=specification.network, bridge=specification.bridge)
