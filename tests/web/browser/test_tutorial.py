"""What docs/tutorial/browser.md goes through; its pictures are taken here, where they are asked for."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from playwright.sync_api import Page, expect

from skinnybox import run
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.tokens import Role
from skinnybox.hosts.fake.host import FakeHost
from tests.samples import seal
from tests.web.browser.conftest import Window
from tests.web.browser.console import Console, picture, served

pytestmark = pytest.mark.full
TUTORIAL = Path(__file__).parents[3] / "docs" / "tutorial" / "browser.md"
OWN = {
    "etc/apache2/sites-enabled/widgets.conf": "<VirtualHost *:80>\n  ServerName widgets.com\n"
    "  DocumentRoot /srv/www/widgets.com/public\n</VirtualHost>\n",
    "etc/apache2/apache2.conf": "Timeout 60\nKeepAlive On\nMaxKeepAliveRequests 400\nKeepAliveTimeout 5\n"
    "User www-data\nGroup www-data\nHostnameLookups Off\nErrorLog /var/log/apache2/error.log\n",
    "srv/www/widgets.com/public/index.html": "<h1>Widgets</h1>\n" * 400,
    "srv/www/widgets.com/public/logo.svg": "<svg/>\n" * 3000,
    "srv/www/widgets.com/public/prices.json": "{}\n" * 9000,
    "var/log/apache2/access.log": "192.0.2.1 - - GET / 200\n" * 3000,
    "var/lib/puppet/state/last_run_summary.yaml": "version: 4\n" * 30,
}


class Slow:
    """Who of the machines has come up by now."""

    def __init__(self) -> None:
        self.up: set[UUID] = set()
        self.all = threading.Event()

    def answers(self, uuid: UUID) -> bool:
        return self.all.is_set() or uuid in self.up


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def site(tmp_path: Path, slow: Slow) -> Iterator[Console]:
    """The masters web:1 and web:2 of a site, forty machines at work on the first."""
    state = tmp_path / "state"
    for version in ("1", "2"):
        tree = tmp_path / f"tree-web-{version}"
        for folder in ("etc/apache2", "usr/lib/skinnybox", "srv", "var/lib/dpkg"):
            (tree / folder).mkdir(parents=True)
        (tree / "etc/os-release").write_text('PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n')
        (tree / "etc/apache2/apache2.conf").write_text(
            "Timeout 300\nKeepAlive On\nMaxKeepAliveRequests 100\nKeepAliveTimeout 5\nUser www-data\n"
            "Group www-data\nHostnameLookups Off\nErrorLog /var/log/apache2/error.log\n"
        )
        (tree / "usr/lib/skinnybox/protocol").write_text("3\n")
        seal(state, tmp_path, "web", version, linux="6.1.0-28-amd64")
    with Fleet(state, FakeHost(state, slow.answers), boots_at_once=8) as fleet, served(fleet) as console:
        yield console


def write(overlay: Path, files: dict[str, str], scratch: Path) -> None:
    """As a guest would."""
    orders: list[str] = []
    for number, (path, content) in enumerate(files.items()):
        parts = path.split("/")
        orders += [f"mkdir /upper/{'/'.join(parts[:depth])}" for depth in range(1, len(parts))]
        (scratch / f"file-{number}").write_text(content)
        orders.append(f"write {scratch}/file-{number} /upper/{path}")
    (scratch / "orders").write_text("\n".join(dict.fromkeys(orders)) + "\n")
    run.run(["debugfs", "-w", "-f", scratch / "orders", overlay])


def test_a_fleet_from_the_browser(
    site: Console, slow: Slow, window: Window, pictures: Path | None, tmp_path: Path
) -> None:
    page = window(width=1120, height=720)
    site.sign_in(page, Role.OPERATOR)
    _deploy(page, pictures)
    machines = {machine.name: machine.instance.uuid for machine in site.fleet.machines()}
    slow.up |= {machines["web-01"], machines["web-02"], machines["web-03"]}
    expect(page.get_by_role("row", name="web-03")).to_contain_text("ready")
    expect(page.get_by_role("row", name="web-05")).to_contain_text("starting")
    picture(page, pictures, "console-job")
    slow.all.set()
    expect(page.locator("#job .figures")).to_contain_text("done")
    overlay = next((tmp_path / "state/instances").glob(f"{machines['web-02']}/overlay.img"))
    write(overlay, OWN, tmp_path)
    _look_into(page, site, pictures)
    page.goto(f"{site.url}/")
    picture(page, pictures, "console-overview")
    _on_a_phone(site, window, pictures)


def _deploy(page: Page, pictures: Path | None) -> None:
    page.get_by_role("link", name="Deploy", exact=True).click()
    page.get_by_label("What they boot from").select_option("web:1")
    page.get_by_label("Last").fill("40")
    page.get_by_label("Overlay", exact=True).fill("256M")
    page.get_by_label("Sparse overlays").check()
    page.get_by_label("Bridge").fill("br0")
    page.get_by_label("First address").fill("10.0.0.11/24")
    told = page.get_by_label("What will be made")
    expect(told).to_contain_text("10.0.0.50/24")
    page.evaluate("scrollTo(0, 0)")
    picture(page, pictures, "console-deploy")
    page.get_by_text("The same as a command or a fleet file").click()
    expect(told).to_contain_text("skinnybox create 'web-{01..40}'")
    page.get_by_role("button", name="Deploy 40 machines").click()
    page.wait_for_url("**/jobs/*")
    expect(page.get_by_role("row", name="web-01")).to_contain_text("starting")


def _look_into(page: Page, site: Console, pictures: Path | None) -> None:
    page.goto(f"{site.url}/machines/web-02/changes")
    for folder in ("srv/", "www/", "widgets.com/", "public/"):
        page.locator("summary", has_text=folder).click()
    expect(page.get_by_role("link", name="prices.json")).to_be_visible()
    picture(page, pictures, "console-changes")
    page.goto(f"{site.url}/machines/web-02/changes/file?path=etc/apache2/apache2.conf")
    lines = page.get_by_role("region", name="Lines")
    expect(lines).to_contain_text("MaxKeepAliveRequests 400")
    heights = lines.locator("tr").evaluate_all("rows => rows.map(row => row.getBoundingClientRect().height)")
    assert max(heights) < 40, "a line is as high as a line"
    picture(page, pictures, "console-diff")


def _on_a_phone(site: Console, window: Window, pictures: Path | None) -> None:
    page = window(width=390, height=780, dark=True)
    site.sign_in(page, Role.VIEWER)
    picture(page, pictures, "console-phone")


def test_every_picture_of_the_page_is_there() -> None:
    names = set(re.findall(r"\.\./pictures/(console-[a-z]+)\.png", TUTORIAL.read_text()))
    folder = TUTORIAL.parents[1] / "pictures"
    assert names == {file.stem for file in folder.glob("console-*.png")}
    assert {name: size for name in names if (size := (folder / f"{name}.png").stat().st_size) > 100_000} == {}
