"""What of a machine's own does not go into a master that is made of it."""

from skinnybox.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """`files` names at or below a place, of `size` bytes of content. `path` has no leading slash; b"" are
    further places that are not told apart. `part`: the file goes there, without these bytes. `reason` is a
    word of delta.promote.places.Reason, or "beside" for what does not lie on overlayfs, and is not copied."""

    reason: str
    path: bytes
    part: bool
    files: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """What a master would be made of. `follows` is the machine's own master; the files of its `layers`, from
    the lowest up, go there too; `data` are the folders of its
    data disk, which stays where it is; `live`: of a copy of one point in time, as after a power cut."""

    follows: str
    layers: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    data: tuple[str, ...]
    live: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Going:
    """What goes into a layer at a path without a leading slash: `files` names there and below, of `size`
    bytes of content. A folder is one that the stack has not; b"" are further places, not told apart."""

    path: bytes
    files: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerContents:
    """What a layer would be made of, and what of the tree it came from does not go there."""

    going: tuple[Going, ...]
    left_out: tuple[LeftOut, ...]
