"""The stable form of a layer."""

from typing import TYPE_CHECKING

from skinnybox.fleet.present import Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skinnybox.fleet.layers import Layers
    from skinnybox.model import Layer


def layer(layers: "Layers", sealed: "Layer", machines: "Sequence[str]") -> Record:
    """`machines` are those that have it; `master` is what it was made for, and `only` whether it goes with no
    other version of that."""
    return {
        "layer": sealed.reference,
        "id": sealed.id,
        "master": sealed.made_for,
        "master_id": sealed.master,
        "only": sealed.only,
        "architecture": sealed.architecture,
        "image": sealed.images[0].size,
        "images": [
            {"kind": str(i.kind), "size": i.size, "digest": i.digest, "uuid": str(i.uuid), "file": i.file}
            for i in sealed.images
        ],
        "tree": sealed.tree_size,
        "entries": sealed.entries,
        "machines": list(machines),
        "created": sealed.created.isoformat(timespec="seconds"),
        "folder": str(layers.folder(sealed)),
    }
