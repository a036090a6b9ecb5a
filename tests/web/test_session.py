"""In by a token, with a cookie that is worth nothing elsewhere, and out again."""

import time
from datetime import timedelta

import pytest
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from skinnybox.fleet.tokens import Role
from skinnybox.gate import session
from skinnybox.gate.principal import SOCKET
from tests.web.conftest import BASE, PAGE, SMALL, Console, word


def test_who_is_not_signed_in_is_led_to_where_they_can_be_and_back(console: Console) -> None:
    stranger = console.browser(None)
    answer = stranger.get("/machines?state=ready", follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/sign-in?next=/machines%3Fstate%3Dready"
    _, secret = console.fleet.tokens.create("anna", Role.VIEWER)
    shown = stranger.get(answer.headers["location"])
    assert 'value="/machines?state=ready"' in shown.text
    answer = stranger.post(
        "/sign-in", data={"token": f" {secret}\n", "next": "/machines?state=ready"}, follow_redirects=False
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/machines?state=ready")


def test_the_cookie_has_all_its_flags(console: Console) -> None:
    client = console.browser(None)
    _, secret = console.fleet.tokens.create("anna", Role.VIEWER)
    answer = client.post("/sign-in", data={"token": secret}, follow_redirects=False)
    name, *flags = (part.strip().lower() for part in answer.headers["set-cookie"].split(";"))
    assert name.startswith("__host-skinnybox=")
    assert {"secure", "httponly", "samesite=strict", "path=/"} <= set(flags)
    assert not any(flag.startswith("domain") for flag in flags)
    assert secret not in answer.headers["set-cookie"] and secret.split("_")[2] not in name


def test_without_tls_it_has_a_name_that_browsers_keep(console: Console) -> None:
    plain = TestClient(console.app, base_url="http://127.0.0.1", headers=PAGE)
    _, secret = console.fleet.tokens.create("anna", Role.VIEWER)
    answer = plain.post("/sign-in", data={"token": secret}, follow_redirects=False)
    assert answer.headers["set-cookie"].startswith("skinnybox=")
    assert "httponly" in answer.headers["set-cookie"].lower()
    assert plain.get("/machines").status_code == 200


@pytest.mark.parametrize("said", ["", "sk_", "sk_aaaaaaaaaa_" + 43 * "A", "<script>"])
def test_a_wrong_token_is_told_and_lets_nobody_in(console: Console, said: str) -> None:
    client = console.browser(None)
    answer = client.post("/sign-in", data={"token": said})
    assert answer.status_code == 401 and "no token that is valid" in answer.text
    assert "set-cookie" not in answer.headers and "<script>" not in answer.text
    assert client.get("/machines", follow_redirects=False).status_code == 303


@pytest.mark.parametrize(
    "elsewhere",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a\nb"],
)
def test_nobody_is_led_elsewhere(console: Console, elsewhere: str) -> None:
    client = console.browser(None)
    _, secret = console.fleet.tokens.create("anna", Role.VIEWER)
    answer = client.post("/sign-in", data={"token": secret, "next": elsewhere}, follow_redirects=False)
    assert answer.headers["location"] == "/"


def test_a_revoked_token_ends_its_sessions_at_once(console: Console) -> None:
    client = console.browser(Role.ADMIN)
    assert client.get("/machines").status_code == 200
    [token] = console.fleet.tokens.all()
    console.fleet.tokens.revoke(token.id)
    assert client.get("/machines", follow_redirects=False).status_code == 303


def test_an_expired_token_ends_its_sessions(console: Console) -> None:
    client = console.browser(None)
    _, secret = console.fleet.tokens.create("anna", Role.VIEWER, lasts=timedelta(seconds=1))
    client.post("/sign-in", data={"token": secret})
    time.sleep(1.1)
    assert client.get("/machines", follow_redirects=False).status_code == 303


@pytest.mark.parametrize(("idle", "longest"), [(0, 10), (10, 0)])
def test_a_session_ends_that_is_idle_or_old(
    console: Console, monkeypatch: pytest.MonkeyPatch, idle: int, longest: int
) -> None:
    client = console.browser(Role.VIEWER)
    assert client.get("/machines", follow_redirects=False).status_code == 200
    monkeypatch.setattr(session, "IDLE", idle)
    monkeypatch.setattr(session, "LONGEST", longest)
    assert client.get("/machines", follow_redirects=False).status_code == 303


def test_a_page_that_is_used_keeps_its_session_and_one_left_alone_does_not(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = console.browser(Role.VIEWER)
    monkeypatch.setattr(session, "_NOTED", -1)
    assert "set-cookie" in client.get("/machines").headers
    asked_by_itself = client.get("/machines", headers={"hx-request": "true", "hx-target": "rows"})
    assert "set-cookie" not in asked_by_itself.headers


def test_a_cookie_that_somebody_changed_is_none(console: Console) -> None:
    client = console.browser(Role.VIEWER)
    text = client.cookies["__Host-skinnybox"]
    for wrong in (("A" if text[0] != "A" else "B") + text[1:], "", "x", text.replace(".", "")):
        other = TestClient(console.app, base_url=BASE, headers=PAGE, cookies={"__Host-skinnybox": wrong})
        assert other.get("/machines", follow_redirects=False).status_code == 303


def test_what_changes_something_must_come_from_a_page_of_the_session(console: Console) -> None:
    console.fleet.create(["a"], "tiny", SMALL)
    client, other = console.browser(Role.OPERATOR), console.browser(Role.OPERATOR)
    form = {"do": "start", "names": "a"}
    for said in ({}, {"csrf": ""}, {"csrf": "x"}, {"csrf": word(other)}):
        answer = client.post("/machines/do", data={**form, **said}, follow_redirects=False)
        assert answer.status_code == 403 and "not sent by a page of this session" in answer.text
    assert (
        console.fleet.jobs.all(running=True) == [] and str(console.fleet.machine("a").condition) == "stopped"
    )
    answer = client.post("/machines/do", data={**form, "csrf": word(client)}, follow_redirects=False)
    assert answer.status_code == 303
    header = {session.CSRF_HEADER: word(client)}
    assert client.post("/machines/do", data=form, headers=header, follow_redirects=False).status_code == 303


def test_the_same_holds_for_the_api_where_a_header_says_it(console: Console) -> None:
    client = console.browser(Role.ADMIN)
    sent = {"name": "anna", "role": "viewer"}
    asked = {"accept": "application/json"}
    before = len(console.fleet.tokens.all())
    assert client.post("/api/v1/tokens", json=sent, headers=asked).status_code == 403
    assert len(console.fleet.tokens.all()) == before
    asked[session.CSRF_HEADER] = word(client)
    assert client.post("/api/v1/tokens", json=sent, headers=asked).status_code == 201


def test_a_program_needs_no_word_and_a_wrong_one_beside_a_cookie_is_refused(console: Console) -> None:
    """Whoever says who they are in a header was not made to by a page."""
    client = console.browser(Role.ADMIN)
    answer = client.get(
        "/api/v1/about", headers={"authorization": "Bearer sk_no", "accept": "application/json"}
    )
    assert answer.status_code == 401


def test_who_guesses_is_told_to_wait_and_a_right_token_is_let_in_all_the_while(console: Console) -> None:
    client = console.browser(None)
    wrong = {"token": "sk_aaaaaaaaaa_" + 43 * "A"}
    found = [client.post("/sign-in", data=wrong).status_code for _ in range(12)]
    assert found[0] == 401 and found[-1] == 429
    assert "too many wrong tokens" in client.post("/sign-in", data=wrong).text
    _, secret = console.fleet.tokens.create("anna", Role.VIEWER)
    assert client.post("/sign-in", data={"token": secret}, follow_redirects=False).status_code == 303


def test_the_owner_needs_no_token_at_the_servers_own_socket(console: Console) -> None:
    console.fleet.create(["a"], "tiny", SMALL)

    async def by_the_socket(scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["door"] = SOCKET
        await console.app(scope, receive, send)

    owner = TestClient(by_the_socket, headers=PAGE)
    shown = owner.get("/machines")
    assert "owner" in shown.text and "Sign out" not in shown.text
    answer = owner.post("/machines/do", data={"do": "start", "names": "a"}, follow_redirects=False)
    assert answer.status_code == 303


def test_out_is_out(console: Console) -> None:
    client = console.browser(Role.VIEWER)
    client.post("/sign-out", data={"csrf": "x"})
    assert client.get("/machines", follow_redirects=False).status_code == 200
    shown = client.post("/sign-out", data={"csrf": word(client)})
    assert "You are signed out" in shown.text
    assert client.get("/machines", follow_redirects=False).status_code == 303
