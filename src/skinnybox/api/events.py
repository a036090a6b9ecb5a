"""What happened to machines, and what happens from now on."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from skinnybox.api.forms import Page, Paged, Told
from skinnybox.errors import NotFound
from skinnybox.fleet import present
from skinnybox.fleet.tokens import lives
from skinnybox.gate.follower import Follower
from skinnybox.gate.hub import Hub, hub_of
from skinnybox.gate.principal import Principal, Viewer
from skinnybox.gate.served import fleet_of

router = APIRouter(tags=["events"])

Number = Annotated[int, Query(ge=0, le=1 << 53)]
_STREAM: dict[str, Any] = {"content": {"text/event-stream": {"schema": {"type": "string"}}}}


class EventForm(Told):
    number: int
    """Rises; by it a stream goes on."""
    time: str
    machine: str
    """The name that it had then."""
    uuid: str
    event: str
    detail: str


@router.get("/events", response_model=Page[EventForm])
def list_events(
    request: Request, who: Viewer, window: Paged, machine: Annotated[str | None, Query(max_length=63)] = None,
    after: Number = 0,
) -> Any:  # fmt: skip
    """Those that are kept, about 10,000, the oldest first. Of machines that are gone, a token of one fleet
    is told nothing."""
    fleet = fleet_of(request)
    found = [each for each in fleet.events_after(after) if machine in (None, each.name)]
    if who.fleet is not None:
        belongs = fleet.belongings()
        found = [each for each in found if belongs.get(each.uuid) == who.fleet]
    return window.page(found, present.event)


@router.get("/events/stream", response_class=StreamingResponse, responses={200: _STREAM})
async def follow_events(
    request: Request, who: Viewer, after: Annotated[int | None, Query(ge=0, le=1 << 53)] = None,
    last_event_id: Annotated[int | None, Header(ge=0, le=1 << 53)] = None,
) -> StreamingResponse:  # fmt: skip
    """Server-sent events, for as long as one listens: what happens to machines, by its kind, and `job` each
    time that something of a job has changed. With `Last-Event-ID`, or `after`, all that happened to machines
    after that; without, what happens from now on. At first the last jobs are told."""
    follower = Follower(who, last_event_id if last_event_id is not None else after)
    told = _told(hub_of(request), follower, _may_stay(request, who))
    first = await anext(told)  # so that who is refused is told so
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(_all(first, told), media_type="text/event-stream", headers=headers)


async def _told(
    hub: Hub, follower: Follower, may_stay: Callable[[], Awaitable[bool]]
) -> AsyncIterator[bytes]:
    with hub.following(follower):
        async for message in follower.messages(may_stay):
            yield message


async def _all(first: bytes, told: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        yield first
        async for message in told:
            yield message
    finally:
        await told.aclose()  # type: ignore[attr-defined]


def _may_stay(request: Request, who: Principal) -> Callable[[], Awaitable[bool]]:
    """Whether their token is one still; the owner's socket always is."""
    tokens = fleet_of(request).tokens

    def there() -> bool:
        try:
            return who.token is None or lives(tokens.one(who.token))
        except NotFound:
            return False

    return lambda: run_in_threadpool(there)
