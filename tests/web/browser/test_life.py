"""A fleet's life in a browser, with scripts and without: deployed, looked into, reset, deleted."""

import pytest
from playwright.sync_api import expect

from skinnybox.fleet.jobs import Condition
from skinnybox.fleet.tokens import Role
from tests.web.browser.conftest import Window
from tests.web.browser.console import Console
from tests.web.browser.life import NAMES, all_of, deploy, ready


@pytest.mark.parametrize("scripts", [True, False])
def test_four_machines_from_the_first_to_the_last(console: Console, window: Window, scripts: bool) -> None:
    page = window(scripts=scripts)
    console.sign_in(page, Role.OPERATOR)
    deploy(page, scripts=scripts)
    ready(page)
    [job] = [job for job in console.fleet.jobs.all() if job.verb == "create"]
    assert (job.condition, job.actor, job.subjects) == (Condition.DONE, "the operator", tuple(NAMES))
    page.get_by_role("link", name="web-02").first.click()
    page.get_by_role("link", name="What it made its own").click()
    expect(page.locator("#delta")).to_contain_text("Nothing yet")
    page.get_by_role("link", name="Console", exact=True).click()
    expect(page.locator("#log")).to_contain_text("pretended guest ready")
    if scripts:
        expect(page.locator("#line-now")).to_contain_text("Connected")
        page.locator(".xterm-helper-textarea").type("hello, guest")
        expect(page.locator(".xterm-rows")).to_contain_text("hello, guest")
    all_of(page, "Stop")
    all_of(page, "Reset…")
    assert {machine.instance.seed.generation for machine in console.fleet.machines()} == {2}
    all_of(page, "Delete…")
    assert console.fleet.names() == []
