"""Whether seeds can carry what the machines of a group are told."""

from collections import Counter
from typing import Any

from skinnybox.fleet.spec.content import try_seed
from skinnybox.fleet.specification import Specification
from skinnybox.model import fields
from skinnybox.overlays.seed import refuse_too_large


class Carried:
    """Of one group. Of the first machine all is looked at, of the others only what templates made for them:
    to pack three megabytes of files once more for each of 400 machines took half a minute."""

    def __init__(self, common: Specification) -> None:
        self._common = common
        self._rest: int | None = None

    def check(self, own: Specification) -> None:
        """ValueError, of which the message is for the user, or UsageError."""
        filled = len(try_seed(own.ssh_user, **self._filled(own)))
        if self._rest is None:  # a seed is as long as its lines: what is the same is as long in all of them
            whole = {**fields.given(own, fields.SEED), "network": None, "data": own.data}  # each has its own
            self._rest = len(try_seed(own.ssh_user, **whole)) - filled
        refuse_too_large(self._rest + filled)

    def _filled(self, own: Specification) -> dict[str, Any]:
        """What is not the very same as of all: see Filling.machine."""
        common, found = self._common, dict[str, Any]()
        found["files"] = tuple(f for f, same in zip(own.files, common.files, strict=True) if f is not same)
        if own.run_once is not common.run_once:
            found["run_once"] = own.run_once
        if own.hostname is not None:
            found["hostname"] = own.hostname
        return found


def written_twice(found: Specification) -> list[str]:
    """Targets that two of its files would have."""
    return [target for target, count in Counter(file.path for file in found.files).items() if count > 1]
