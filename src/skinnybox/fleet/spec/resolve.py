"""From what a fleet file says to what that means here: which masters, which images, which keys."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

from skinnybox.errors import SkinnyboxError
from skinnybox.fleet import knowing
from skinnybox.fleet.masters import Masters
from skinnybox.fleet.plan.actions import Desired, Wanted
from skinnybox.fleet.spec.groups import Described
from skinnybox.fleet.spec.marked import Mistake
from skinnybox.fleet.spec.reading import Description, mistaken
from skinnybox.fleet.specification import Specification, check, completed, with_key
from skinnybox.fleet.stacks import stack
from skinnybox.hosts.base import Features
from skinnybox.model import Layer, Master, Stack

KeptLayers = Callable[[Sequence[str], Master], AbstractContextManager[tuple[Layer, ...]]]
"""Layers by their names, which nobody can remove meanwhile: see Context.kept_layers."""


def desired(
    description: Description, masters: Masters, kept: KeptLayers, features: Features, public_key: str
) -> Desired:
    """Raises the first error met, with the places of all in its message: a master or a layer that is not
    there, or what this host cannot do."""
    resolving = _Resolving(masters, kept, features, public_key)
    machines = [resolving.wanted(described) for described in description.machines]
    if resolving.errors:
        raise _together(description, resolving.errors)
    return Desired(fleet=description.fleet, machines=tuple(found for found in machines if found))


class _Resolving:
    """Looks up each master once, and checks each group once."""

    def __init__(self, masters: Masters, kept: KeptLayers, features: Features, public_key: str) -> None:
        self._masters = masters
        self._kept = kept
        self._features = features
        self._key = public_key
        self._found: dict[tuple[str, Specification], tuple[Master, Stack] | None] = {}
        self.errors: list[tuple[Mistake, SkinnyboxError]] = []

    def wanted(self, described: Described) -> Wanted | None:
        """None after a mistake, which is among the errors then."""
        # Of what is each machine's own all has been looked at where the file was read.
        alike = replace(
            described.specification, static_network=None, forwards=(), files=(), run_once=None, hostname=None,
            nics=tuple(replace(nic, network=None) for nic in described.specification.nics),
        )  # fmt: skip
        group = (described.master, alike)
        if group not in self._found:
            self._found[group] = self._look(described)
        found = self._found[group]
        if found is None:
            return None
        master, stack = found
        return Wanted(
            name=described.name,
            stack=stack,
            pinned=described.master != master.name,
            specification=with_key(completed(described.specification, self._features), self._key),
            state=described.state,
            replay=described.replay,
        )

    def _look(self, described: Described) -> tuple[Master, Stack] | None:
        try:
            whole = completed(described.specification, self._features)
            check(whole, self._features)
            master = self._masters.find(described.master)
            knowing.check(whole, master)
            knowing.check_cloud_init(whole, master, self._masters.folder(master))
            with self._kept(whole.layers, master) as layers:
                return master, stack(master, whole.dax, self._features, layers)
        except SkinnyboxError as error:
            self.errors.append((Mistake(place=described.place, what=error.message), error))
            return None


def _together(description: Description, errors: Iterable[tuple[Mistake, SkinnyboxError]]) -> SkinnyboxError:
    found = list(errors)
    first = found[0][1]
    return type(first)(mistaken(description.file, [m for m, _ in found]).message, hint=first.hint)
