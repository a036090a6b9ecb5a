"""Values of a fleet file that are written in a form of their own, for pydantic and for the JSON Schema."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from skinnybox.fleet.spec.content import checked
from skinnybox.model.swap import parse_swap

_SIZE = r"[0-9]+(\.[0-9]+)?\s*[kKmMgGtT]?([iI]?[bB])?"


def _parsed(parse: Callable[[str], object], what: str) -> BeforeValidator:
    def apply(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError(f"expected {what}")
        return checked(lambda: parse(str(value)))

    return BeforeValidator(apply)


Swap = Annotated[
    Any,
    _parsed(parse_swap, "a size, as in 512M, or zram, or zram:SIZE"),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": rf"^\s*({_SIZE}|zram|zram:{_SIZE})\s*$"},
                {"type": "integer", "minimum": 1},
            ]
        }
    ),
]
