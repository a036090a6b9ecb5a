"""The shape of a fleet file: what pydantic checks, and what the published JSON Schema is made from.

Only what can be said of one value by itself is checked here; spec.py checks what needs several.
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    create_model,
)

from skinnybox.fleet.names import expand
from skinnybox.fleet.plan.actions import Target
from skinnybox.fleet.seed_parts import message_of
from skinnybox.fleet.spec import addresses, values
from skinnybox.fleet.spec.again import Otherwise, ReplayOf
from skinnybox.fleet.spec.content import checked
from skinnybox.fleet.spec.parts import (
    Data,
    Exact,
    FromFile,
    Label,
    Script,
    SeededFile,
    Template,
    Values,
    fits,
    said,
)
from skinnybox.fleet.spec.users import Keys, SeededUser, User
from skinnybox.model import Network, kinds, parse_reference, ranges
from skinnybox.model.fields import machine_fields
from skinnybox.model.forwards import parse_forward
from skinnybox.model.kinds import Kind
from skinnybox.model.labels import labels_of
from skinnybox.model.own_check import check_command
from skinnybox.model.ranges import Range
from skinnybox.overlays.seed import MOST_VLAN

SCHEMA = "https://json-schema.org/draft/2020-12/schema"


def _master(value: str) -> None:
    parse_reference(value.removeprefix("sha256:"))


def _layer(value: str) -> None:
    parse_reference(value.removeprefix("sha256:"), "a layer")


_BRIDGE = r"[^\x00-\x1f\x7f]{1,255}"  # a pool's networks have names like "Pool-wide network of eth0"

OverlaySize = Annotated[int, values.size(ranges.OVERLAY), values.SIZE_SCHEMA]
MemorySize = Annotated[int, values.size(ranges.MEMORY), values.SIZE_SCHEMA]
Reference = Annotated[str, said(_master)]
LayerReference = Annotated[str, said(_layer)]
Pattern = Annotated[str, said(lambda value: expand([value]))]
Bridge = Annotated[str, fits(_BRIDGE, "a bridge's name"), Field(pattern=f"^{_BRIDGE}$")]
OfEach = Annotated[str, said(addresses.check_of_each)]
OfAll = Annotated[str, said(addresses.check_of_all)]
NetworkName = Annotated[Network, Field(strict=False)]
PortForward = Annotated[str, said(parse_forward), Field(pattern="^([0-9.]{7,15}:)?[0-9]{1,5}:[0-9]{1,5}$")]
_SEVERAL = Discriminator(lambda value: "several" if isinstance(value, list) else "one")
_LEAST_ONE = Field(min_length=1)
OfEachs = Annotated[
    Annotated[OfEach, Tag("one")] | Annotated[list[OfEach], _LEAST_ONE, Tag("several")], _SEVERAL
]
OfAlls = Annotated[
    Annotated[OfAll, Tag("one")] | Annotated[list[OfAll], _LEAST_ONE, Tag("several")], _SEVERAL
]
TargetName = Annotated[Target, Field(strict=False)]


def _labelled(value: Any) -> Any:
    if isinstance(value, dict) and all(isinstance(text, str) for pair in value.items() for text in pair):
        checked(lambda: labels_of(value))
    return value


class Card(Exact):
    """A card beside the first."""

    bridge: Bridge | None = None
    """A bridge of the host, or a network of the pool. Left out: a network that leads nowhere."""
    address: OfEachs | None = None
    """As that of a group: of the first machine, or a pattern, or a list. Left out: DHCP."""
    addresses: list[OfEachs] | None = None
    """As that of a group: of every machine."""
    gateway: OfAlls | None = None
    """With an address, for what no other card has one for: a machine has one way out for each family."""
    manual: bool = False
    """No address at all."""
    vlan: Annotated[int, Field(ge=1, le=MOST_VLAN)] | None = None
    """A tagged VLAN: what this says of addresses is of an interface above the card."""


def _carried(name: str) -> BeforeValidator:
    def check(value: str) -> None:
        parts: dict[str, Any] = {name: value}
        message_of(**parts)

    return said(check)


_KEYS: dict[str, Any] = {
    "master": Reference,
    "overlay": OverlaySize,
    "sparse": bool,
    "memory": MemorySize,
    "cpus": Annotated[int, Field(ge=ranges.CPUS.least, le=ranges.CPUS.most)],
    "dax": bool,
    "layers": list[LayerReference],
    "network": NetworkName,
    "bridge": Bridge,
    "gateway": OfAlls,
    "dns": list[OfAll],
    "user": User,
    "ssh_keys": Keys,
    "files": list[SeededFile],
    "run_once": Script,
    "follow_name": bool,
    "user_data": Annotated[Data, said(str.encode)],
    "users": list[SeededUser],
    "timezone": Annotated[str, _carried("timezone")],
    "locale": Annotated[str, _carried("locale")],
    "ntp": list[Annotated[str, said(lambda value: message_of(ntp=(value,)))]],
    "state": TargetName,
    "autostart": bool,
    "forwards": list[PortForward],
    "labels": Annotated[dict[str, str], BeforeValidator(_labelled)],
    "values": Values,
    "nics": list[Card],
    "data": values.DataOf,
    "check": Annotated[str, said(check_command)],
    "replay": ReplayOf,
}
"""What may stand there, in the order in which the reference has them; what is new in the table comes behind
them, and needs a line here only where its kind does not say all that is to be checked."""
_ANY = Range("a size", 1, 1 << 50)
_KINDS: dict[Kind, Any] = {
    kinds.FLAG: bool,
    kinds.NUMBER: int,
    kinds.SIZE: Annotated[int, values.size(_ANY), values.SIZE_SCHEMA],
    kinds.TEXT: str,
    kinds.TEXTS: list[str],
    kinds.SWAP: values.Swap,
    kinds.THROW_AWAY: values.ThrowAway,
    kinds.ENCRYPTION: values.Encrypt,
}
_GROUPS_OWN = ("address", "addresses")
_SAID = {field.key: (field.said, _KINDS.get(field.kind)) for field in machine_fields() if field.key}
_SAID["values"] = (
    "What templates may name beside `{name}`, `{index}` (from 1, in its group) and `{number}` (the last of"
    " its name): `{web-01: {site: a.example}}`, or a CSV with a column `name` as `{file: PATH}`.",
    None,
)
_SAID["state"] = ("Whether `apply` starts them, stops them, or leaves that to you (unmanaged).", None)
_SAID["replay"] = (
    "How they go onto a master of another release with `--rebase`: true, where what they had installed is"
    " installed again by its names, or what comes otherwise (false). Inside one release nothing is.",
    None,
)
_SHARED = [key for key in dict.fromkeys((*_KEYS, *_SAID)) if key not in _GROUPS_OWN]

if TYPE_CHECKING:

    class Shared(Exact):
        """Its keys are those of the table in model/fields.py."""

else:
    Shared = create_model(
        "Shared",
        __base__=Exact,
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

    address: OfEachs | None = Field(default=None, description=_SAID["address"][0])
    addresses: list[OfEachs] | None = None
    """ADDRESS/PREFIX of every machine, or a list of them for each, in the order of their names."""


class FleetFile(Exact):
    """Machines as they are to be."""

    version: Literal[1]
    """Of this format."""
    fleet: Label
    """The fleet's name. It is recorded with its machines, so that `--prune` touches no others."""
    defaults: Shared = Field(default_factory=Shared)
    """What all groups have in common."""
    machines: dict[Pattern, Group | None]
    """Groups of machines by their names: `web-01`, `web-{01..40}` or `"{db,www}-1"`."""


MODELS: tuple[type[Exact], ...] = (
    FleetFile, Shared, Group, Card, SeededFile, SeededUser, values.OnData, Otherwise, FromFile, Template,
)  # fmt: skip


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
