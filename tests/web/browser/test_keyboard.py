"""Everything by keys alone, and whose words are only text."""

import pytest
from playwright.sync_api import Page, expect

from skinnybox.fleet.jobs import Actor
from skinnybox.fleet.tokens import Role
from skinnybox.operation import Operation
from tests.fleet.conftest import SPARSE
from tests.web.browser.conftest import Window
from tests.web.browser.console import Console
from tests.web.browser.life import NAMES, ready

_MOST_TABS = 80
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"


def tab_to(page: Page, words: str) -> None:
    """Until the focus is on what is called so."""
    for _ in range(_MOST_TABS):
        page.keyboard.press("Tab")
        said: str = page.evaluate(
            "() => { const at = document.activeElement;"
            " return (at.labels && at.labels[0] || at).textContent.trim() }"
        )
        if said == words:
            return
    pytest.fail(f"no key leads to {words!r}")


def test_four_machines_by_keys(console: Console, window: Window) -> None:
    page = window()
    page.goto(console.url)
    expect(page.get_by_label("Your token")).to_be_focused()
    page.keyboard.type(console.secrets[Role.OPERATOR])
    page.keyboard.press("Enter")
    page.wait_for_url(f"{console.url}/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    tab_to(page, "Deploy")
    page.keyboard.press("Enter")
    page.wait_for_url("**/deploy")
    tab_to(page, "Overlay")
    page.keyboard.type("64M")
    tab_to(page, "Sparse overlays")
    page.keyboard.press("Space")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert console.fleet.names() == [], "Enter in a field makes nothing"
    tab_to(page, "Deploy 4 machines")
    page.keyboard.press("Enter")
    page.wait_for_url("**/jobs/*")
    ready(page)
    page.keyboard.press("j")
    expect(page.get_by_role("link", name=NAMES[0], exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/machines/{NAMES[0]}")


def test_what_strangers_say_runs_nowhere(console: Console, window: Window) -> None:
    def say(operation: Operation) -> None:
        operation.step(HOSTILE, done=1, total=2, detail=HOSTILE)
        operation.note(HOSTILE)
        operation.sleep(600)

    page = window()
    page.on("dialog", lambda dialog: pytest.fail(f"a script of a stranger ran: {dialog.message}"))
    console.sign_in(page)
    number = console.fleet.background.begin(Actor(name=HOSTILE, origin=HOSTILE), "say", [HOSTILE], say)
    page.goto(f"{console.url}/jobs/{number}")
    expect(page.locator("#log")).to_contain_text(HOSTILE)
    for there in ("/", "/jobs", "/audit", f"/jobs?word={HOSTILE}", f"/machines?q={HOSTILE}"):
        page.goto(console.url + there)
        expect(page.locator("h1")).to_be_visible()
    page.goto(f"{console.url}/files")
    page.get_by_label("The file", exact=True).fill(f"'{HOSTILE}': 1")
    page.get_by_role("button", name="Plan").click()
    expect(page.get_by_role("alert")).to_contain_text("img")
    console.fleet.jobs.cancel(number)


def test_a_page_asks_for_itself_while_its_job_goes_on(console: Console, window: Window) -> None:
    """The log grows at its end, what one has scrolled to stays, and it stops when the job has ended."""

    def talk(operation: Operation) -> None:
        for line in range(200):
            operation.note(f"line {line}")
        operation.sleep(2)
        operation.note("the last line")
        operation.sleep(2)

    page = window()
    console.sign_in(page)
    number = console.fleet.background.begin(Actor(name="a", origin="b"), "talk", [], talk)
    page.goto(f"{console.url}/jobs/{number}")
    expect(page.locator("#log")).to_contain_text("line 199")
    page.locator("#log").evaluate("log => { log.scrollTop = 40 }")
    expect(page.locator("#job")).to_contain_text("done")
    expect(page.locator("#log")).to_contain_text("the last line")
    text: str = page.locator("#log").evaluate("log => log.textContent")
    assert text.splitlines() == [*(f"line {line}" for line in range(200)), "the last line"]
    assert page.locator("#log").evaluate("log => log.scrollTop") == 40
    assert page.locator("#job").get_attribute("hx-trigger") is None


_LATE = """
const Real = window.WebSocket;
window.is_open = new Promise((tell) => {
  window.WebSocket = class extends Real {
    get readyState() { return this.late ? super.readyState : 0; }
    set onopen(act) { super.onopen = (event) => tell(() => { this.late = true; act(event); }); }
  };
});
"""
"""It is connected when the test says so, however slow the machine is."""


def test_what_is_typed_before_the_console_is_connected_is_not_lost(console: Console, window: Window) -> None:
    console.fleet.create(["a"], "tiny", SPARSE)
    console.fleet.start(["a"])
    page = window()
    page.add_init_script(_LATE)
    console.sign_in(page, Role.OPERATOR)
    page.goto(f"{console.url}/machines/a/console")
    line = page.locator(".xterm-helper-textarea")
    line.wait_for(state="attached")
    expect(page.locator("#line-now")).not_to_contain_text("Connected")
    line.type("typed early")
    expect(page.locator("#line-now")).not_to_contain_text("Connected")
    page.evaluate("async () => (await window.is_open)()")
    expect(page.locator("#line-now")).to_contain_text("Connected")
    expect(page.locator(".xterm-rows")).to_contain_text("typed early")
