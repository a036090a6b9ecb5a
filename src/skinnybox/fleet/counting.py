"""What of one `create` is each machine's own: addresses, of a pattern or counted up, and ports."""

from collections.abc import Sequence

from skinnybox.fleet.specification import Specification
from skinnybox.model import StaticNetwork
from skinnybox.model.forwards import counted
from skinnybox.values import replace


def numbered(specification: Specification, count: int) -> list[Specification]:
    """One for each of so many machines, in the order of their names. UsageError when there is no room for all
    of them (in the network, beside the gateway, among the ports), or not an address for each."""
    static, forwards = specification.static_network, specification.forwards
    if not (static or forwards or specification.nics):
        return [specification] * count
    from skinnybox.fleet.spec import networks, nics

    found: Sequence[StaticNetwork | None]
    found = [None] * count if static is None else networks.of_each(static, count)
    cards = nics.of_each(specification.nics, count)
    return [
        replace(specification, static_network=network, nics=own, forwards=counted(forwards, number))
        for number, (network, own) in enumerate(zip(found, cards, strict=True))
    ]
