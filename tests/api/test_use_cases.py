"""The use cases of the command line, asked for over the network."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from skinnybox.fleet.service import Fleet
from skinnybox.fleet.tokens import Role
from skinnybox.sizes import MIB
from tests.api.conftest import Api, as_who
from tests.layered import planted

SMALL: dict[str, Any] = {"master": "tiny", "overlay": "64M", "sparse": True, "memory": "256M"}


def made(api: Api, *names: str, **more: Any) -> Any:
    job = api.done("/machines", {**SMALL, "names": list(names), **more})
    assert job["state"] == "done", job
    return job


def test_machines_are_made_started_looked_at_and_deleted(operator: Api) -> None:
    body = {**SMALL, "names": ["web-{1..3}"], "labels": {"role": "web"}, "start": True}
    preview = operator.post("/preview", body)
    assert [each["name"] for each in preview["machines"]] == ["web-1", "web-2", "web-3"]
    assert (preview["refusal"], preview["promised"]) == (None, 3 * 64 * MIB)
    answer = operator.ask("POST", "/machines", json=body)
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/api/v1/jobs/{answer.json()['job']}"
    job = operator.ended(answer.json()["job"])
    assert (job["verb"], job["state"], job["done"], job["origin"]) == ("create", "done", 3, None)
    assert [row["state"] for row in operator.get("/machines")["items"]] == ["ready"] * 3
    refused = operator.done("/actions/delete", {"names": ["web-*"]})
    assert (refused["state"], refused["failed"]) == ("failed", 3)
    assert operator.done("/actions/stop", {"names": ["web-{1..2}"]})["state"] == "done"
    assert operator.done("/actions/kill", {"names": ["*"], "filter": ["state=ready"]})["subjects"] == [
        "web-3"
    ]
    assert operator.done("/actions/delete", {"names": ["*"], "filter": ["role=web"]})["done"] == 3
    assert operator.get("/machines") == {"items": [], "total": 0}
    again = operator.done("/machines", {**SMALL, "names": ["a"]})
    taken = operator.done("/machines", {**SMALL, "names": ["a"]})
    assert (again["state"], taken["state"]) == ("done", "failed")
    assert "taken" in taken["error"]


def test_lists_are_narrowed_sorted_and_cut_into_pages(viewer: Api, operator: Api) -> None:
    made(operator, "web-{1..5}", memory="512M", labels={"tier": "a"})
    made(operator, "db")
    assert operator.done("/actions/start", {"names": ["web-1", "db"]})["state"] == "done"

    def names(query: str) -> list[str]:
        return [row["name"] for row in viewer.get(f"/machines?{query}")["items"]]

    assert names("name=web-*&state=ready") == ["web-1"]
    assert names("state=ready&state=stopped&sort=-name&limit=2") == ["web-5", "web-4"]
    assert names("sort=memory&limit=1") == ["db"]
    assert names("sort=-boot&limit=2") == ["db", "web-1"]
    assert names("filter=tier%3Da&filter=state%3Dstopped") == ["web-2", "web-3", "web-4", "web-5"]
    assert names("filter=tier%3Db") == names("name=nothing-*") == names("fleet=other") == []
    assert len(names("master=tiny")) == len(names("master=tiny:1")) == 6 and names("master=tin") == []
    seen, url = [], "/machines?limit=4&name=*"
    for _ in range(2):
        answer = viewer.ask("GET", url)
        seen += [row["name"] for row in answer.json()["items"]]
        assert answer.json()["total"] == 6
        link = answer.links.get("next", {}).get("url")
        url = (link or "").removeprefix("/api/v1")
    assert seen == ["db", "web-1", "web-2", "web-3", "web-4", "web-5"]
    assert "prev" in answer.links and "next" not in answer.links


def test_a_machine_is_changed_as_it_was_seen_or_not_at_all(operator: Api) -> None:
    made(operator, "a")
    first = operator.ask("GET", "/machines/a")
    tag = first.headers["etag"]
    assert tag == f'"{first.json()["revision"]}"'
    change = {"memory": "1G", "cpus": 2, "labels": {"x": "y"}, "autostart": True, "protected": True}
    good = operator.ask("PATCH", "/machines/a", json=change, headers={"if-match": tag})
    assert good.status_code == 200, good.text
    assert {key: good.json()[key] for key in change} == {**change, "memory": 1 << 30}
    assert good.headers["etag"] != tag
    late = operator.ask("PATCH", "/machines/a", json={"memory": "2G"}, headers={"if-match": tag})
    assert (late.status_code, late.json()["title"]) == (412, "Outdated")
    weak = operator.ask("PATCH", "/machines/a", json={"memory": "2G"}, headers={"if-match": f"W/{tag}"})
    assert weak.status_code == 412
    assert operator.get("/machines/a")["memory"] == 1 << 30
    free = operator.ask("PATCH", "/machines/a", json={"labels": {"x": None}, "protected": False})
    assert (free.json()["labels"], free.json()["protected"]) == ({}, False)
    for more in (
        {"swap": "zram", "memory": "512M"}, {"swap": None}, {"data": {"size": "64M", "folders": ["/data"]}},
        {"forwards": ["8080:80"]}, {"network": "open"}, {"bridge": "br0", "forwards": []},
        {"network": "default"},
    ):  # fmt: skip
        assert operator.ask("PATCH", "/machines/a", json=more).status_code == 200, more
    for bad in (
        {}, {"memory": "1K"}, {"cpus": 0}, {"nmae": "b"}, {"data": "1G", "cpus": 1}, {"fleet": "x"},
        {"labels": {"": "x"}}, {"labels": {"": None}}, {"network": "bridge"}, {"ssh_port": 1},
        {"swap": "banana"},
    ):  # fmt: skip
        assert operator.ask("PATCH", "/machines/a", json=bad).status_code in (400, 422), bad


def test_what_is_done_to_disks(operator: Api, viewer: Api) -> None:
    made(operator, "a", "b")
    assert operator.done("/actions/snapshot", {"names": ["a", "b"], "label": "before"})["done"] == 2
    [first, _] = viewer.get("/snapshots")["items"]
    assert (first["name"], first["label"]) == ("a", "before")
    assert viewer.get("/snapshots?name=b")["total"] == 1
    assert operator.done("/actions/restore", {"names": ["a"], "label": "before"})["state"] == "done"
    assert operator.done("/actions/delete-snapshot", {"names": ["a"], "label": "before"})["state"] == "done"
    assert operator.done("/actions/grow", {"names": ["a"], "size": "96M"})["state"] == "done"
    assert operator.get("/machines/a")["overlay"] == 96 * MIB
    assert operator.done("/actions/reset", {"names": ["a"]})["state"] == "done"
    assert operator.done("/actions/set", {"names": ["*"], "changes": {"cpus": 2}})["done"] == 2
    assert viewer.get("/machines/a/changes?include_seed=true")["total"] >= 0
    summary = viewer.get("/machines/a/changes/summary")
    assert viewer.get("/machines/a/changes?against=b")["items"] == []
    assert viewer.ask("GET", "/machines/a/changes?against=a").status_code == 400
    assert viewer.ask("GET", "/machines/a/changes?against=alien").status_code == 404
    assert summary["name"] == "a" and summary["facts"] == [] and len(summary["groups"]) == 7
    lines = viewer.ask("GET", "/machines/a/changes", headers={"accept": "application/x-ndjson"})
    assert lines.headers["content-type"].startswith("application/x-ndjson")
    assert [json.loads(line) for line in lines.text.splitlines()] == viewer.get("/machines/a/changes")[
        "items"
    ]
    whole = {row["what"]: row["size"] for row in viewer.get("/machines/a/usage")}
    assert 0 < whole["free"] < whole["size"] <= 96 * MIB


def test_what_runs_is_looked_at(operator: Api, viewer: Api) -> None:
    made(operator, "a", forwards=["8080:80"], start=True)
    assert [row["port"] for row in viewer.get("/forwards")["items"]] == [8080]
    assert [row["name"] for row in viewer.get("/load")] == ["a"]
    assert operator.done("/actions/wait", {"names": ["a"]})["state"] == "done"
    assert operator.done("/actions/restart", {"names": ["a"]})["state"] == "done"
    told = [event["event"] for event in viewer.get("/events?machine=a")["items"]]
    assert told[:2] == ["started", "ready"] and len(told) > 4
    last = viewer.get("/events")["items"][-1]["number"]
    assert viewer.get(f"/events?after={last}")["total"] == 0
    log = operator.ask("GET", "/machines/a/console-log")
    assert (log.status_code, log.headers["content-type"]) == (200, "application/octet-stream")


def test_masters_are_looked_at_verified_and_removed(admin: Api, operator: Api, viewer: Api) -> None:
    made(operator, "a")
    [row] = viewer.get("/masters")["items"]
    assert (row["master"], row["machines"], "folder" in row) == ("tiny:1", ["a"], False)
    assert viewer.get("/masters/tiny") == viewer.get(f"/masters/{row['id']}") == row
    assert viewer.get("/masters/tiny:1/differences?to=tiny")["total"] == 0
    assert operator.done("/masters/tiny/verify")["state"] == "done"
    needed = admin.ended(admin.ask("DELETE", "/masters/tiny").json()["job"])
    assert (needed["state"], "is the master of" in needed["error"]) == ("failed", True)
    assert operator.done("/actions/delete", {"names": ["a"]})["state"] == "done"
    assert admin.get("/garbage")["total"] == 0
    assert [item["name"] for item in admin.get("/garbage?keep=0")["items"]] == ["tiny:1"]
    assert admin.done("/garbage/collect", {"keep": 0})["state"] == "done"
    assert viewer.ask("GET", "/masters/tiny").status_code == 404
    assert admin.done("/imports", {"reference": "x", "source": "/nowhere"})["state"] == "failed"
    assert admin.done("/builds", {"reference": "x", "recipe": "scripts: 1"})["state"] == "failed"


def test_layers_are_made_looked_at_verified_and_removed(
    admin: Api, operator: Api, viewer: Api, tmp_path: Path
) -> None:
    planted(tmp_path / "site", {"index.html": "hello"})
    body = {"reference": "site:1", "above": "tiny", "source": str(tmp_path / "site"), "at": "/srv/www"}
    assert operator.ask("POST", "/layers/imports", json=body).status_code == 403
    assert admin.done("/layers/imports", body)["state"] == "done"
    made(operator, "a", layers=["site"])
    [row] = viewer.get("/layers")["items"]
    assert (row["layer"], row["master"], row["machines"]) == ("site:1", "tiny:1", ["a"])
    assert "folder" not in row and viewer.get("/layers?name=other")["total"] == 0
    assert viewer.get("/layers/site") == viewer.get(f"/layers/{row['id']}") == row
    assert operator.done("/layers/site/verify")["state"] == "done"
    needed = admin.ended(admin.ask("DELETE", "/layers/site").json()["job"])
    assert (needed["state"], "is a layer of a" in needed["error"]) == ("failed", True)
    assert operator.done("/actions/delete", {"names": ["a"]})["state"] == "done"
    assert admin.ended(admin.ask("DELETE", "/layers/site").json()["job"])["state"] == "done"
    assert viewer.ask("GET", "/layers/site").status_code == 404
    build = {"reference": "b:1", "above": "tiny", "recipe": "packages: [vim]"}
    assert "may hold copy and scripts" in admin.done("/layers/builds", build)["error"]


def test_fleet_files_are_planned_and_applied(operator: Api) -> None:
    text = "version: 1\nfleet: shop\nmachines:\n  web-{1..2}: {master: tiny, overlay: 64M, sparse: true}\n"
    plan = operator.post("/fleet-files/plan", {"text": text})
    assert [(row["action"], row["name"]) for row in plan["actions"]] == [
        ("create", "web-1"),
        ("create", "web-2"),
    ]
    assert operator.done("/fleet-files/apply", {"text": text})["state"] == "done"
    assert operator.post("/fleet-files/plan", {"text": text})["actions"] == []
    assert operator.get("/machines/web-1")["fleet"] == "shop"
    less = text.replace("web-{1..2}", "web-1")
    assert operator.post("/fleet-files/plan", {"text": less})["extras"] == ["web-2"]
    pruned = operator.done("/fleet-files/apply", {"text": less, "prune": True})
    assert (pruned["state"], pruned["subjects"]) == ("done", ["web-2"])
    wrong = operator.ask("POST", "/fleet-files/plan", json={"text": "version: 1\nfleet: x\nmachines: 3\n"})
    assert wrong.status_code == 400 and "fleet file:3" in wrong.json()["detail"]
    assert operator.get("/fleet-files/schema")["title"] == "Skinnybox fleet file"


def test_jobs_and_who_asked_for_them(admin: Api, operator: Api, viewer: Api) -> None:
    made(operator, "a", "b")
    assert operator.done("/actions/start", {"names": ["a"]})["state"] == "done"
    assert [row["verb"] for row in viewer.get("/jobs")["items"]] == ["start", "create"]
    assert [row["verb"] for row in viewer.get("/jobs?machine=b&state=done")["items"]] == ["create"]
    [row] = admin.get("/audit?verb=start")["items"]
    assert row["actor"] == "operator" and row["origin"].startswith("testclient, token ")
    assert [row["verb"] for row in admin.get("/audit")["items"]][2:] == ["token create"] * 3
    ended = operator.ask("POST", f"/jobs/{row['job']}/cancel")
    assert (ended.status_code, ended.json()["title"]) == (409, "Conflict")
    assert viewer.ask("GET", "/jobs/4000").status_code == 404


def test_a_job_is_cancelled(fleet: Fleet, operator: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    from skinnybox.fleet import power
    from skinnybox.operation import Operation

    made(operator, "a")

    def slow(*given: Any) -> None:
        operation = given[-1]
        assert isinstance(operation, Operation)
        operation.sleep(60)

    monkeypatch.setattr(power, "start", slow)
    number = operator.post("/actions/start", {"names": ["a"]})["job"]
    assert operator.ask("POST", f"/jobs/{number}/cancel").status_code == 202
    assert operator.ended(number)["state"] == "cancelled"


def test_tokens_are_made_and_revoked_and_may_no_more_than_their_makers(fleet: Fleet, admin: Api) -> None:
    made_ = admin.post("/tokens", {"name": "eve", "role": "viewer", "lasts": 3600})
    eve = Api(admin.client, made_["secret"])
    assert eve.get("/about")["role"] == "viewer"
    assert "secret" not in admin.get("/tokens")["items"][-1]
    assert admin.ask("DELETE", f"/tokens/{made_['token']}").status_code == 204
    assert eve.ask("GET", "/about").status_code == 401
    only = as_who(fleet, admin.client, Role.ADMIN, "shop")
    assert only.ask("POST", "/tokens", json={"name": "x", "role": "viewer", "fleet": "b"}).status_code == 403
    theirs = only.post("/tokens", {"name": "x", "role": "admin"})
    assert theirs["fleet"] == "shop"
    listed = only.get("/tokens")["items"]
    assert {row["fleet"] for row in listed} == {"shop"}
    [mine] = [row for row in admin.get("/tokens")["items"] if row["fleet"] is None and row["name"] == "admin"]
    assert only.ask("DELETE", f"/tokens/{mine['token']}").status_code == 404
    short = Api(admin.client, admin.post("/tokens", {"name": "s", "role": "admin", "lasts": 60})["secret"])
    longer = short.post("/tokens", {"name": "l", "role": "admin", "lasts": 86400 * 30})
    for_ever = short.post("/tokens", {"name": "l", "role": "admin"})
    [own] = [row for row in admin.get("/tokens")["items"] if row["name"] == "s"]
    assert longer["expires"] <= own["expires"] and for_ever["expires"] <= own["expires"]


def test_the_host_is_looked_at_and_put_right(admin: Api, viewer: Api) -> None:
    assert viewer.get("/capacity?size=67108864")["fit_size"] == 64 * MIB
    assert "state folder" in [row["check"] for row in admin.get("/doctor")]
    assert admin.get("/repair") == []
    assert admin.done("/repair", {})["state"] == "done"


def test_the_same_request_again_makes_nothing(operator: Api, admin: Api) -> None:
    body = {**SMALL, "names": ["a"]}
    key = {"idempotency-key": "k-1"}
    first = operator.post("/machines", body, headers=key)
    assert operator.ended(first["job"])["state"] == "done"
    assert operator.post("/machines", body, headers=key) == first
    other = operator.ask("POST", "/machines", json={**body, "names": ["b"]}, headers=key)
    assert (other.status_code, other.json()["title"]) == (422, "Reused")
    theirs = admin.post("/machines", {**body, "names": ["c"]}, headers=key)
    assert theirs["job"] != first["job"]
    assert operator.ended(theirs["job"])["state"] == "done"
    assert [row["name"] for row in operator.get("/machines")["items"]] == ["a", "c"]


def test_who_reaches_one_fleet_sees_and_makes_no_others(fleet: Fleet, admin: Api) -> None:
    made(admin, "alien")
    shop = as_who(fleet, admin.client, Role.OPERATOR, "shop")
    made(shop, "web-1")
    assert fleet.machine("web-1").instance.fleet == "shop"
    assert [row["name"] for row in shop.get("/machines")["items"]] == ["web-1"]
    for method, path, body in (
        ("GET", "/machines/alien", None), ("PATCH", "/machines/alien", {"cpus": 2}),
        ("GET", "/machines/alien/changes", None),
        ("GET", "/machines/alien/changes/summary", None), ("GET", "/machines/alien/usage", None),
        ("GET", "/machines/alien/console-log", None), ("GET", "/snapshots?name=alien", None),
        ("GET", "/forwards?name=alien", None),
        ("POST", "/actions/kill", {"names": ["alien"]}),
        ("POST", "/actions/delete", {"names": ["web-1", "alien"]}),
        ("GET", f"/jobs/{admin.get('/jobs')['items'][-1]['job']}", None),
    ):  # fmt: skip
        assert shop.ask(method, path, json=body).status_code == 404, path
    near = shop.ask("GET", "/machines/alienn").json()
    assert "alien" not in str(near["hint"]) and near["detail"] == "no machine named alienn"
    assert shop.get("/masters")["items"][0]["machines"] == ["web-1"]
    assert [row["subjects"] for row in shop.get("/jobs")["items"]] == [["web-1"]]
    assert shop.get("/events")["total"] == 0
    text = "version: 1\nfleet: FLEET\nmachines: {alien: {master: tiny, overlay: 64M, sparse: true}}\n"
    plan = shop.post("/fleet-files/plan", {"text": text.replace("FLEET", "shop")})
    assert plan["actions"][0]["reason"] == "this name is taken"
    other = {"text": text.replace("FLEET", "other")}
    for path in ("/fleet-files/plan", "/fleet-files/apply"):
        assert shop.ask("POST", path, json=other).status_code == 403
    assert shop.ask("POST", "/fleet-files/plan", json={**other, "adopt": True}).status_code == 403
    assert "alien" in fleet.names()


def test_of_several_who_edit_the_same_machine_nothing_is_lost(operator: Api) -> None:
    """Each reads all ports that lead to it, adds its own, and writes all of them back, until that was made of
    what it saw."""
    made(operator, "a")
    tries = list[int]()

    def edit(number: int) -> None:
        for attempt in range(200):
            seen = operator.ask("GET", "/machines/a")
            wanted = [*seen.json()["forwards"], f"127.0.0.1:{8000 + number}:80"]
            answer = operator.ask(
                "PATCH", "/machines/a", json={"forwards": wanted}, headers={"if-match": seen.headers["etag"]}
            )
            assert answer.status_code in (200, 409, 412), answer.text
            if answer.status_code == 200:
                tries.append(attempt)
                return

    threads = [threading.Thread(target=edit, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ports = {row["port"] for row in operator.get("/forwards?name=a")["items"]}
    assert (len(tries), ports) == (4, {8000, 8001, 8002, 8003})
