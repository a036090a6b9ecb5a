"""The stable form of a preview; see present.py."""

from skinnybox.fleet.present import Record
from skinnybox.fleet.preview import Preview


def preview(found: Preview) -> Record:
    """Sizes are bytes; `refusal` is null where `create` would make them."""
    refusal = found.refusal
    return {
        "master": found.master,
        "machines": [{"name": each.name, "addresses": list(each.addresses)} for each in found.machines],
        "skipped": list(found.skipped),
        "need": found.need,
        "promised": found.promised,
        "free": found.free,
        "left": found.left,
        "refusal": refusal
        and {"error": type(refusal).__name__, "detail": refusal.message, "hint": refusal.hint},
    }
