"""Machines made again, over the network, of archives that lie on the server."""

from pathlib import Path
from typing import Any

from skinnybox.fleet.exporting import Export
from skinnybox.fleet.service import Fleet
from tests.api.conftest import Api
from tests.api.test_use_cases import made


def test_a_machine_is_made_again_of_a_file_of_the_server(
    fleet: Fleet, admin: Api, operator: Api, tmp_path: Path
) -> None:
    """By an admin: who names files of the server may read any."""
    made(operator, "a")
    before = fleet.machine("a").instance
    file = tmp_path / "a.tar.zst"
    fleet.deltas.export("a", Export(file=file))
    body = {"name": "a", "sources": [str(file)]}
    there = admin.done("/restores", body)
    assert there["state"] == "failed" and "already" in there["error"], there
    assert admin.done("/restores", {**body, "name": "b", "new_identity": True})["state"] == "done"
    assert operator.done("/actions/delete", {"names": ["a", "b"]})["state"] == "done"
    assert operator.ask("POST", "/restores", json=body).status_code == 403
    job = admin.done("/restores", body)
    assert (job["state"], job["subjects"]) == ("done", ["a"]), job
    assert fleet.machine("a").instance == before


def test_what_is_no_order_is_refused(admin: Api) -> None:
    wrong: tuple[dict[str, Any], ...] = (
        {"sources": ["x"]}, {"sources": []}, {"sources": ["/x"] * 65}, {"sources": ["/a\0"]}, {"name": ""},
        {"overlay": 1}, {"overlay": 1 << 70}, {"more": 1}, {"sources": "/x"},
    )  # fmt: skip
    for bad in wrong:
        body = {"name": "a", "sources": ["/x"], **bad}
        assert admin.ask("POST", "/restores", json=body).status_code == 422, bad
    assert admin.done("/restores", {"name": "a", "sources": ["/nowhere"]})["state"] == "failed"
