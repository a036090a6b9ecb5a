"""A machine's cards: VIFs by device number, each with a MAC of its own by which its guest knows it."""

from collections.abc import Sequence

from skinnybox.hosts.xapi import build
from skinnybox.hosts.xapi.pool import Found, Pool
from skinnybox.model import Instance

_MOST = 7


def make(pool: Pool, instance: Instance, vm: str) -> None:
    """All of them, of a machine that has none."""
    for number, (network, mac) in enumerate(_wanted(pool, instance)):
        pool.call("VIF.create", build.card(vm, network, mac, number))


def check(pool: Pool, instance: Instance) -> None:
    """NotFound when the pool lacks a network of it: before anything is made. As of the last look."""
    _wanted(pool, instance)


def fit(pool: Pool, instance: Instance, found: Found) -> None:
    """Those of a halted machine as its record has it; no call for one that has its only one. A card is known
    by its MAC: what others gave the machine stays."""
    vm, record = found
    held = list(record["VIFs"])
    if held and len(held) == 1 and not instance.seed.nics:
        return
    pool.things.refresh()
    if not held:  # whoever made it was killed before
        make(pool, instance, vm)
        return
    cards = {vif: pool.call("VIF.get_record", vif) for vif in held}
    ours = {instance.mac_of(number) for number in range(_MOST)}
    wanted = _wanted(pool, instance)
    there = set()
    for vif, card in cards.items():
        place = (str(card["network"]), str(card["MAC"]).lower())
        if place in wanted:
            there.add(place)
        elif place[1] in ours:
            pool.destroy("VIF", vif)
    for number, (network, mac) in enumerate(wanted):
        if (network, mac) not in there:
            free = [int(each) for each in pool.call("VM.get_allowed_VIF_devices", vm)]
            device = number if number in free else min(free, default=number)
            pool.call("VIF.create", build.card(vm, network, mac, device))


def _wanted(pool: Pool, instance: Instance) -> Sequence[tuple[str, str]]:
    """Network and MAC of each, in the order of their numbers."""
    names = (instance.bridge, *(nic.bridge for nic in instance.seed.nics))
    return [(pool.network(name)[0], instance.mac_of(number)) for number, name in enumerate(names)]
