"""What a file that `export` wrote says of itself. All else in it is left unread: whether it is whole is found
out by who restores it, or makes an increment of it."""

from dataclasses import dataclass
from pathlib import Path

from skinnybox.delta.archive import restored
from skinnybox.delta.archive.manifest import Manifest
from skinnybox.delta.archive.sources import Source, check
from skinnybox.fleet import restoring
from skinnybox.model import Instance


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """`instance` is the machine as it was, `size` that of the file in bytes."""

    file: Path
    size: int
    manifest: Manifest
    instance: Instance


def look(folder: Path, file: Path) -> Archive:
    """By the confined reader that `restore` begins with, and as bounded. NotFound; UsageError for no file;
    NoArchive for what is none; Unsupported for one of a later format. `folder` is the state folder, of which
    only the room counts, and which need not be there."""
    source = Source(file=file, called=file)
    check(source, "an archive is a file that `skinnybox export` wrote")
    scratch = next(each for each in (folder, *folder.absolute().parents) if each.is_dir())
    manifest = restored.manifest(source, scratch)
    return Archive(
        file=file, size=file.stat().st_size, manifest=manifest, instance=restoring.machine_of(manifest)
    )
