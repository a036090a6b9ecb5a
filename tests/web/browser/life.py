"""What is done with four machines in a browser: on the fake host, and on real ones (tests/boot)."""

from playwright.sync_api import Page, expect

NAMES = ["web-01", "web-02", "web-03", "web-04"]


def deploy(page: Page, *, scripts: bool, overlay: str = "64M", memory: str = "256M") -> None:
    """From the form to the page of its job."""
    page.get_by_role("link", name="Deploy", exact=True).click()
    page.get_by_label("Prefix").fill("web-")
    page.get_by_label("First", exact=True).fill("1")
    page.get_by_label("Last").fill("4")
    page.get_by_label("Overlay", exact=True).fill(overlay)
    page.get_by_label("Memory").fill(memory)
    page.get_by_label("Sparse overlays").check()
    if not scripts:
        page.get_by_role("button", name="Preview").click()
    told = page.get_by_label("What will be made")
    expect(told.get_by_role("row")).to_have_count(5)
    expect(told).to_contain_text("web-04")
    page.get_by_role("button", name="Deploy 4 machines").click()
    page.wait_for_url("**/jobs/*")


def ready(page: Page, seconds: float | None = None) -> None:
    """The page of the job tells it by itself."""
    wait = None if seconds is None else seconds * 1000
    for name in NAMES:
        expect(page.get_by_role("row", name=name)).to_contain_text("ready", timeout=wait)
    expect(page.locator("#job")).to_contain_text("done", timeout=wait)


def all_of(page: Page, deed: str, seconds: float | None = None) -> None:
    """To all machines, from their list; asked again where it loses something. Until its job is done."""
    page.get_by_role("link", name="Machines", exact=True).first.click()
    for name in NAMES:
        page.get_by_label(f"Mark {name}").check()
    page.get_by_role("button", name=deed).click()
    if deed.endswith("…"):
        page.get_by_label("Type how many they are").fill("4")
        page.get_by_role("button", name=deed.removesuffix("…")).click()
    page.wait_for_url("**/jobs/*")
    wait = None if seconds is None else seconds * 1000
    expect(page.locator("#job .figures")).to_contain_text("done", timeout=wait)
