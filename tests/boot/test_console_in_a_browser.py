"""The console in Chromium, and real machines behind it: deployed by a prefix, looked into, reset, deleted."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from skinnybox.fleet.service import Fleet
from skinnybox.fleet.tokens import Role
from tests.boot.conftest import MOST_SECONDS
from tests.pace import within
from tests.web.browser.conftest import Window, chromium, pictures, window
from tests.web.browser.console import Console, picture, served
from tests.web.browser.life import NAMES, all_of, deploy, ready

__all__ = ["chromium", "pictures", "window"]
pytestmark = [pytest.mark.full, pytest.mark.timeout(3600)]
Sh = Callable[[str, str], str]
ALL_UP = 4 * MOST_SECONDS
"""Seconds for four of them, on two cores."""


@pytest.fixture(scope="module")
def console(fleet: Fleet, master: str) -> Iterator[Console]:
    """One for all: a fleet whose server has ended begins no more jobs."""
    with served(fleet) as console:
        yield console
    if left := set(NAMES) & set(fleet.names()):
        fleet.delete(sorted(left), force=True)


@pytest.mark.parametrize("scripts", [True, False])
def test_four_real_machines(
    console: Console, window: Window, sh: Sh, pictures: Path | None, scripts: bool
) -> None:
    page, seconds = window(scripts=scripts, height=800), within(ALL_UP)
    shown = pictures if scripts else None
    console.sign_in(page, Role.OPERATOR)
    deploy(page, scripts=scripts, overlay="128M", memory="512M")
    expect(page.get_by_role("row", name="web-01")).to_contain_text("starting", timeout=seconds * 1000)
    picture(page, shown, "real-deploying")
    ready(page, seconds)
    sh(
        "web-02",
        "mkdir -p /srv/www/widgets; echo hello >/srv/www/widgets/index.html;"
        "echo 99 >/etc/debian_version; sync",
    )
    page.get_by_role("link", name="web-02").first.click()
    if scripts:
        _types(page)
        picture(page, shown, "real-console")
    page.get_by_role("link", name="What it made its own").click()
    _looks_into(page, scripts, shown)
    page.goto(f"{console.url}/")
    picture(page, shown, "real-overview")
    all_of(page, "Stop", seconds)
    all_of(page, "Reset…", seconds)
    page.goto(f"{console.url}/machines/web-02/changes?again=1")
    expect(page.locator("#delta")).to_contain_text("Nothing yet")
    all_of(page, "Delete…", seconds)
    assert not set(NAMES) & set(console.fleet.names())


def _types(page: Page) -> None:
    """Its serial console asks who one is."""
    page.get_by_role("link", name="Console", exact=True).click()
    expect(page.locator("#line-now")).to_contain_text("Connected")
    page.locator(".xterm-helper-textarea").press("Enter")
    expect(page.locator(".xterm-rows")).to_contain_text("login:", timeout=within(60) * 1000)


def _looks_into(page: Page, scripts: bool, pictures: Path | None) -> None:
    """Down the tree to a file of its own, and to the lines of one that its master has otherwise."""
    if scripts:
        for folder in ("srv/", "www/", "widgets/"):
            page.locator("summary", has_text=folder).click()
        expect(page.get_by_role("link", name="index.html")).to_be_visible()
        picture(page, pictures, "real-changes")
    page.goto(page.url.split("?")[0] + "/file?path=etc/debian_version")
    expect(page.get_by_role("region", name="Lines")).to_contain_text("99")
    picture(page, pictures, "real-diff")
