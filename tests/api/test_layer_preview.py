"""What a layer by a recipe would hold, asked over the network: the recipe is run, and nothing is sealed."""

from pathlib import Path

import pytest

from skinnybox.fleet.service import Fleet
from skinnybox.model import Master
from tests.api.conftest import Api
from tests.fleet import test_layer_build as building

box, _busybox = building.box, building._busybox


def test_what_is_wrong_with_it_is_told_as_every_error_is(admin: Api, operator: Api) -> None:
    body = {"reference": "b:1", "above": "tiny", "recipe": "packages: [vim]"}
    there = "/layers/builds/preview"
    wrong = admin.ask("POST", there, json=body)
    assert (wrong.status_code, "may hold copy and scripts" in wrong.json()["detail"]) == (400, True), (
        wrong.text
    )
    assert admin.ask("POST", there, json={**body, "above": "none"}).status_code == 404
    assert operator.ask("POST", there, json=body).status_code == 403
    [first, _] = admin.get("/jobs?verb=layer build --dry-run")["items"]
    assert (first["state"], first["subjects"]) == ("failed", ["b:1"])


@pytest.mark.full
@building.NEEDS_BUSYBOX
def test_it_is_run_and_its_rows_are_the_answer(fleet: Fleet, admin: Api, box: Master, tmp_path: Path) -> None:
    recipe = building.written(tmp_path, building.SCRIPT).read_text()
    body = {"reference": "tool:1", "above": "box", "recipe": recipe}
    answer = admin.ask("POST", "/layers/builds/preview", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json"), answer.text
    rows = {row["path"]: row for row in answer.json()}
    assert (rows["/opt"]["what"], rows["/opt"]["files"], rows["/opt"]["size"]) == ("goes", 3, 8)
    assert (rows["/srv"]["what"], rows["/srv"]["reason"]) == ("left out", "folder")
    assert fleet.layers.all() == []
    job = admin.ended(int(answer.headers["location"].rpartition("/")[2]))
    assert (job["verb"], job["state"]) == ("layer build --dry-run", "done")
