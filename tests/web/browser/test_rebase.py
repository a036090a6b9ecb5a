"""A new master under machines, in a browser: planned, decided, done, looked at, taken back."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from skinnybox.fleet.service import Fleet
from skinnybox.fleet.tokens import Role
from tests.fleet.conftest import SPARSE, open_fake
from tests.fleet.test_disks import image
from tests.fleet.test_rebase import CONF, put, two_masters
from tests.pace import within
from tests.web.browser.conftest import Window
from tests.web.browser.console import Console, picture, served, violations

__all__ = ["two_masters"]
pytestmark = pytest.mark.full
WEB_CONF = "/etc/web.conf"
NAMES = [f"web-{number:02}" for number in range(1, 7)]


@pytest.fixture
def web(tmp_path: Path, two_masters: Path) -> Iterator[Fleet]:
    """Six of web:1, of which two edited the line that web:2 has otherwise, and one runs."""
    state = tmp_path / "state"
    shutil.copytree(two_masters, state)
    with open_fake(state) as fleet:
        made = {each.name: each for each in fleet.create(NAMES, "web:1", SPARSE)}
        for name in NAMES[:2]:
            put(image(state, made[name]), "etc/web.conf", CONF.replace("Debug no", "Debug maybe"))
        put(image(state, made["web-03"]), "own", "mine")
        fleet.start(["web-06"])
        assert fleet.rebases is not None
        yield fleet


@pytest.fixture
def console(web: Fleet) -> Iterator[Console]:
    with served(web) as console:
        yield console


def faults(page: Page, pictures: Path | None, name: str) -> list[str]:
    picture(page, pictures, name, whole=True)
    wide: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return [f"{name}: {each}" for each in (*violations(page), *([f"{wide} pixels too wide"] if wide else []))]


def mark(page: Page, url: str, names: list[str]) -> None:
    page.goto(f"{url}/machines")
    for name in names:
        page.get_by_label(f"Mark {name}").check()


LOOKS = {"light": (1280, False), "dark": (1280, True), "narrow": (390, False)}


@pytest.mark.parametrize("look", LOOKS)
def test_how_its_pages_look(console: Console, window: Window, pictures: Path | None, look: str) -> None:
    width, dark = LOOKS[look]
    page = window(width=width, dark=dark)
    console.sign_in(page, Role.OPERATOR)
    page.goto(f"{console.url}/rebase?names=web-01&onto=web:2")
    found = faults(page, pictures, f"rebase-{look}")
    page.get_by_role("button", name="Plan", exact=True).click()
    expect(page.get_by_text("In dispute").first).to_be_visible()
    if look == "light":
        picture(page, pictures, "console-rebase")  # of the tutorial
    page.get_by_text("All that is decided").click()
    found += faults(page, pictures, f"rebase-one-{look}")
    mark(page, console.url, NAMES)
    page.get_by_role("button", name="Rebase…").click()
    page.get_by_label("Onto").select_option("web:2")
    page.get_by_role("button", name="Plan", exact=True).click()
    expect(page.get_by_role("region", name="Plan", exact=True)).to_contain_text("web-06")
    found += faults(page, pictures, f"rebase-plan-{look}")
    page.get_by_label(f"Whose {WEB_CONF}").select_option("ours")
    page.get_by_label("Machines at once").fill("3")
    page.get_by_role("button", name="Rebase 6 machines").click()
    page.wait_for_url("**/jobs/*")
    expect(page.locator("#job .figures")).to_contain_text("done", timeout=within(150) * 1000)
    expect(page.locator("#job .map a.good")).to_have_count(6)
    found += faults(page, pictures, f"rebase-job-{look}")
    page.goto(f"{console.url}/machines/web-06")
    found += faults(page, pictures, f"rebase-machine-{look}")
    assert found == []


@pytest.mark.parametrize("scripts", [True, False])
def test_from_the_list_to_the_way_back(console: Console, window: Window, web: Fleet, scripts: bool) -> None:
    page = window(scripts=scripts)
    console.sign_in(page, Role.OPERATOR)
    mark(page, console.url, NAMES[:3])
    page.get_by_role("button", name="Rebase…").click()
    page.get_by_label("Onto").select_option("web:2")
    page.get_by_role("button", name="Plan", exact=True).click()
    plan = page.get_by_role("region", name="Plan", exact=True)
    expect(plan.get_by_role("row", name="web-01")).to_contain_text("in dispute")
    expect(plan.get_by_role("row", name="web-03")).to_contain_text("clean")
    with page.expect_download() as loading:
        page.get_by_role("button", name="Download as CSV").click()
    assert loading.value.path().read_text().splitlines()[1].startswith("web-01,web:1,web:2,conflicts,1,0")
    page.get_by_label(f"Whose {WEB_CONF}").select_option("theirs")
    page.get_by_role("button", name="Plan again with these").click()
    expect(plan.get_by_role("row", name="web-01")).to_contain_text("clean")
    expect(page.get_by_label(f"Whose {WEB_CONF}")).to_have_value("theirs")
    page.get_by_role("button", name="Rebase 3 machines").click()
    page.wait_for_url("**/jobs/*")
    expect(page.locator("#job .figures")).to_contain_text("done", timeout=within(150) * 1000)
    assert {each.instance.stack.reference for each in web.machines(NAMES[:3])} == {"web:2"}
    page.get_by_role("link", name="web-01").first.click()
    expect(page.locator("#condition")).to_contain_text("Rebased from web:1")
    page.get_by_role("button", name="Roll back").click()
    page.wait_for_url("**/jobs/*")
    expect(page.locator("#job .figures")).to_contain_text("done", timeout=within(150) * 1000)
    assert web.machine("web-01").instance.stack.reference == "web:1"
    page.goto(f"{console.url}/machines/web-02")
    page.get_by_role("button", name="Commit…").click()
    page.get_by_label("Type its name").fill("web-02")
    page.get_by_role("button", name="Commit").click()
    page.wait_for_url("**/jobs/*")
    expect(page.locator("#job .figures")).to_contain_text("done", timeout=within(150) * 1000)
    assert web.machine("web-02").instance.trial is None
