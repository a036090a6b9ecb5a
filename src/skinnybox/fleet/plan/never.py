"""What no plan does to the disks of a machine, and why."""

from collections.abc import Iterator

from skinnybox.fleet.plan import of_data
from skinnybox.fleet.plan.compare import Difference
from skinnybox.fleet.specification import Specification
from skinnybox.model import Encryption, Instance

_ENCRYPTED = "an overlay stays encrypted as it was made, or not encrypted"
BARE = "its overlay is encrypted, and a data disk would not be"


def refused(has: Instance, wanted: Specification) -> Iterator[tuple[Difference, str]]:
    """With the reason of each."""
    yield from of_data.refused(has.data, wanted.data)
    if has.encrypt != wanted.encrypt:
        change = Difference(what="encrypt", before=_said(has.encrypt), after=_said(wanted.encrypt))
        yield change, _ENCRYPTED


def bares(has: Instance, wanted: Specification) -> bool:
    """Whether what it wrote would lie beside its encrypted overlay for all to read."""
    return has.encrypt is not None and wanted.data is not None


def _said(encryption: Encryption | None) -> str | None:
    return None if encryption is None else str(encryption)
