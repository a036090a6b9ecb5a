"""The shape of a fleet file: what pydantic checks, and what the published JSON Schema is made from.

Only what can be said of one value by itself is checked here; spec.py checks what needs several.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    create_model,
    model_validator,
)

from skinnybox.errors import UsageError
from skinnybox.fleet.names import expand
from skinnybox.fleet.plan.actions import Target
from skinnybox.fleet.spec import addresses
from skinnybox.fleet.spec.content import checked, content_of, public_keys, try_seed
from skinnybox.model import Network, SeedFile, check_name, kinds, parse_reference, ranges
from skinnybox.model.fields import machine_fields
from skinnybox.model.forwards import parse_forward
from skinnybox.model.kinds import Kind
from skinnybox.model.labels import labels_of
from skinnybox.model.ranges import Range
from skinnybox.named_file import expanded
from skinnybox.sizes import format_size, parse_size

SCHEMA = "https://json-schema.org/draft/2020-12/schema"


def _said(check: Callable[[str], object]) -> BeforeValidator:
    """A check of the house, for texts; what is no text is left to pydantic."""

    def apply(value: Any) -> Any:
        if isinstance(value, str):
            _translated(check, value)
        return value

    return BeforeValidator(apply)


def _translated(check: Callable[[str], object], value: str) -> Any:
    return checked(lambda: check(value))


def _fits(pattern: str, what: str) -> BeforeValidator:
    def check(value: str) -> None:
        if not re.fullmatch(pattern, value):
            raise UsageError(f"{value!r} is not {what}")

    return _said(check)


def _size(range_: Range) -> BeforeValidator:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError("expected a size, as in 512M or 1.5G")
        size: int = _translated(parse_size, str(value))
        if not range_.least <= size <= range_.most:
            least, most = format_size(range_.least), format_size(range_.most)
            raise ValueError(f"from {least} to {most}, not {value!s:.20}")
        return size

    return BeforeValidator(check)


def _mode(value: Any) -> int:
    """0644 and 644 alike, also as the number a YAML parser makes of its digits."""
    digits = str(value).removeprefix("0o").lstrip("0") or "0"
    if isinstance(value, bool) or not re.fullmatch("[0-7]{1,4}", digits):
        raise ValueError(f"{value!r} is not an octal mode, as in 0644")
    return int(digits, 8)


def _master(value: str) -> None:
    parse_reference(value.removeprefix("sha256:"))


_SIZE_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*[kKmMgGtT]?([iI]?[bB])?\s*$"},
        {"type": "integer", "minimum": 1},
    ]
}
_MODE_SCHEMA: dict[str, Any] = {
    "anyOf": [{"type": "string", "pattern": "^(0o)?[0-7]{1,5}$"}, {"type": "integer", "minimum": 0}]
}
_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_USER, _USER_WHAT = "[a-z_][a-z0-9_-]{0,31}", "a user's name"
_WORD = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}"
_BRIDGE = r"[^\x00-\x1f\x7f]{1,255}"  # a pool's networks have names like "Pool-wide network of eth0"

OverlaySize = Annotated[int, _size(ranges.OVERLAY), WithJsonSchema(_SIZE_SCHEMA)]
MemorySize = Annotated[int, _size(ranges.MEMORY), WithJsonSchema(_SIZE_SCHEMA)]
Mode = Annotated[int, BeforeValidator(_mode), WithJsonSchema(_MODE_SCHEMA)]
Label = Annotated[str, _said(check_name), Field(pattern=f"^{_LABEL}$")]
Reference = Annotated[str, _said(_master)]
Pattern = Annotated[str, _said(lambda value: expand([value]))]
User = Annotated[str, _fits(_USER, _USER_WHAT), Field(pattern=f"^{_USER}$")]
Owner = Annotated[
    str, _fits(f"{_WORD}:{_WORD}", "user:group of the guest"), Field(pattern=f"^{_WORD}:{_WORD}$")
]
Bridge = Annotated[str, _fits(_BRIDGE, "a bridge's name"), Field(pattern=f"^{_BRIDGE}$")]
Address = Annotated[str, _said(addresses.check)]
WithPrefix = Annotated[str, _said(addresses.check_with_prefix)]
OfEach = Annotated[str, _said(addresses.check_pattern)]
NetworkName = Annotated[Network, Field(strict=False)]
PortForward = Annotated[str, _said(parse_forward), Field(pattern="^([0-9.]{7,15}:)?[0-9]{1,5}:[0-9]{1,5}$")]
TargetName = Annotated[Target, Field(strict=False)]


class _Exact(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


class FromFile(_Exact):
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
    Discriminator(lambda value: {str: "as-text", dict: "from-file"}.get(type(value))),
]


def _is_keys(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str):
        public_keys(value)
    elif info.context and isinstance(value, dict) and isinstance(value.get("file"), str):
        public_keys(text_of(FromFile.model_construct(file=value["file"]), info.context))
    return value


class SeededFile(_Exact):
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

    @model_validator(mode="after")
    def _carried(self, info: ValidationInfo) -> "SeededFile":
        if (self.source is None) == (self.content is None):
            raise ValueError("a file has either `source` or `content`")
        if info.context:
            try_seed(files=(seed_file(self, info.context),))
        return self


def _labelled(value: Any) -> Any:
    if isinstance(value, dict) and all(isinstance(text, str) for pair in value.items() for text in pair):
        checked(lambda: labels_of(value))
    return value


_KEYS: dict[str, Any] = {
    "master": Reference,
    "overlay": OverlaySize,
    "sparse": bool,
    "memory": MemorySize,
    "cpus": Annotated[int, Field(ge=ranges.CPUS.least, le=ranges.CPUS.most)],
    "dax": bool,
    "network": NetworkName,
    "bridge": Bridge,
    "gateway": Address,
    "dns": list[Address],
    "user": User,
    "ssh_keys": list[Annotated[Text, BeforeValidator(_is_keys)]],
    "files": list[SeededFile],
    "run_once": Text,
    "follow_name": bool,
    "state": TargetName,
    "autostart": bool,
    "forwards": list[PortForward],
    "labels": Annotated[dict[str, str], BeforeValidator(_labelled)],
}
"""What may stand there, in the order in which the reference has them; what is new in the table comes behind
them, and needs a line here only where its kind does not say all that is to be checked."""
_ANY = Range("a size", 1, 1 << 50)
_KINDS: dict[Kind, Any] = {
    kinds.FLAG: bool,
    kinds.NUMBER: int,
    kinds.SIZE: Annotated[int, _size(_ANY), WithJsonSchema(_SIZE_SCHEMA)],
    kinds.TEXT: str,
    kinds.TEXTS: list[str],
}
_GROUPS_OWN = ("address", "addresses")
_SAID = {field.key: (field.said, _KINDS.get(field.kind)) for field in machine_fields() if field.key}
_SAID["state"] = ("Whether `apply` starts them, stops them, or leaves that to you (unmanaged).", None)
_SHARED = [key for key in dict.fromkeys((*_KEYS, *_SAID)) if key not in _GROUPS_OWN]

if TYPE_CHECKING:

    class Shared(_Exact):
        """Its keys are those of the table in model/fields.py."""

else:
    Shared = create_model(
        "Shared",
        __base__=_Exact,
        __module__=__name__,
        __doc__="What machines have in common. What neither the group nor `defaults` says is as told in"
        " brackets.",
        **{
            key: ((_KEYS.get(key) or _SAID[key][1]) | None, Field(default=None, description=_SAID[key][0]))
            for key in _SHARED
        },
    )


class Group(Shared):
    """Machines alike but for their names and addresses. A key here wins over the one in `defaults`."""

    address: OfEach | None = Field(default=None, description=_SAID["address"][0])
    addresses: list[WithPrefix] | None = None
    """ADDRESS/PREFIX of every machine, in the order of their names."""


class FleetFile(_Exact):
    """Machines as they are to be."""

    version: Literal[1]
    """Of this format."""
    fleet: Label
    """The fleet's name. It is recorded with its machines, so that `--prune` touches no others."""
    defaults: Shared = Field(default_factory=Shared)
    """What all groups have in common."""
    machines: dict[Pattern, Group | None]
    """Groups of machines by their names: `web-01`, `web-{01..40}` or `"{db,www}-1"`."""


MODELS: tuple[type[_Exact], ...] = (FleetFile, Shared, Group, SeededFile, FromFile)


def schema() -> dict[str, Any]:
    """The JSON Schema of a fleet file."""
    whole: dict[str, Any] = _plain(FleetFile.model_json_schema())
    return {"$schema": SCHEMA, "title": "Skinnybox fleet file", **whole}


def _plain(value: Any, *, names: bool = False) -> Any:
    """Without pydantic's titles and nulls as defaults, which an editor would offer; `names` for a mapping
    whose keys are names. Line breaks of docstrings go."""
    if isinstance(value, dict):
        noise = () if names else ("title", *(("default",) if value.get("default") is None else ()))
        return {
            key: _plain(inner, names=key in ("properties", "$defs"))
            for key, inner in value.items()
            if key not in noise
        }
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value.replace("\n", " ") if isinstance(value, str) else value


def text_of(text: str | FromFile, folder: Path) -> str:
    """Raises ValueError, of which the message is for the user."""
    if isinstance(text, str):
        return text
    try:
        return content_of(text.file, folder).decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{text.file} is not a text") from error


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
