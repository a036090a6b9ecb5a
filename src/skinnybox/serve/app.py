"""API and console as one ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp

from skinnybox import __version__
from skinnybox.api.routes import router as api
from skinnybox.api.watching import router as watching
from skinnybox.errors import SkinnyboxError
from skinnybox.gate import limits, problems
from skinnybox.gate.doors import Doors
from skinnybox.gate.hub import Hub
from skinnybox.gate.served import Served
from skinnybox.gate.tally import Tallied, Tally
from skinnybox.web.routes import router as web


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """What goes on when the server ends, ends where nothing is lost."""
    with suppress(SkinnyboxError):  # what cannot be read now, who asks for it is told
        await run_in_threadpool(app.state.tally.begin)
    yield
    app.state.hub.close()
    await run_in_threadpool(app.state.hub.join)
    await run_in_threadpool(app.state.served.fleet.background.end)


class _Guarded(FastAPI):
    """With the doors around all of it, also around what the framework itself tells of what went wrong."""

    def build_middleware_stack(self) -> ASGIApp:
        return Tallied(Doors(super().build_middleware_stack(), lambda: self.state.served), self.state.tally)


def create_app(served: Served) -> FastAPI:
    """The fleet stays open until whoever opened it closes it."""
    app = _Guarded(
        title="Skinnybox", version=__version__, lifespan=_lifespan, max_body_size=limits.BODY,
        docs_url=None, redoc_url=None, openapi_url=None,
    )  # fmt: skip
    app.state.served, app.state.hub, app.state.tally = served, Hub(served.fleet), Tally(served.fleet)
    problems.install(app)
    app.include_router(watching)
    app.include_router(api)
    app.include_router(web)
    return app
