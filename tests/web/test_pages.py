"""Every page, for everybody: who sees what, and that nothing in it is more than text."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from httpx2 import Response

from skinnybox.fleet.jobs import Condition, Job
from skinnybox.fleet.tokens import Role
from skinnybox.model import Report
from skinnybox.web import render
from tests.web.conftest import PART, SMALL, Console, word

VIEWERS = (
    "/",
    "/machines",
    "/machines/a",
    "/machines/a/changes",
    "/machines/a/snapshots",
    "/machines/a/history",
)
OPERATORS = ("/machines/a/console", "/machines/a/settings", "/machines/a/changes/file?path=etc/motd")
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>\u202e'


@pytest.fixture
def three(console: Console) -> Console:
    console.fleet.create(["a", "b"], "tiny", replace(SMALL, fleet="shop", labels=(("role", "web"),)))
    console.fleet.create(["c"], "tiny", SMALL)
    console.fleet.start(["a"])
    return console


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.ADMIN])
def test_who_sees_which_page(three: Console, role: Role) -> None:
    browser = three.browser(role)
    for path in VIEWERS + OPERATORS:
        answer = browser.get(path, follow_redirects=False)
        may = path in VIEWERS or role >= Role.OPERATOR
        assert answer.status_code == (200 if may else 403), path
        assert answer.headers["content-type"].startswith("text/html")
        assert "<title>" in answer.text and f"a {role}" in answer.text


def test_nobody_sees_anything_unknown(three: Console) -> None:
    stranger = three.browser(None)
    for path in VIEWERS + OPERATORS:
        answer = stranger.get(path, follow_redirects=False)
        assert answer.status_code == 303 and answer.headers["location"].startswith("/sign-in"), path


def test_a_viewer_is_offered_nothing_that_they_may_not_do(three: Console) -> None:
    viewer = three.browser(Role.VIEWER)
    for path in VIEWERS:
        text = viewer.get(path).text
        assert "/machines/do" not in text and "/deploy" not in text and 'name="names"' not in text


def test_what_a_viewer_sends_is_refused(three: Console) -> None:
    viewer = three.browser(Role.VIEWER)
    said = {"csrf": word(viewer), "names": "a", "do": "stop", "typed": "a", "memory": "1G", "cpus": "1"}
    for path in ("/machines/do", "/machines/a/settings", "/machines/a/snapshots", "/machines/a/snapshots/do"):
        assert viewer.post(path, data=said).status_code == 403
    assert str(three.fleet.machine("a").condition) == "ready"


def test_whoever_reaches_one_fleet_sees_no_other(three: Console) -> None:
    shop = three.browser(Role.OPERATOR, fleet="shop")
    assert "/machines/c" not in shop.get("/machines").text
    assert "/machines/a" in shop.get("/machines").text
    for path in ("", "/changes", "/console", "/settings", "/snapshots", "/history", "/changes/file?path=x"):
        assert shop.get(f"/machines/c{path}").status_code == 404
    for deed in ("start", "delete"):
        sent = {"csrf": word(shop), "names": "c", "do": deed, "typed": "c"}
        assert shop.post("/machines/do", data=sent).status_code == 404
    assert "more machines of" not in shop.get("/").text


class _Strict(HTMLParser):
    """What the policy refuses, and what would leave us."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self._in: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in = tag if tag in ("script", "style") else None
        for name, value in attrs:
            if name == "style" or (name.startswith("on") and tag != "svg"):
                self.wrong.append(f"<{tag} {name}>")
            if name in ("src", "href", "action", "hx-get", "hx-post") and not str(value).startswith(
                ("/", "#")
            ):
                self.wrong.append(f"<{tag} {name}={value}>")
            if name == "target":
                self.wrong.append(f"<{tag} target>")

    def handle_data(self, data: str) -> None:
        if self._in is not None and data.strip():
            self.wrong.append(f"<{self._in}>{data[:40]}")

    def handle_endtag(self, tag: str) -> None:
        self._in = None


@pytest.fixture
def answers(three: Console) -> dict[str, Response]:
    """Of every page, to somebody who sees all of it."""
    admin = three.browser(Role.ADMIN)
    found = {path: admin.get(path) for path in ("/none", *VIEWERS, *OPERATORS)}
    return {**found, "/sign-in": three.browser(None).get("/sign-in")}


def test_no_page_has_a_script_or_a_style_in_it(answers: dict[str, Response]) -> None:
    for path, answer in answers.items():
        parser = _Strict()
        parser.feed(answer.text)
        assert parser.wrong == [], path
        assert answer.headers["content-security-policy"] == render.POLICY
        assert answer.headers["cache-control"] == "no-store"
    assert "unsafe" not in render.POLICY and "http" not in render.POLICY


def test_every_page_is_whole_for_who_does_not_see_it(answers: dict[str, Response]) -> None:
    """A language, one heading of the first rank, a name for each input and button, a way to the content."""
    for path, answer in answers.items():
        _is_whole(answer.text, path)


