"""Parts of a machine given back, in a browser: marked in folders that were opened, told, and done."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from skinnybox.fleet.service import Fleet
from skinnybox.fleet.tokens import Role
from tests.fleet.conftest import SPARSE, open_fake
from tests.fleet.test_disks import image
from tests.fleet.test_rebase import put, two_masters
from tests.web.browser.conftest import Window
from tests.web.browser.console import Console, served
from tests.web.browser.test_rebase import faults

__all__ = ["two_masters"]
pytestmark = pytest.mark.full


@pytest.fixture
def web(tmp_path: Path, two_masters: Path) -> Iterator[Fleet]:
    state = tmp_path / "state"
    shutil.copytree(two_masters, state)
    with open_fake(state) as fleet:
        [made] = fleet.create(["web"], "web:1", SPARSE)
        for path in ("srv/site/a", "srv/site/b", "other"):
            put(image(state, made), path, "mine")
        assert fleet.deltas is not None
        yield fleet


@pytest.fixture
def console(web: Fleet) -> Iterator[Console]:
    with served(web) as console:
        yield console


def done(console: Console, page: Page) -> str:
    """What became of the job whose page it is led to."""
    page.wait_for_url("**/jobs/*")
    job = list(console.fleet.jobs.followed(int(page.url.rpartition("/")[2])))[-1]
    return f"{job.verb} {job.condition}"


@pytest.mark.parametrize("scripts", [True, False])
def test_marked_told_and_given_back(
    console: Console, window: Window, pictures: Path | None, scripts: bool
) -> None:
    page = window(scripts=scripts, width=1280 if scripts else 390)
    console.sign_in(page, Role.OPERATOR)
    page.goto(f"{console.url}/machines/web/changes" + ("" if scripts else "?path=srv/site"))
    if scripts:
        page.get_by_text("srv/", exact=True).click()
        page.get_by_text("site/", exact=True).click()
    page.get_by_label("Mark /srv/site/a").check()
    found = faults(page, pictures, "changes-marked") if scripts else []
    page.get_by_role("button", name="Give back what is marked…").click()
    expect(page.get_by_role("heading", name="What would go")).to_be_visible()
    expect(page.get_by_text("/srv/site/a", exact=True)).to_be_visible()
    found += faults(page, pictures, "drop") if scripts else []
    page.get_by_role("button", name="Give it back").click()
    assert done(console, page) == "reset done"
    page.goto(f"{console.url}/machines/web/settings")
    found += faults(page, pictures, "settings-names") if scripts else []
    page.get_by_label("Names of copies").fill("web-{2..3}")
    page.get_by_role("button", name="Copy it").click()
    assert done(console, page) == "copy done"
    assert console.fleet.names() == ["web", "web-2", "web-3"] and found == []
