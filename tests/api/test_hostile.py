"""What is sent to break something: it is refused, quickly, and in the one form that errors have."""

import itertools
import json
import time
from typing import Any
from urllib.parse import quote

import pytest

from skinnybox.fleet import present
from skinnybox.fleet.service import Fleet
from skinnybox.gate import readings
from tests.api.conftest import Api
from tests.fleet.conftest import SPARSE

SMALL: dict[str, Any] = {"master": "tiny", "overlay": "64M", "sparse": True, "memory": "256M"}
NAMES = (
    "..", "../../etc/passwd", "..%2f..%2fetc%2fpasswd", "a/b", "a\0b", "a\nb", "A", "*", "a-{1..2}", "\u202e",
    "\U0001f600", "x" * 300, "-rf", "a'; DROP TABLE instances; --", "{{7*7}}", "%00",
)  # fmt: skip


@pytest.mark.parametrize("path", ["/machines/{}", "/machines/{}/changes", "/machines/{}/console-log",
                                  "/masters/{}", "/tokens/{}", "/jobs/{}"])  # fmt: skip
def test_no_name_leads_anywhere(admin: Api, path: str) -> None:
    method = "DELETE" if path.startswith("/tokens") else "GET"
    for name in NAMES:
        answer = admin.ask(method, path.format(quote(name, safe="")))
        assert answer.status_code in (400, 404, 405, 422, 307), (name, answer.text)
        assert answer.status_code == 307 or answer.headers["content-type"] == "application/problem+json"


PATTERNS: tuple[list[str], ...] = (
    ["web-{1..999999999}"], ["{a,b}" * 30], ["web-{1..5001}"], ["{" * 900], ["a{1..2}" * 100],
    ["x" * 5000],
    ["../x"], ["a\0"], ["\ud800"], ["{9..1}"], [""], [], ["a", "a"], [f"m{n}" for n in range(2000)],
    ["web-{1.." + "9" * 60 + "}"],
)  # fmt: skip


def test_no_pattern_explodes(operator: Api) -> None:
    began = time.monotonic()
    for names in PATTERNS:
        _refused(operator, names)
    assert time.monotonic() - began < 60
    assert operator.get("/machines")["total"] == 0


def _refused(operator: Api, names: list[str]) -> None:
    for path, body in (("/machines", {**SMALL, "names": names}), ("/preview", {**SMALL, "names": names}),
                       ("/actions/kill", {"names": names})):  # fmt: skip
        answer = operator.ask(
            "POST", path, content=json.dumps(body), headers={"content-type": "application/json"}
        )
        assert answer.status_code in (400, 404, 422), (names, answer.text)


GLOBS = ("*" * 200, "[" * 200, "*a" * 100, "[!a-z]*" * 28, "[z-a]", "[\\]")


def test_no_glob_takes_long(fleet: Fleet, viewer: Api, operator: Api) -> None:
    fleet.create(["a" * 60 + "{1..3}"], "tiny", SPARSE)
    began = time.monotonic()
    for glob in GLOBS:
        assert viewer.ask("GET", f"/machines?name={quote(glob)}").status_code == 200
        waiting = operator.ask("POST", "/actions/wait", json={"names": [glob], "timeout": 0.1})
        assert waiting.status_code in (202, 400, 404)
        assert viewer.ask("GET", f"/snapshots?name={quote(glob)}").status_code in (200, 400, 404)
    assert time.monotonic() - began < 60


SAID: tuple[dict[str, Any], ...] = (
    {"memory": 10**400}, {"memory": -1}, {"cpus": 1e308}, {"cpus": True}, {"cpus": "9" * 4000},
    {"memory": "9" * 4000 + "T"}, {"memory": "1e9G"}, {"labels": {"a": "\ud800"}},
    {"labels": {"a": "\0"}},
    {"labels": {f"k{n}": "" for n in range(33)}}, {"labels": {"a": "x" * 129}}, {"dns": [[[["x"]]]]},
    {"run_once": "\ud800"}, {"files": [{"target": "../etc", "content": "x"}]},
    {"files": [{"target": "/x", "content": "\ud800"}]},
    {"users": [{"name": "root", "password_hash": "\n"}]},
    {"forwards": ["99999:1"]}, {"bridge": "a\0b"}, {"timezone": "../../etc/passwd"}, {"state": "running"},
    {"__proto__": 1}, {"ssh_keys": ["x" * 100_000]},
    {"user_data": "\ud83d"}, {"locale": "\ud83d"}, {"ntp": ["\ud83d"]}, {"\ud83d": 1},
)  # fmt: skip


