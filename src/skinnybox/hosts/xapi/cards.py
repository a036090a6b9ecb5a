"""A machine's cards: VIFs by device number, each with a MAC of its own by which its guest knows it."""

from collections.abc import Sequence

from skinnybox.errors import NotFound
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
    """Those of a halted machine as its record has it; no call for one that has its only one there. A card is
    known by its MAC: what others gave the machine stays."""
    vm, record = found
    held = list(record["VIFs"])
    if len(held) == 1 and not instance.seed.nics and not _is_elsewhere(pool, instance, held[0]):
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


def _is_elsewhere(pool: Pool, instance: Instance, vif: str) -> bool:
    """Whether the only card is not on the network that is named: as of the last look, without a call. Where
    that network is not there any more, or is called otherwise by now, the card is where it ever was."""
    if instance.bridge is None:
        return False
    try:
        return vif not in pool.network(instance.bridge)[1]["VIFs"]
    except NotFound:
        return False


def _wanted(pool: Pool, instance: Instance) -> Sequence[tuple[str, str]]:
    """Network and MAC of each, in the order of their numbers."""
    names = (instance.bridge, *(nic.bridge for nic in instance.seed.nics))
    return [(pool.network(name)[0], instance.mac_of(number)) for number, name in enumerate(names)]
