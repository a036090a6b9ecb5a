"""Every page, in light, dark and narrow: nothing serious that axe finds, no scrolling sideways."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.settings import Settings
from skinnybox.fleet.specification import Specification
from skinnybox.fleet.tokens import Role
from skinnybox.model import Allocation, Overlay
from skinnybox.sizes import MIB
from tests.layered import planted
from tests.samples import seal
from tests.web.browser.conftest import Window
from tests.web.browser.console import Console, picture, served, violations

BATCH = "overlay=2G&memory=512M&cpus=1&digits=2&start=1"
PAGES = {
    "overview": "/",
    "machines": "/machines",
    "machine": "/machines/web-01",
    "deploy": "/deploy",
    "deploy-refused": f"/deploy?prefix=web-&first=1&last=400&master=tiny:2&{BATCH}",
    "masters": "/masters",
    "master": "/masters/tiny:1",
    "master-diff": "/masters/diff?one=tiny:1&other=tiny:2",
    "master-packages": "/masters/tiny:1/packages",
    "master-new": "/masters/new",
    "master-remove": "/masters/tiny:1/remove",
    "layer": "/layers/site:1",
    "layer-new": "/layers/new",
    "fleet-files": "/files",
    "jobs": "/jobs",
    "job": "/jobs/1",
    "audit": "/audit",
    "tokens": "/tokens",
    "token-revoke": "/tokens/{token}/revoke",
}
FURTHER = {
    "master-edit": "/masters/tiny:1/edit",
    "layers": "/layers",
    "layer-remove": "/layers/site:1/remove",
    "machine-settings": "/machines/web-01/settings",
    "machine-promotion": "/machines/web-01/promotion",
    "restore": "/restore",
}
"""Made as those are: looked at in the long run, dark and narrow."""
FILE = """\
version: 1
fleet: widgets
defaults: {master: tiny, memory: 256M, overlay: 64M, sparse: true}
machines:
  shop-{1..3}: {state: running}
  web-01: {memory: 1G}
"""
full = pytest.mark.full
LOOKS = [
    pytest.param("light", 1280, False),
    pytest.param("dark", 1280, True, marks=full),
    pytest.param("narrow", 390, False, marks=full),
]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Some forty machines, most of them running, a few of another master."""
    folder = tmp_path_factory.mktemp("pages")
    for version in ("1", "2"):
        seal(folder / "state", folder, "tiny", version)
    small = Specification(
        overlay=Overlay(size=64 * MIB, allocation=Allocation.SPARSE),
        memory=256 * MIB,
        labels=(("role", "web"),),
    )
    with open_fleet(Settings(state=folder / "state", host="fake", parallel=16)) as opened:
        planted(folder / "site", {"srv/index.html": "hello"})
        opened.layers.import_tree(folder / "site", "site:1", above="tiny:1")
        opened.create(["web-{01..36}"], "tiny:1", replace(small, layers=("site",)))
        opened.create(["db-{1..4}"], "tiny:2", small)
        opened.start(["web-{01..30}", "db-{1..3}"])
        yield opened


@pytest.fixture(scope="module")
def crowded(many: Fleet) -> Iterator[Console]:
    with served(many) as console:
        yield console


@pytest.mark.parametrize(("look", "width", "dark"), LOOKS)
def test_how_pages_look(
    crowded: Console, window: Window, pictures: Path | None, look: str, width: int, dark: bool
) -> None:
    page = window(width=width, dark=dark)
    page.goto(f"{crowded.url}/sign-in")
    found = _faults(page, pictures, f"sign-in-{look}")
    crowded.sign_in(page, Role.ADMIN)
    [token, *_] = crowded.fleet.tokens.all()
    for name, there in (PAGES if look == "light" else {**PAGES, **FURTHER}).items():
        page.goto(crowded.url + there.format(token=token.id))
        found += _faults(page, pictures, f"{name}-{look}")
    page.goto(f"{crowded.url}/files")
    page.get_by_label("The file", exact=True).fill(FILE)
    page.get_by_role("button", name="Plan").click()
    expect(page.get_by_role("table")).to_be_visible()
    found += _faults(page, pictures, f"plan-{look}")
    assert found == []


def _faults(page: Page, pictures: Path | None, name: str) -> list[str]:
    """A page that is not there has no heading of its own."""
    expect(page.locator("h1")).not_to_have_text(re.compile("Not found|went wrong"))
    picture(page, pictures, name, whole=name.endswith("narrow"))
    found = violations(page)
    wide: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return [f"{name}: {each}" for each in (*found, *([f"{wide} pixels too wide"] if wide else []))]
