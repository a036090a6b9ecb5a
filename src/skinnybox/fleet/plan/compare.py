"""What of a machine can be compared with what is wanted of it, in words that may be shown."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from skinnybox.fleet.create import Specification
from skinnybox.model import Instance, Seed, StaticNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Of one property: what it is and what it is to be."""

    what: str
    before: str | int | bool | None
    after: str | int | bool | None


Values = dict[str, str | int | bool | None]


def differences(before: Values, after: Values) -> Iterator[Difference]:
    for what in dict.fromkeys((*before, *after)):
        if before.get(what) != after.get(what):
            yield Difference(what=what, before=before.get(what), after=after.get(what))


def settings(of: Instance | Specification) -> Values:
    """What can be changed in place."""
    return {
        "memory": of.memory,
        "cpus": of.cpus,
        "network": of.network,
        "bridge": of.bridge,
        "autostart": of.autostart,
    }


def seed_of(of: Instance | Specification) -> Values:
    """The parts of a seed in words that may be shown: of keys, contents and scripts only a digest."""
    seed: Seed | Specification = of.seed if isinstance(of, Instance) else of
    network = of.seed.network if isinstance(of, Instance) else of.static_network
    follows = of.seed.follows_name if isinstance(of, Instance) else of.follow_name
    files: Values = {
        f"file {file.path}": f"{file.mode:04o} {file.owner} {_digest(file.content)}" for file in seed.files
    }
    return {
        "address": _address(network),
        "user": of.ssh_user,
        "ssh_keys": _digest("\n".join(seed.authorized_keys).encode()),
        "run_once": None if seed.run_once is None else _digest(seed.run_once.encode()),
        "follow_name": follows,
        **files,
    }


def _address(network: StaticNetwork | None) -> str | None:
    if network is None:
        return None
    gateway = f" gateway {network.gateway}" if network.gateway else ""
    return network.address + gateway + (f" dns {','.join(network.dns)}" if network.dns else "")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
