"""The stable form of what a promotion leaves out; see present.py."""

from skinnybox.fleet.present import Record
from skinnybox.model.promotion import Going, LayerContents, LeftOut, Promotion
from skinnybox.printable import printable_path


def left_out(found: LeftOut) -> Record:
    """`what` is "left out", or "in part" for a file that comes without some of its lines. `path` is null for
    places that are too many to be told apart."""
    return {
        "reason": found.reason,
        "what": "in part" if found.part else "left out",
        "path": printable_path(b"/" + found.path) if found.path else None,
        "files": found.files,
        "size": found.size,
    }


def promotion(found: Promotion) -> Record:
    return {
        "follows": found.follows,
        "layers": list(found.layers),
        "left_out": [left_out(each) for each in found.left_out],
        "data": list(found.data),
        "live": found.live,
    }


def going(found: Going) -> Record:
    """In the columns of `left_out`, without a reason."""
    return {
        "reason": None,
        "what": "goes",
        "path": printable_path(b"/" + found.path) if found.path else None,
        "files": found.files,
        "size": found.size,
    }


def contents(found: LayerContents) -> list[Record]:
    """What goes into a layer, then what does not."""
    return [*map(going, found.going), *map(left_out, found.left_out)]
