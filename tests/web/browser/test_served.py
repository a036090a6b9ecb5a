"""The very process that people start, by TLS: browsers keep its cookie, and its doors let our pages in."""

import ssl
from pathlib import Path

from playwright.sync_api import Browser, expect

from skinnybox.model import Master
from tests.pace import within
from tests.serve.conftest import a_token, certificate
from tests.serve.running import running
from tests.web.browser.life import deploy, ready


def test_four_machines_by_tls(chromium: Browser, state: Path, master: Master, tmp_path: Path) -> None:
    chain, key = certificate(tmp_path / "tls")
    secret = a_token(state, "operator")
    words = ["--tls-cert", str(chain), "--tls-key", str(key)]
    context = chromium.new_context(ignore_https_errors=True)
    context.set_default_timeout(within(20.0) * 1000)
    with running(state, *words, tls=ssl.create_default_context(cafile=str(chain))) as server:
        page = context.new_page()
        page.goto(f"https://localhost:{server.port}/")
        page.get_by_label("Your token").fill(secret)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
        [cookie] = [each for each in context.cookies() if "skinnybox" in each["name"]]
        assert (cookie["name"], cookie["secure"], cookie["httpOnly"]) == ("__Host-skinnybox", True, True)
        assert cookie["sameSite"] == "Strict"
        deploy(page, scripts=True)
        ready(page)
        page.get_by_role("button", name="Sign out").click()
        page.goto(f"https://localhost:{server.port}/machines")
        expect(page.get_by_label("Your token")).to_be_visible()
        context.close()
        assert server.end() == 0
