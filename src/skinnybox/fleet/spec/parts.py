"""Parts of a fleet file's shape: texts that stand in it or in files beside it, and what templates name."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from skinnybox.errors import UsageError
from skinnybox.fleet.spec.content import checked, content_of, try_seed
from skinnybox.fleet.spec.templates import check_keys
from skinnybox.model import SeedFile, check_name
from skinnybox.named_file import expanded
from skinnybox.printable import quoted


def said(check: Callable[[str], object]) -> BeforeValidator:
    """A check of the house, for texts; what is no text is left to pydantic."""

    def apply(value: Any) -> Any:
        if isinstance(value, str):
            translated(check, value)
        return value

    return BeforeValidator(apply)


def translated(check: Callable[[str], object], value: str) -> Any:
    return checked(lambda: check(value))


def fits(pattern: str, what: str) -> BeforeValidator:
    def check(value: str) -> None:
        if not re.fullmatch(pattern, value):
            raise UsageError(f"{quoted(value)} is not {what}")

    return said(check)


def _mode(value: Any) -> int:
    """0644 and 644 alike, also as the number a YAML parser makes of its digits."""
    digits = str(value).removeprefix("0o").lstrip("0") or "0"
    if isinstance(value, bool) or not re.fullmatch("[0-7]{1,4}", digits):
        raise ValueError(f"{quoted(value)} is not an octal mode, as in 0644")
    return int(digits, 8)


_MODE_SCHEMA: dict[str, Any] = {
    "anyOf": [{"type": "string", "pattern": "^(0o)?[0-7]{1,5}$"}, {"type": "integer", "minimum": 0}]
}
_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_WORD = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}"

Mode = Annotated[int, BeforeValidator(_mode), WithJsonSchema(_MODE_SCHEMA)]
Label = Annotated[str, said(check_name), Field(pattern=f"^{_LABEL}$")]
Value = Annotated[
    str,
    BeforeValidator(lambda value: str(value) if type(value) is int else value),
    WithJsonSchema({"type": ["string", "integer"]}),
]
Owner = Annotated[
    str, fits(f"{_WORD}:{_WORD}", "user:group of the guest"), Field(pattern=f"^{_WORD}:{_WORD}$")
]


def _way(value: Any) -> str | None:
    return "as-text" if isinstance(value, str) else "from-file" if isinstance(value, dict) else None


def _has(value: Any, key: str) -> bool:
    """A machine may be called `file`, and then has values."""
    return isinstance(value, dict) and key in value and not (key == "file" and isinstance(value[key], dict))


def _table(value: Any) -> Any:
    for row in value.values() if isinstance(value, dict) else ():
        if isinstance(row, dict):
            checked(lambda keys=tuple(row): check_keys(keys))  # type: ignore[misc]
    return value


class Exact(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


class FromFile(Exact):
    """A text that lies in a file of its own."""

    file: str
    """Its path; a relative one counts from the folder of the fleet file."""

    @model_validator(mode="after")
    def _readable(self, info: ValidationInfo) -> "FromFile":
        if info.context:
            text_of(self, info.context)
        return self


Text: TypeAlias = Annotated[
    Annotated[str, Tag("as-text")] | Annotated[FromFile, Tag("from-file")],
    Discriminator(_way),
]


class Template(Exact):
    """A text that is filled in for each machine."""

    template: Text
    """The text, or `{file: PATH}`; in it `{name}`, `{index}`, `{number}` and what `values` has. A brace that
    is to stay is doubled."""


class DataFile(Exact):
    """What lies in a file of its own, whatever its bytes are."""

    file: str
    """Its path; a relative one counts from the folder of the fleet file."""

    @model_validator(mode="after")
    def _readable(self, info: ValidationInfo) -> "DataFile":
        if info.context:
            data_of(self, info.context)
        return self


Data: TypeAlias = Annotated[
    Annotated[str, Tag("as-text")] | Annotated[DataFile, Tag("from-file")],
    Discriminator(lambda value: {str: "as-text", dict: "from-file"}.get(type(value))),
]


Script: TypeAlias = Annotated[
    Annotated[str, Tag("as-text")]
    | Annotated[FromFile, Tag("from-file")]
    | Annotated[Template, Tag("as-template")],
    # No tag may be called as a key is: both are in pydantic's trails.
    Discriminator(lambda value: "as-template" if _has(value, "template") else _way(value)),
]
Values: TypeAlias = Annotated[
    Annotated[dict[Label, dict[str, Value]], Tag("as-table")] | Annotated[FromFile, Tag("from-file")],
    Discriminator(lambda value: "from-file" if _has(value, "file") else "as-table"),
    BeforeValidator(_table),
]


class SeededFile(Exact):
    """A file that every machine of the group finds: either from `source`, or with this `content`."""

    target: str
    """Its absolute path in the guest."""
    source: str | None = None
    """A file here; a relative path counts from the folder of the fleet file."""
    content: str | None = None
    """The content itself."""
    mode: Mode | None = None
    """Octal, as in 0644. Left out: 0755 when the source is executable, else 0644."""
    owner: Owner = "root:root"
    """`user:group` of the guest."""
    template: bool = False
    """Whether target and content are filled in for each machine: `{name}`, `{index}`, `{number}` and what
    `values` has. A brace that is to stay is doubled then."""

    @model_validator(mode="after")
    def _carried(self, info: ValidationInfo) -> "SeededFile":
        if (self.source is None) == (self.content is None):
            raise ValueError("a file has either `source` or `content`")
        if info.context:
            try_seed(files=(seed_file(self, info.context),))
        return self


def text_of(text: str | FromFile | Template, folder: Path) -> str:
    """As it stands there. Raises ValueError, of which the message is for the user."""
    if isinstance(text, Template):
        return text_of(text.template, folder)
    if isinstance(text, str):
        return text
    try:
        return content_of(text.file, folder).decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{text.file} is not a text") from error


def data_of(data: str | DataFile, folder: Path) -> bytes:
    """Raises ValueError, of which the message is for the user."""
    return data.encode() if isinstance(data, str) else content_of(data.file, folder)


def seed_file(file: SeededFile, folder: Path) -> SeedFile:
    """Raises ValueError when the source cannot be read."""
    if file.source is None:
        content, mode = (file.content or "").encode(), 0o644
    else:
        content = content_of(file.source, folder)
        executable = (folder / expanded(file.source)).stat().st_mode & 0o100
        mode = 0o755 if executable else 0o644
    chosen = mode if file.mode is None else file.mode
    return SeedFile(path=file.target, content=content, mode=chosen, owner=file.owner)
