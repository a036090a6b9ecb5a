"""The layers of a fleet: sealed, looked at, verified, and never removed while a machine needs them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from skinnybox.errors import UsageError
from skinnybox.fleet.as_job import as_job
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.hosts.base import Host
from skinnybox.masters import catalogue as sealed
from skinnybox.masters.layers import catalogue
from skinnybox.model import Layer, Master, Stack, parse_reference
from skinnybox.operation import UNATTENDED, Operation

if TYPE_CHECKING:
    from skinnybox.fleet.making import BuildLayer, LayerRecipe, OfLayer
    from skinnybox.fleet.masters import Masters
    from skinnybox.model.promotion import LayerContents

_ANOTHER = "wait for another master"


class Layers:
    """Use cases on layers; `fleet.layers` of a Fleet."""

    def __init__(self, store: Path, masters: "Masters", host: Host, catalog: Catalog) -> None:
        self._store = store
        self._verified = store.parent / "verified"
        self._masters = masters
        self._host = host
        self._catalog = catalog

    @as_job("layer import")
    def import_tree(
        self,
        source: Path,
        reference: str,
        *,
        above: str,
        only: bool = False,
        at: str | None = None,
        operation: Operation = UNATTENDED,
    ) -> Layer:
        """Seal a directory or a tar with paths as in the guest, or with its root `at` a place there, as a
        layer for all versions of the master `above`, or for that very one `only`."""
        from skinnybox.fleet.making import ImportLayer

        master = self._masters.find(above)
        order = ImportLayer(source=source, reference=reference, master=master.id, only=only, at=at)
        return self.make(order, operation)

    @as_job("layer build")
    def build(
        self, reference: str, recipe: "LayerRecipe", *, above: str, operation: Operation = UNATTENDED
    ) -> Layer:
        """Seal what the recipe makes as a layer for all versions of the master `above`, or for that very one
        where it says `only`."""
        return self.make(self._to_build(reference, recipe, above), operation)

    def would_build(
        self, reference: str, recipe: "LayerRecipe", *, above: str, operation: Operation = UNATTENDED
    ) -> "LayerContents":
        """What would be in it: the recipe is run, and nothing is sealed. Raises as `build`."""
        from skinnybox.fleet.making_apart import tried

        order = self._to_build(reference, recipe, above)
        with self._masters.making.turn(operation, awaited=_ANOTHER):
            return tried(self._store, order, operation)

    def _to_build(self, reference: str, recipe: "LayerRecipe", above: str) -> "BuildLayer":
        from skinnybox.fleet import stacks
        from skinnybox.fleet.making import BuildLayer

        parse_reference(reference, "a layer")
        if recipe.file is None and recipe.text is None:
            raise UsageError("a layer is built by a recipe", hint="a directory or a tar is imported")
        master = self._masters.find(above)
        with self.kept(recipe.layers, master) as found:
            stack = stacks.as_sealed(master, found)
        self._masters.bootable(stack)
        return BuildLayer(
            reference=reference, stack=stack, recipe_file=recipe.file, text=recipe.text, only=recipe.only,
            network=recipe.network,
        )  # fmt: skip

    def make(self, order: "OfLayer", operation: Operation) -> Layer:
        """One at a time, as masters are made."""
        from skinnybox.fleet.making_apart import make_any

        with self._masters.making.turn(operation, awaited=_ANOTHER):
            return self.find(make_any(self._store, order, operation))

    def all(self) -> list[Layer]:
        return catalogue.layers(self._store)

    def find(self, reference: str) -> Layer:
        return catalogue.find(self._store, reference)

    def by_id(self, identity: str) -> Layer:
        return self.find(identity.removeprefix("sha256:"))

    def folder(self, layer: Layer) -> Path:
        return sealed.folder(self._store, layer)

    @contextmanager
    def kept(self, references: Sequence[str], master: Master) -> Iterator[tuple[Layer, ...]]:
        """These layers, from the lowest up, which nobody can remove meanwhile. NotFound, UsageError; Blocked
        for one of another master, Unsupported for what would hide something of this version or of each other,
        or where its guest part would not find them."""
        from skinnybox.fleet import layers_fit

        with self.held():
            found = tuple(map(self.find, references))
            if found:
                layers_fit.refuse_guest(master, self._host.features)
            layers_fit.refuse(found, master, self.folder, self._masters.folder)
            yield found

    @contextmanager
    def kept_of(self, stack: Stack) -> Iterator[None]:
        """Those of a machine of which another is made; nobody removes them meanwhile. NotFound; Unsupported
        where one hides something of another."""
        from skinnybox.fleet import layers_fit

        with self.held():
            found = [layer for layer, _ in catalogue.layers_of(self._store, stack)] if stack.layers else []
            layers_fit.refuse_apart(found, self.folder)
            yield

    def add_to_host(self, stack: Stack, operation: Operation) -> None:
        """Those of machines that are about to have this stack, which nobody removes meanwhile. NotFound."""
        found = catalogue.layers_of(self._store, stack)
        self._host.add_layers([(layer, image, self.folder(layer)) for layer, image in found], operation)

    @as_job("layer verify")
    def verify(self, reference: str, operation: Operation = UNATTENDED) -> Layer:
        """Read every byte of it; nobody removes it meanwhile. Raises Corrupt naming the file that is not what
        was sealed."""
        with self.held():
            layer = self.find(reference)
            catalogue.verify(self._store, layer, operation)
        return layer

    @as_job("layer remove")
    def remove(self, reference: str) -> Layer:
        """Blocked while a machine, or what is kept of one, needs it. What one that failed left goes too."""
        from skinnybox.fleet import layers_kept
        from skinnybox.masters import workspace

        if not self._store.is_dir():
            return self.find(reference)  # NotFound, and no folder is made for that
        workspace.sweep(self._store)
        with sealed.locked(self._store, exclusive=True):
            layer = self.find(reference)
            layers_kept.refuse_needed(layer, self._host, self._catalog)
            self._host.remove_layer(layer)
            sealed.remove(self._store, layer)
            self._marks(layer).unlink(missing_ok=True)
        return layer

    def dependants(self) -> dict[str, list[str]]:
        """Of each layer that machines boot from, by its id, their names."""
        from skinnybox.fleet import layers_kept

        return layers_kept.dependants(self._catalog)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nobody seals or removes a layer meanwhile."""
        with sealed.locked(self._store, exclusive=False):
            yield

    def _marks(self, layer: Layer) -> Path:
        return self._verified / f"{sealed.hex_of(layer)}.json"
