"""What who watches the server is told, read with Prometheus' own parser."""

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from skinnybox.fleet.service import Fleet
from skinnybox.fleet.tokens import Role
from skinnybox.gate.exposition import histogram, metric
from tests.api.conftest import Api, as_who
from tests.api.test_events import with_fleet
from tests.fleet.conftest import SPARSE

Samples = dict[str, dict[tuple[str, ...], float]]


def scraped(api: Api) -> Samples:
    response = api.client.get("/metrics", headers={"authorization": f"Bearer {api.secret}"})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    return read(response.text)


def read(text: str) -> Samples:
    """The values of each sample's name by those of its labels."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation and family.type != "unknown", family
        for sample in family.samples:
            values = found.setdefault(sample.name, {})
            key = tuple(sample.labels.values())
            assert key not in values
            values[key] = sample.value
    return found


def test_machines_and_capacity(fleet: Fleet, viewer: Api) -> None:
    fleet.create(["a", "b", "c"], "tiny", SPARSE)
    fleet.start(["a", "b"])
    found = scraped(viewer)
    states = found["skinnybox_machines"]
    assert (states[("ready",)], states[("stopped",)], states[("crashed",)]) == (2, 1, 0)
    assert found["skinnybox_overlay_size_bytes"] == {(name, ""): 64 << 20 for name in "abc"}
    assert set(found["skinnybox_overlay_used_bytes"]) == {("a", ""), ("b", "")}
    assert found["skinnybox_machine_ready"] == {("a", ""): 1, ("b", ""): 1, ("c", ""): 0}
    assert found["skinnybox_capacity_disk_bytes"][()] > found["skinnybox_capacity_free_bytes"][()] > 0


def test_jobs_since_the_server_began(fleet: Fleet, admin: Api) -> None:
    before = scraped(admin)
    assert ("create", "done") not in before["skinnybox_jobs_total"]
    fleet.create(["a"], "tiny", SPARSE)
    fleet.start(["a"])
    fleet.delete(["a"])  # it runs
    for _ in range(2):
        found = scraped(admin)
        jobs = found["skinnybox_jobs_total"]
        assert (jobs["create", "done"], jobs["start", "done"], jobs["delete", "failed"]) == (1, 1, 1)
        assert found["skinnybox_job_duration_seconds_count"][("start",)] == 1
        assert found["skinnybox_job_duration_seconds_bucket"]["start", "+Inf"] == 1
        assert found["skinnybox_job_duration_seconds_bucket"]["start", "7200"] == 1
        assert found["skinnybox_job_duration_seconds_sum"][("start",)] < 60
    assert found["skinnybox_jobs_running"] == {(): 0}


def test_errors_by_status(admin: Api, nobody: Api) -> None:
    for _ in range(3):
        nobody.ask("GET", "/about")
    admin.ask("GET", "/machines/nobody")
    answers = scraped(admin)["skinnybox_http_answers_total"]
    assert (answers["401",], answers["404",]) == (3, 1)


def test_who_reaches_one_fleet_is_told_of_that(fleet: Fleet, client: TestClient) -> None:
    fleet.create(["a", "b"], "tiny", SPARSE)
    with_fleet(fleet, "a", "web")
    found = scraped(as_who(fleet, client, Role.VIEWER, "web"))
    assert set(found["skinnybox_overlay_size_bytes"]) == {("a", "web")}
    assert found["skinnybox_machines"][("stopped",)] == 1
    assert not [name for name in found if "capacity" in name or "jobs" in name or "http" in name]


def test_whether_it_lives_everybody_is_told_and_nothing_else(fleet: Fleet, client: TestClient) -> None:
    assert (client.get("/metrics").status_code, client.get("/healthz").text) == (401, "ok\n")
    ready = client.get("/readyz")
    assert (ready.status_code, ready.text) == (200, "ready\n")
    fleet.background.end()
    assert client.get("/readyz").status_code == 503 and client.get("/healthz").status_code == 200


def test_one_whose_catalog_cannot_be_read_is_not_ready(
    fleet: Fleet, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from skinnybox.errors import TimedOut

    def names() -> list[str]:
        raise TimedOut("locked")

    monkeypatch.setattr(fleet, "names", names)
    assert client.get("/readyz").status_code == 503


def test_labels_may_be_anything() -> None:
    wild = 'a"b\\c\nd{}=,é'
    assert read(metric("x", "gauge", "What.", [({"l": wild}, 1.5)])) == {"x": {(wild,): 1.5}}
    assert metric("x", "gauge", "What.", []) == ""
    found = read(histogram("x", "What.", [0.1, 1], {wild: ([1, 2], 3.25, 4)}, "l"))
    assert found["x_bucket"] == {(wild, "0.1"): 1, (wild, "1"): 2, (wild, "+Inf"): 4}
    assert (found["x_sum"], found["x_count"]) == ({(wild,): 3.25}, {(wild,): 4})
