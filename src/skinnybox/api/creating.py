"""Creating machines: a batch is what a group of a fleet file says, with names."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from pydantic import BeforeValidator, WithJsonSchema

from skinnybox.api.forms import Begun, Given, Patterns, Told, begun
from skinnybox.api.inline import inlined
from skinnybox.errors import UsageError
from skinnybox.fleet.create import Batch
from skinnybox.fleet.present_preview import preview
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.spec.sent import Misdescribed, batch
from skinnybox.fleet.spec.shape import Group
from skinnybox.gate import limits
from skinnybox.gate.principal import Operator, Principal
from skinnybox.gate.readings import reading
from skinnybox.gate.served import fleet_of
from skinnybox.operation import Operation

router = APIRouter(tags=["machines"], max_body_size=limits.DOCUMENT_BODY)


class _Own(Given):
    """What is said beside what a group says."""

    names: Patterns
    """Names, or patterns that make them: `web-{01..40}`, `{db,www}-1`."""
    start: bool = False
    """Start them, and wait until they are ready."""
    skip_existing: bool = False
    """Leave those that exist as they are."""


class _Whole(Group, _Own):
    """Machines alike but for their names and addresses: the keys of a group of a fleet file, and how many
    of them."""


def _is_map(value: Any) -> Any:
    if not isinstance(value, dict):
        raise ValueError("expected a map of keys to values")
    return value


def _schema() -> dict[str, Any]:
    """`state` is what `start` says; a batch has no other."""
    found = inlined(_Whole.model_json_schema())
    del found["properties"]["state"]
    return found


Creation = Annotated[dict[str, Any], BeforeValidator(_is_map), WithJsonSchema(_schema())]


class PlannedMachine(Told):
    name: str
    addresses: list[str]
    """Of its first card; none: its network gives it one."""


class Refusal(Told):
    error: str
    detail: str
    hint: str | None


class Preview(Told):
    """Bytes: `need` is what the reserved disks of all of them take, `promised` the sizes of all disks, `left`
    what would be free then."""

    master: str
    machines: list[PlannedMachine]
    skipped: list[str]
    """They exist, and would stay as they are."""
    need: int
    promised: int
    free: int
    left: int
    refusal: Refusal | None
    """Why nothing of it could be made just now."""


def _read(who: Principal, said: dict[str, Any]) -> tuple[Batch, _Own]:
    """Misdescribed with all that is wrong. Machines of who reaches one fleet are of that one."""
    own_keys = {key: value for key, value in said.items() if key in _Own.model_fields}
    if "state" in said:
        raise Misdescribed([{"where": ["state"], "what": "`start` says whether they are started"}])
    try:
        own = _Own.model_validate(own_keys)
    except ValueError as error:
        raise _wrong(error) from error
    group = {key: value for key, value in said.items() if key not in own_keys}
    return batch(own.names, group, who.fleet), own


def _wrong(error: ValueError) -> UsageError:
    found = error.errors(include_url=False) if hasattr(error, "errors") else []
    return Misdescribed([{"where": list(each["loc"]), "what": each["msg"]} for each in found])


@router.post("/machines", status_code=202, response_model=Begun)
def create_machines(
    request: Request, response: Response, who: Operator, body: Creation,
    idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
) -> Any:  # fmt: skip
    """Make machines. All or nothing: a name that is taken, or a disk too small, stops it before anything is
    made. With Idempotency-Key the same request again, within a day, is answered as the first was, and makes
    nothing."""
    fleet = fleet_of(request)
    with reading():  # what templates make may be large
        found, own = _read(who, body)
    names = list(found.each)

    def begin() -> int:
        return fleet.background.begin(who.actor, "create", names, lambda op: _make(fleet, found, own, op))

    job = begin() if idempotency_key is None else fleet.once.begin(
        who.token or "owner", idempotency_key, body, begin
    )  # fmt: skip
    return begun(response, job, "create", names)


def _make(fleet: Fleet, found: Batch, own: _Own, operation: Operation) -> list[Any]:
    made = fleet.create_batch(found, skip_existing=own.skip_existing, operation=operation)
    names = [instance.name for instance in made]
    if not (own.start and names):
        return list(made)
    return list(fleet.start(names, operation=operation))


@router.post("/preview", response_model=Preview)
def preview_machines(request: Request, who: Operator, body: Creation) -> Any:
    """What creating them would make now, and whether it could. Nothing changes."""
    with reading():
        found, own = _read(who, body)
        seen = fleet_of(request).preview_batch(found, skip_existing=own.skip_existing)
    return preview(seen)
