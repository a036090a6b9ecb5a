"""The console in Debian's Chromium: a server on the loopback, whom it lets in, and a window for each test."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.settings import Settings
from tests.pace import within
from tests.samples import seal
from tests.web.browser.console import Console, served

CHROMIUM = shutil.which("chromium")
SECONDS = 20.0
"""For anything that a page is waited for."""
PICTURES = "SKINNYBOX_PICTURES"
"""The variable that names the folder for pictures of every page; without it none are made."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Its sandbox needs rights that a container does not give; it sees our own pages only. Not longer than
    for a module: what drives it has an event loop in this thread, beside which no other test can run one."""
    expect.set_options(timeout=within(SECONDS) * 1000)
    if CHROMIUM is None:
        pytest.fail("no chromium: script/setup --dev installs it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    """On the fake host, with two versions of a master."""
    state = tmp_path / "state"
    for version in ("1", "2"):
        seal(state, tmp_path, "tiny", version)
    with open_fleet(Settings(state=state, host="fake")) as fleet, served(fleet) as console:
        yield console


Window = Callable[..., Page]


@pytest.fixture
def window(chromium: Browser) -> Iterator[Window]:
    """A window with nobody signed in. What its scripts complain of, also of what the policy refused, fails
    the test."""
    complaints: list[str] = []
    contexts = []

    def opened(*, scripts: bool = True, width: int = 1280, height: int = 900, dark: bool = False) -> Page:
        context = chromium.new_context(
            java_script_enabled=scripts, viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light", reduced_motion="reduce",
        )  # fmt: skip
        context.set_default_timeout(within(SECONDS) * 1000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if is_wrong(said) else None)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def is_wrong(said: ConsoleMessage) -> bool:
    """That a form was answered with what is wrong in it, is not, nor what a page asked for that was left."""
    expected = ("status of 422", "htmx:afterRequest", "htmx:sendError", "htmx:sendAbort")
    return said.type == "error" and not any(text in said.text for text in expected)


@pytest.fixture(scope="session")
def pictures() -> Path | None:
    folder = os.environ.get(PICTURES)
    return Path(folder) if folder else None
