"""What a folder of layers is looked through by: see masters/leftovers.py."""

from skinnybox import layout
from skinnybox.masters.catalogue import INDEX
from skinnybox.masters.layers.manifest import from_manifest
from skinnybox.masters.leftovers import Kind
from skinnybox.masters.manifest import FILE

LAYERS = Kind(
    word="layer",
    part=layout.LAYERS,
    read=from_manifest,
    files=frozenset({FILE, INDEX}),
    again="import the layer",
)
