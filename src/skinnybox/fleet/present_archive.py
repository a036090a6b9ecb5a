"""The stable form of an archive of a machine; see present.py."""

from typing import TYPE_CHECKING

from skinnybox.fleet.present import Record

if TYPE_CHECKING:
    from skinnybox.fleet.archives import Archive


def archive(found: "Archive") -> Record:
    """`since` is the id of the archive that it has the changes since, null of a whole one; `data_disk` the
    size of the one that the machine had, whether `holds` names it or not; sizes are in bytes."""
    manifest, instance = found.manifest, found.instance
    return {
        "file": str(found.file),
        "id": str(manifest.id),
        "since": None if manifest.since is None else str(manifest.since.id),
        "machine": instance.name,
        "uuid": str(instance.uuid),
        "made": manifest.made.isoformat(timespec="seconds"),
        "by": manifest.by,
        "consistent": str(manifest.consistency),
        "holds": [str(kind) for kind in manifest.disks],
        "size": found.size,
        "overlay": instance.overlay.size,
        "data_disk": None if instance.data is None else instance.data.size,
        "master": manifest.stack.reference,
        "master_id": manifest.stack.master,
        "layers": list(instance.stack.layers),
        "layer_ids": list(instance.stack.layer_ids),
    }
