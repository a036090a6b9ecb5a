"""A console that is served, and what is done on its pages."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import uvicorn
from playwright.sync_api import Page

from skinnybox.fleet.service import Fleet
from skinnybox.fleet.tokens import Role
from skinnybox.gate.served import Served
from skinnybox.serve.app import create_app
from tests.pace import within

_SERIOUS = frozenset({"serious", "critical"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """`secrets` let in with a role each."""

    fleet: Fleet
    url: str
    secrets: dict[Role, str]

    def sign_in(self, page: Page, role: Role = Role.ADMIN, there: str = "/") -> None:
        page.goto(f"{self.url}{there}")
        page.get_by_label("Your token").fill(self.secrets[role])
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{self.url}{there}")


@contextmanager
def served(fleet: Fleet) -> Iterator[Console]:
    """On a port of the loopback, by a thread of this process, until the block ends."""
    for part in ("background", "jobs", "tokens", "masters", "overlays"):
        getattr(fleet, part)  # each is made once, before threads come
    secrets = {role: fleet.tokens.create(f"the {role}", role)[1] for role in Role}
    config = uvicorn.Config(
        create_app(Served(fleet=fleet)), host="127.0.0.1", port=0, log_level="warning", access_log=False,
        ws="websockets-sansio", timeout_graceful_shutdown=2,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield Console(fleet=fleet, url=f"http://127.0.0.1:{_port(server, thread)}", secrets=secrets)
    finally:
        server.should_exit = True
        thread.join()


def _port(server: uvicorn.Server, thread: threading.Thread) -> int:
    pause, left = threading.Event(), within(20.0)
    while not server.started and thread.is_alive() and left > 0:
        pause.wait(0.05)
        left -= 0.05
    assert server.started, "the server did not start"
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return port


def violations(page: Page) -> list[str]:
    """What axe-core finds on the page that is serious or worse: the rule, and where."""
    script = files("axe_playwright_python").joinpath("axe.min.js").read_text()
    page.evaluate(script)  # as the debugger does: the page's policy lets no other script in
    found: list[dict[str, Any]] = page.evaluate("axe.run(document).then(found => found.violations)")
    return [
        f"{each['id']}: {json.dumps([node['target'] for node in each['nodes']])} {each['help']}"
        for each in found
        if each["impact"] in _SERIOUS
    ]


def picture(page: Page, folder: Path | None, name: str, *, whole: bool = False) -> None:
    """Of what is seen of it, or of all; where pictures are asked for."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=folder / f"{name}.png", full_page=whole)