def _is_whole(text: str, path: str) -> None:
    assert text.lstrip().startswith("<!DOCTYPE html>") and '<html lang="en"' in text
    assert len(re.findall(r"<h1[ >]", text)) == 1
    assert 'href="#main"' in text and 'id="main"' in text
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    named = set(re.findall(r'<label[^>]* for="([^"]+)"', text))
    for field in re.findall(r"<(?:input|select|textarea)\b[^>]*>", text):
        if 'type="hidden"' in field or 'aria-hidden="true"' in field or "aria-label=" in field:
            continue
        found = re.search(r'\bid="([^"]+)"', field)
        in_label = re.search(r"<label[^>]*>\s*" + re.escape(field), text)
        assert in_label or (found and found[1] in named), (path, field)


def test_what_a_guest_says_is_text(three: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    host = three.fleet._host
    real = host.reports

    def lying(uuids: object) -> object:
        return {uuid: _lies(report) for uuid, report in real(uuids).items()}  # type: ignore[arg-type]

    monkeypatch.setattr(host, "reports", lying)
    monkeypatch.setattr(host, "console_log", lambda uuid: HOSTILE.encode())
    admin = three.browser(Role.ADMIN)
    for path in VIEWERS + OPERATORS:
        text = admin.get(path).text
        assert "<script>alert" not in text and "<img" not in text and "\u202e" not in text, path
    assert "&lt;script&gt;" in admin.get("/machines/a").text


def _lies(report: Report) -> Report:
    return replace(
        report, addresses=(HOSTILE,), failed_units=(HOSTILE,), kernel=HOSTILE, ssh_host_keys=(HOSTILE,),
        reason=HOSTILE,
    )  # fmt: skip


def test_what_somebody_puts_into_an_address_is_text(three: Console) -> None:
    admin = three.browser(Role.ADMIN)
    for path in (
        f"/machines?q={HOSTILE}&label={HOSTILE}&state={HOSTILE}&sort={HOSTILE}", f"/machines/{HOSTILE}",
        f"/machines/a/changes?path={HOSTILE}", f"/machines/a/changes/file?path={HOSTILE}", f"/{HOSTILE}",
        f"/sign-in?next={HOSTILE}",
    ):  # fmt: skip
        text = admin.get(path).text
        assert "<script>alert" not in text and "<img" not in text, path


def test_what_goes_wrong_is_a_page_for_people_and_a_problem_for_programs(three: Console) -> None:
    admin = three.browser(Role.ADMIN)
    page = admin.get("/machines/none")
    assert page.status_code == 404 and "<h1>Not found</h1>" in page.text and "none" in page.text
    assert admin.get("/nowhere").status_code == 404 and "<h1>" in admin.get("/nowhere").text
    problem = admin.get("/machines/none", headers={"accept": "application/json"})
    assert problem.headers["content-type"] == "application/problem+json"
    part = admin.get("/machines/none/changes", headers=PART)
    assert "none" in part.text and "<" not in part.text


def test_a_script_that_is_not_signed_in_any_more_is_led_to_where_it_can(three: Console) -> None:
    answer = three.browser(None).get("/machines", headers=PART)
    assert answer.status_code == 401 and answer.headers["hx-redirect"] == "/sign-in"


def test_light_and_dark_are_chosen_without_scripts(console: Console) -> None:
    client = console.browser(None)
    for choice in ("dark", "light", "auto", "<script>"):
        client.post("/theme", data={"theme": choice, "back": "/sign-in"})
        kept = choice if choice != "<script>" else "auto"
        assert f'data-theme="{kept}"' in client.get("/sign-in").text


def test_jobs_are_told_on_every_page_and_only_to_whom_they_concern(three: Console) -> None:
    admin, shop = three.browser(Role.ADMIN), three.browser(Role.VIEWER, fleet="shop")
    three.fleet.kill(["c"])
    assert ">kill</b>" in admin.get("/machines/a/history").text
    strip = shop.get("/strip", headers=PART).text
    assert "<b>kill</b>" not in strip and "<b>token create</b>" not in strip and "<b>start</b>" in strip


def test_a_job_that_goes_on_comes_first_with_how_far_it_is(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = Job(
        number=1, verb="start", subjects=("<b>",), actor="x", origin="y", owner="z",
        begun="2026-11-26T20:00:00+00:00", condition=Condition.RUNNING,
        step={"task": "<i>", "done": 12, "total": 40, "unit": "machines", "detail": ""},
    )  # fmt: skip
    ended = replace(running, number=2, condition=Condition.FAILED, ended="2026-11-26T20:01:00+00:00")
    unknown = replace(running, number=3, step={"task": "copy <i>", "total": None})
    monkeypatch.setattr(console.fleet.jobs, "all", lambda *_: [running, unknown, ended])
    strip = console.browser(Role.VIEWER).get("/strip", headers=PART).text
    assert re.findall(r'href="/jobs/(\d)"', strip) == ["3", "1", "2"]
    assert "12/40" in strip and 'width="30"' in strip and "copy &lt;i&gt;" in strip
    assert "<b>&lt;b&gt;" not in strip and "<i>" not in strip and "&lt;b&gt;" in strip
