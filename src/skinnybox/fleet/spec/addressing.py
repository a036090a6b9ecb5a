"""The addresses of a fleet file's machines, with any of their cards: each is somebody's alone."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from skinnybox.errors import UsageError
from skinnybox.fleet.spec import networks
from skinnybox.fleet.spec.shape import Group
from skinnybox.fleet.spec.telling import Telling
from skinnybox.fleet.spec.templates import Row
from skinnybox.fleet.specification import Specification, places
from skinnybox.model import Nic, StaticNetwork
from skinnybox.model.places import Place, address_of

Values = dict[str, Any]


class Addressing:
    """Of one fleet file: it knows what was given already."""

    def __init__(self, tell: Telling) -> None:
        self._tell = tell
        self._addresses: dict[str, str] = {}
        self._places: dict[Place, Specification] = {}

    def networks(
        self, pattern: str, group: Group, said: Values, values: Sequence[Row]
    ) -> Sequence[StaticNetwork | None]:
        """One for each machine; all None, which is DHCP, without addresses or after a mistake."""
        key = "address" if group.addresses is None else "addresses"
        gateway, dns = said.get("gateway") or (), said.get("dns") or ()
        try:
            found = networks.of_group(group.address, group.addresses, gateway, dns, values)
        except UsageError as error:
            self._tell.wrong(("machines", pattern, key), error.message)
            return [None] * len(values)
        if not found:
            self._check_lonely(pattern, group)
            return [None] * len(values)
        self._check_twice(pattern, key, found)
        return found

    def cards(self, pattern: str, said: Values, values: Sequence[Row]) -> Sequence[tuple[Nic, ...]]:
        """Beside the first, of each machine; none after a mistake."""
        cards: list[list[Nic]] = []
        for number, card in enumerate(said.get("nics") or ()):
            try:
                networks_ = networks.of_group(card.address, card.addresses, card.gateway or (), (), values)
            except UsageError as error:
                self._tell.wrong(self._tell.inner(pattern, ("nics", number, "address")), error.message)
                return [()] * len(values)
            if (networks_ and card.manual) or (card.gateway and not networks_):
                what = "`manual` goes without an address" if card.manual else "gateway goes with an address"
                self._tell.wrong(self._tell.inner(pattern, ("nics", number)), what)
            nic = Nic(bridge=card.bridge, manual=card.manual, vlan=card.vlan)
            own: Sequence[StaticNetwork | None] = networks_ or [None] * len(values)
            cards.append([replace(nic, network=network) for network in own])
        return list(zip(*cards, strict=True)) or [()] * len(values)

    def _check_lonely(self, pattern: str, group: Group) -> None:
        for key in ("gateway", "dns"):
            wrong_address = self._tell.written(pattern, "address") or self._tell.written(pattern, "addresses")
            if getattr(group, key) and not wrong_address:
                self._tell.wrong(
                    ("machines", pattern, key), f"{key} goes with `address` or `addresses`", key=True
                )

    def _check_twice(self, pattern: str, key: str, found: Sequence[StaticNetwork]) -> None:
        for text in chain.from_iterable(network.addresses for network in found):
            address = address_of(text)
            first = self._addresses.setdefault(address, pattern)
            if first != pattern:
                self._tell.wrong(("machines", pattern, key), f"{address} is given twice, first in {first!r}")
                return

    def check_places(self, pattern: str, whole: Specification) -> None:
        """On a bridge an address is one card's, whichever of its machine. Of two first ones _check_twice has
        told already."""
        for place in places(whole):
            other = self._places.setdefault(place, whole)
            again = other is not whole or places(whole).count(place) > 1
            if again and (whole.nics or other.nics):
                self._tell.wrong(
                    self._tell.trail(pattern, "nics"), f"{place[1]} on {place[0]} is given twice"
                )
                return
