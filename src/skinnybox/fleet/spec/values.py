"""Values of a fleet file that are written in a form of their own, for pydantic and for the JSON Schema."""

from collections.abc import Callable
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema, model_validator

from skinnybox.fleet.spec.content import checked
from skinnybox.fleet.spec.parts import Exact, said, translated
from skinnybox.model import ThrowAway as Away
from skinnybox.model import ranges
from skinnybox.model.datadisk import check_folder, data_disk
from skinnybox.model.encryption import parse_encryption
from skinnybox.model.ranges import Range
from skinnybox.model.swap import parse_swap
from skinnybox.model.throwaway import parse_throw_away
from skinnybox.sizes import format_size, parse_size

_SIZE = r"[0-9]+(\.[0-9]+)?\s*[kKmMgGtT]?([iI]?[bB])?"


def size(range_: Range) -> BeforeValidator:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError("expected a size, as in 512M or 1.5G")
        found: int = translated(parse_size, str(value))
        if not range_.least <= found <= range_.most:
            least, most = format_size(range_.least), format_size(range_.most)
            raise ValueError(f"from {least} to {most}, not {value!s:.20}")
        return found

    return BeforeValidator(check)


def _parsed(parse: Callable[[str], object], what: str) -> BeforeValidator:
    def apply(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError(f"expected {what}")
        return checked(lambda: parse(str(value)))

    return BeforeValidator(apply)


def _schema(pattern: str) -> WithJsonSchema:
    """Of a text like that, or a number of bytes."""
    return WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": pattern}, {"type": "integer", "minimum": 1}]}
    )


SIZE_SCHEMA = _schema(rf"^\s*{_SIZE}\s*$")
Swap = Annotated[
    Any,
    _parsed(parse_swap, "a size, as in 512M, or zram, or zram:SIZE"),
    _schema(rf"^\s*({_SIZE}|zram|zram:{_SIZE})\s*$"),
]
DataSize = Annotated[int, size(ranges.DATA), SIZE_SCHEMA]
DataFolder = Annotated[str, said(check_folder)]


class OnData(Exact):
    """A data disk with the folders that lie on it."""

    size: DataSize
    """Its size (4G). May grow later, never shrink."""
    folders: list[DataFolder] = Field(default_factory=list)
    """Folders of the guest, filled at first with what the master has there (/data). None of the system."""

    @model_validator(mode="after")
    def _apart(self) -> "OnData":
        checked(lambda: data_disk(self.size, self.folders))
        return self


DataOf: TypeAlias = Annotated[
    Annotated[DataSize, Tag("as-size")] | Annotated[OnData, Tag("with-folders")],
    Discriminator(lambda value: "with-folders" if isinstance(value, dict | OnData) else "as-size"),
]


def _thrown(value: Any) -> Any:
    """True and false are what one writes first."""
    if isinstance(value, bool):
        return Away() if value else None
    if not isinstance(value, str):
        raise ValueError("expected disk, memory or memory:SIZE")
    return checked(lambda: parse_throw_away(value))


ThrowAway = Annotated[
    Any,
    BeforeValidator(_thrown),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": rf"^\s*(disk|memory|memory:{_SIZE})\s*$"},
                {"type": "boolean"},
            ]
        }
    ),
]


def _encrypted(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("expected the path of a key, or random")
    return checked(lambda: parse_encryption(value))


Encrypt = Annotated[
    Any,
    BeforeValidator(_encrypted),
    WithJsonSchema({"type": "string", "pattern": "^(random|/.*)$"}),
]
