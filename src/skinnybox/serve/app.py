"""API and console as one ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from skinnybox import __version__
from skinnybox.api.routes import router as api
from skinnybox.errors import SkinnyboxError
from skinnybox.gate import problems
from skinnybox.gate.served import Served
from skinnybox.web import errors, render
from skinnybox.web.routes import router as web


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """What goes on when the server ends, ends where nothing is lost."""
    yield
    await run_in_threadpool(app.state.served.fleet.background.end)


def create_app(served: Served) -> FastAPI:
    """The fleet stays open until whoever opened it closes it."""
    app = FastAPI(
        title="Skinnybox", version=__version__, lifespan=_lifespan,
        docs_url=None, redoc_url=None, openapi_url="/api/v1/openapi.json",
    )  # fmt: skip
    app.state.served = served
    app.include_router(api)
    app.include_router(web)

    @app.exception_handler(SkinnyboxError)
    async def refused(request: Request, error: SkinnyboxError) -> Response:
        if render.wants_page(request):
            return await run_in_threadpool(errors.page, request, error)
        return problems.of_error(error)

    return app
