"""What a machine made its own as one file, streamed to who asks for it."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from skinnybox.api.forms import MachineName
from skinnybox.gate import exports
from skinnybox.gate.principal import Operator

router = APIRouter(tags=["machines"])
_ARCHIVE: dict[str, Any] = {
    "content": {exports.MEDIA: {"schema": {"type": "string", "format": "binary"}}},
    "description": "The archive, as it is made. One that ends too early is of no use.",
}


@router.get("/machines/{name}/export", response_class=StreamingResponse, responses={200: _ARCHIVE})
async def export(request: Request, who: Operator, name: MachineName, data: bool = False) -> Response:
    """What `export` writes: a tar packed with zstd, from which `create --from` makes the machine again; it
    holds all its secrets. Of one that runs it is of one point in time. With `data` what its data disk holds
    too. It is a job; who goes away ends it."""
    await run_in_threadpool(exports.refuse_others, request, who, name)
    return await exports.exported(request, who, name, data=data)
