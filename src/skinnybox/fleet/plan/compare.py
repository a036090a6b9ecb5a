"""What of a machine can be compared with what is wanted of it, in words that may be shown."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from skinnybox.fleet.specification import Specification
from skinnybox.model import Forward, Instance, Nic, SeedFile, SeedUser, StaticNetwork, Swap, ThrowAway
from skinnybox.model import fields as table
from skinnybox.model.fields import Field, Transition
from skinnybox.model.kinds import CONTENT, KEYS, LABELS, SCRIPT, TEXTS


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


def settings(has: Instance, to_be: Specification) -> tuple[Difference, ...]:
    """What is another one and can be changed in place."""
    return tuple(_changed(has, to_be, Transition.SET))


def seed_changes(has: Instance, to_be: Specification) -> tuple[Difference, ...]:
    """The parts of a seed that are other ones, in words that may be shown: of keys, contents and scripts only
    a digest."""
    return tuple(_changed(has, to_be, Transition.SEED))


def _changed(has: Instance, to_be: Specification, way: Transition) -> Iterator[Difference]:
    """Of all properties that change in this way, and that a fleet file can say. What is the same is not put
    in words: of some megabytes of files in each of some hundred machines that took seconds."""
    for field in table.machine_fields():
        if field.change is way and field.told and field.given:
            before, after = table.part(has, field), getattr(to_be, field.given)
            if before != after:
                words = (_words(field, field.told, value) for value in _apart(before, after))
                yield from differences(*words)


def _apart(before: Any, after: Any) -> tuple[Any, Any]:
    """Of files only those that are not the same in both: each is told by its own path."""
    match before, after:
        case ((SeedFile(), *_), (SeedFile(), *_)):
            return tuple(f for f in before if f not in after), tuple(f for f in after if f not in before)
    return before, after


def at_once(differences: Iterable[Difference]) -> bool:
    """Whether all of them count before the next start."""
    known = {field.told for field in table.machine_fields() if field.at_once}
    return all(difference.what in known for difference in differences)


def _words(field: Field, told: str, value: Any) -> Values:
    match value:
        case None:
            return {told: None}
        case StaticNetwork():
            return {told: _address(value)}
        case Swap() | ThrowAway():
            return {told: str(value)}
        case (SeedFile(), *_):
            return {f"{told} {f.path}": f"{f.mode:04o} {f.owner} {_digest(f.content)}" for f in value}
        case (Nic(), *_):
            return {f"{told} {number}": _card(nic) for number, nic in enumerate(value, 1)}
        case (SeedUser(), *_):
            return {f"{told} {user.name}": _user(user) for user in value}
        case () if field.kind is not KEYS:
            return {}
        case (Forward(), *_):
            return {told: ", ".join(map(str, value))}
    if field.kind is TEXTS:
        return {told: ", ".join(value)}
    if field.kind is LABELS:
        return {told: ", ".join(f"{key}={text}" for key, text in value)}
    if field.kind is CONTENT:
        return {told: _digest(value)}
    if field.kind is KEYS:
        return {told: _digest("\n".join(value).encode())}
    return {told: _digest(value.encode()) if field.kind is SCRIPT else value}


def _address(network: StaticNetwork) -> str:
    gateway = f" gateway {','.join(network.gateways)}" if network.gateways else ""
    return ",".join(network.addresses) + gateway + (f" dns {','.join(network.dns)}" if network.dns else "")


def _card(nic: Nic) -> str:
    vlan = f" vlan {nic.vlan}" if nic.vlan is not None else ""
    method = "manual" if nic.manual else _address(nic.network) if nic.network else "dhcp"
    return f"{nic.bridge or 'restricted'}{vlan} {method}"


def _user(user: SeedUser) -> str:
    """Of keys and a password only a digest."""
    words = [*(("sudo",) if user.sudo else ()), *((user.shell,) if user.shell else ())]
    if user.groups:
        words.append(f"groups {','.join(user.groups)}")
    if user.authorized_keys:
        words.append("keys " + _digest("\n".join(user.authorized_keys).encode()))
    if user.password_hash:
        words.append("password " + _digest(user.password_hash.encode()))
    return ", ".join(words) or "plain"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
