"""Cards beside the first, as a command line and a fleet file say them. Pure."""

import re
from collections.abc import Sequence
from dataclasses import replace

from skinnybox.errors import UsageError
from skinnybox.fleet.spec import networks
from skinnybox.model import Nic
from skinnybox.printable import quoted, short

HINT = "as in bridge=br1,address=10.1.0.{11..50}/24,vlan=100"
_COMMA = re.compile(r",(?![^{]*\})")
"""One that parts words, and not addresses of a pattern."""
_LONGEST = 2000


def parse_nic(text: str) -> Nic:
    """`bridge=NAME` or `restricted`, then `dhcp`, `manual` or `address=...` with `gateway=...`, and
    `vlan=ID`. Addresses may be patterns. UsageError."""
    if len(text) > _LONGEST:
        raise UsageError(f"{quoted(text)}: too long for a card", hint=HINT)
    said: dict[str, list[str]] = {}
    for word in _COMMA.split(text):
        key, equals, value = word.partition("=")
        if key not in _WORDS or bool(equals) is not _WORDS[key] or (equals and not value):
            raise UsageError(f"--nic: {quoted(word)} is nothing to be said of a card", hint=HINT)
        said.setdefault(key, []).append(value)
    _check_words(text, said)
    return Nic(
        bridge=said["bridge"][0] if "bridge" in said else None,
        network=networks.static(said["address"], said.get("gateway", ())) if "address" in said else None,
        manual="manual" in said,
        vlan=_vlan(said["vlan"][0]) if "vlan" in said else None,
    )


_WORDS = {
    "bridge": True,
    "restricted": False,
    "dhcp": False,
    "manual": False,
    "address": True,
    "gateway": True,
    "vlan": True,
}
"""Whether each has a value."""
_ONE_OF = (("bridge", "restricted"), ("dhcp", "manual", "address"))


def _check_words(text: str, said: dict[str, list[str]]) -> None:
    for words in _ONE_OF:
        if len([word for word in words if word in said]) > 1:
            raise UsageError(f"--nic {short(text)}: one of {', '.join(words)}", hint=HINT)
    for key, values in said.items():
        if len(values) > 1 and key not in ("address", "gateway"):
            raise UsageError(f"--nic {short(text)}: {key} is given twice", hint=HINT)
    if "gateway" in said and "address" not in said:
        raise UsageError(f"--nic {short(text)}: gateway goes with address", hint=HINT)
    if not {"bridge", "restricted"} & said.keys():
        raise UsageError(f"--nic {short(text)}: what is it on: bridge=NAME, or restricted?", hint=HINT)


def _vlan(text: str) -> int:
    if not re.fullmatch("[0-9]{1,4}", text):
        raise UsageError(f"--nic: {quoted(text)} is no VLAN", hint="1 to 4094")
    return int(text)


def of_each(patterns: Sequence[Nic], count: int) -> list[tuple[Nic, ...]]:
    """For each of so many machines its cards, where addresses are patterns, or the first machine's."""
    cards = [_cards(nic, count) for nic in patterns]
    return [tuple(card[number] for card in cards) for number in range(count)]


def _cards(nic: Nic, count: int) -> list[Nic]:
    if nic.network is None:
        return [nic] * count
    return [replace(nic, network=network) for network in networks.of_each(nic.network, count)]
