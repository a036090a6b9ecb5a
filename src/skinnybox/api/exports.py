"""What a machine made its own as one file, streamed to who asks for it; and machines made again of such files
that are sent."""

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import Field, ValidationError
from starlette.responses import StreamingResponse

from skinnybox.api.forms import Begun, Given, MachineName, begun
from skinnybox.fleet.received import MOST
from skinnybox.gate import exports, limits
from skinnybox.gate.forms import Form, Sent
from skinnybox.gate.principal import Operator
from skinnybox.model import ranges

router = APIRouter(tags=["machines"], max_body_size=limits.ARCHIVES_BODY)
_ARCHIVE: dict[str, Any] = {
    "content": {exports.MEDIA: {"schema": {"type": "string", "format": "binary"}}},
    "description": "The archive, as it is made. One that ends too early is of no use.",
}
_FILE = {"type": "string", "format": "binary", "contentMediaType": exports.MEDIA}


class Sending(Given):
    """Fields of a form that come before its files."""

    name: Annotated[str, Field(min_length=1, max_length=63)]
    overlay: Annotated[int, Field(ge=ranges.OVERLAY.least, le=ranges.OVERLAY.most)] | None = None
    """Bytes of its overlay; else as many as it had."""
    new_identity: bool = False
    """As another machine, as a copy is."""


class Increment(Given):
    """The same of a machine that is to be exported."""

    data: bool = False
    """What its data disk holds too."""


def _body(form: type[Given], **files: dict[str, Any]) -> dict[str, Any]:
    """Of the OpenAPI document."""
    schema = form.model_json_schema()
    schema["properties"] |= files
    schema["required"] = [*schema.get("required", ()), *files]
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


def _fields(form: Form, wanted: type[Any]) -> Any:
    """As that form has them. RequestValidationError."""
    values = {key: several[0] if len(several) == 1 else several for key, several in form.fields.items()}
    try:
        return wanted.model_validate(values)
    except ValidationError as error:
        raise RequestValidationError(list(map(_told, error.errors(include_url=False)))) from error


def _told(each: Any) -> dict[str, Any]:
    """A field that stands behind a file is not read."""
    what = "Field required, before any file" if each["type"] == "missing" else each["msg"]
    return {**each, "msg": what, "loc": ("body", *each["loc"])}


@router.get("/machines/{name}/export", response_class=StreamingResponse, responses={200: _ARCHIVE})
async def export(request: Request, who: Operator, name: MachineName, data: bool = False) -> Response:
    """What `export` writes: a tar packed with zstd, from which `create --from` makes the machine again; it
    holds all its secrets. Of one that runs it is of one point in time. With `data` what its data disk holds
    too. It is a job; who goes away ends it."""
    return await exports.exported(request, who, name, data=data)


@router.post(
    "/machines/{name}/export", response_class=StreamingResponse, responses={200: _ARCHIVE},
    openapi_extra=_body(Increment, since={**_FILE, "description": "The earlier archive, whole."}),
)  # fmt: skip
async def export_since(request: Request, who: Operator, name: MachineName, form: Sent) -> Response:
    """What has changed since an earlier archive, which is sent: what `export --since` writes. All of that one
    is read; what it cannot be used for is said once its first bytes are there. In a chain each is made since
    the one before it, so what is sent is small."""
    fields = _fields(form, Increment)
    form.refuse_others(exports.SINCE)
    return await exports.exported(request, who, name, data=fields.data, form=form)


@router.post(
    "/restores/uploads", status_code=202, response_model=Begun,
    openapi_extra=_body(
        Sending,
        archive={
            "type": "array", "items": _FILE, "minItems": 1, "maxItems": MOST,
            "description": "A whole export, then increments in the order they were made.",
        },
    ),
)  # fmt: skip
async def restore_sent(request: Request, response: Response, who: Operator, form: Sent) -> Any:
    """Make a machine again of archives that are sent, behind the fields. A name that is taken, a master that
    is not here, and what is no archive are told once the first bytes are there; what is damaged further in,
    the job tells. Who goes away before the answer ends it, and nothing is left."""
    fields = _fields(form, Sending)
    number = await exports.restored(
        request, who, form, fields.name, overlay=fields.overlay, new_identity=fields.new_identity
    )
    return begun(response, number, "create", [fields.name])