def test_nothing_that_is_said_of_a_machine_is_a_bug_of_ours(operator: Api) -> None:
    for said, path in itertools.product(SAID, ("/preview", "/machines")):
        content = json.dumps({**SMALL, "names": ["a"], **said})
        answer = operator.ask("POST", path, content=content, headers={"content-type": "application/json"})
        assert answer.status_code in (400, 422), (said, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
    assert operator.get("/jobs")["total"] == 0


def test_no_depth_is_a_bug_of_ours(operator: Api) -> None:
    key = {"idempotency-key": "deep", "content-type": "application/json"}
    for depth in (20, 900, 3000):
        for body in ("[" * depth + "]" * depth, '{"names": ["a"], "dns": ' + "[" * depth + "]" * depth + "}"):
            answer = operator.ask("POST", "/machines", content=body, headers=key)
            assert answer.status_code in (400, 422), answer.text


def test_a_text_that_is_none_is_refused_wherever_it_stands(admin: Api) -> None:
    half = "\ud800"
    for method, path, body in (
        ("POST", "/fleet-files/plan", {"text": half}), ("POST", "/tokens", {"name": half, "role": "viewer"}),
        ("POST", "/builds", {"reference": "x", "recipe": half}), ("PATCH", "/machines/a", {"bridge": half}),
        ("POST", "/imports", {"reference": "x", "source": f"/{half}"}),
        ("POST", "/builds", {"reference": "x", "packages": [half]}),
        ("POST", "/actions/set", {"names": ["a"], "changes": {"labels": {half: None}}}),
        ("POST", "/actions/start", {"names": [half]}), ("POST", "/actions/start", {"names": ["a"], half: 1}),
    ):  # fmt: skip
        answer = admin.ask(
            method, path, content=json.dumps(body), headers={"content-type": "application/json"}
        )
        assert answer.status_code in (400, 404, 422), (path, answer.text)
        answer.json()


def test_a_misspelt_filter_lets_nothing_through(viewer: Api) -> None:
    wrong = viewer.ask("GET", "/machines?nmae=web-*")
    assert (wrong.status_code, "name" in wrong.json()["hint"]) == (400, True)
    assert viewer.ask("GET", "/machines?sort=name&sort=memory").status_code == 400


def test_no_yaml_means_a_million_values(operator: Api) -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(9)
    )
    began = time.monotonic()
    for text in (bomb, "[" * 5000, "!!python/object/apply:os.system ['true']", "a: " + "x" * 900_000, "\0"):
        answer = operator.ask("POST", "/fleet-files/plan", json={"text": text})
        assert answer.status_code == 400, answer.text
    assert time.monotonic() - began < 60  # each of them by itself would take hours, or all memory


def test_who_looks_much_does_not_keep_the_others_waiting(
    viewer: Api, operator: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert operator.done("/machines", {**SMALL, "names": ["a"]})["state"] == "done"
    monkeypatch.setattr(readings, "_WAIT", 0.05)
    with readings.reading(), readings.reading():
        busy = viewer.ask("GET", "/machines/a/changes")
        assert (busy.status_code, busy.headers["retry-after"]) == (503, "5")
        assert viewer.ask("GET", "/machines/a").status_code == 200
    assert viewer.ask("GET", "/machines/a/changes").status_code == 200


def test_the_form_of_a_machine_is_all_that_is_told_of_it() -> None:
    from skinnybox.api.machine_form import Machine

    assert set(Machine.model_fields) == {*present.machine_fields(), "fleet", "revision"}
