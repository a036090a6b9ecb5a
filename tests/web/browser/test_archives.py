"""A machine as files that a browser keeps, and sends again: plain forms, with scripts and without."""

from pathlib import Path

import pytest
from playwright.sync_api import Page

from skinnybox.fleet.service import Fleet
from skinnybox.fleet.tokens import Role
from tests.fleet.rebasing import has
from tests.fleet.test_disks import image
from tests.fleet.test_rebase import put, two_masters
from tests.web.browser import test_giving_back as giving_back
from tests.web.browser.conftest import Window
from tests.web.browser.console import Console
from tests.web.browser.test_giving_back import done
from tests.web.browser.test_rebase import faults

__all__ = ["two_masters"]
pytestmark = pytest.mark.full
web, console = giving_back.web, giving_back.console


def kept(page: Page, file: Path) -> Path:
    with page.expect_download() as coming:
        page.get_by_role("button", name="Download a backup").click()
    coming.value.save_as(file)
    return file


@pytest.mark.parametrize("scripts", [True, False])
def test_a_backup_an_increment_and_a_machine_of_both(
    console: Console, web: Fleet, window: Window, tmp_path: Path, pictures: Path | None, scripts: bool
) -> None:
    state = tmp_path / "state"
    page = window(scripts=scripts, width=1280 if scripts else 390)
    console.sign_in(page, Role.OPERATOR)
    page.goto(f"{console.url}/machines/web/settings")
    whole = kept(page, tmp_path / "sunday.tar.zst")
    put(image(state, web.machine("web").instance), "srv/later", "more")
    page.get_by_label("Since an earlier one").set_input_files(whole)
    increment = kept(page, tmp_path / "monday.tar.zst")
    page.goto(f"{console.url}/deploy")
    page.get_by_role("link", name="Of an archive…").click()
    found = faults(page, pictures, "restore-sent") if scripts else []
    page.get_by_label("Its name").fill("again")
    page.get_by_label("Another machine that has what that one made its own, beside it").check()
    page.get_by_label("The whole archive").set_input_files(whole)
    page.get_by_label("Increments").set_input_files(increment)
    page.get_by_role("button", name="Send and make it").click()
    assert done(console, page) == "create done"
    again = web.machine("again").instance
    assert (has(state, again, "srv/site/a"), has(state, again, "srv/later")) == ("mine", "more")
    assert found == []
