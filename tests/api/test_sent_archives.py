"""Archives that are sent: a machine made again of them, and only what has changed since one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response

from skinnybox import run
from skinnybox.fleet.exporting import Export
from skinnybox.fleet.service import Fleet
from skinnybox.model import Instance
from tests.api.conftest import Api
from tests.api.test_use_cases import made
from tests.fleet.conftest import SPARSE
from tests.fleet.rebasing import has
from tests.fleet.test_disks import image
from tests.fleet.test_rebase import put

MEDIA = "application/zstd"


def left(state: Path) -> set[str]:
    """What lies in the state folder, but for machines and their catalog."""
    return {
        each.name
        for each in state.iterdir()
        if not each.name.startswith(("instances", "catalog", "state.db", "pretended.lock"))
    }


@pytest.fixture
def a(fleet: Fleet, operator: Api, state: Path) -> Instance:
    made(operator, "a")
    instance = fleet.machine("a").instance
    put(image(state, instance), "srv/site", "mine")
    return instance


def archive(fleet: Fleet, tmp_path: Path, name: str = "a") -> bytes:
    file = tmp_path / f"{name}.tar.zst"
    fleet.deltas.export(name, Export(file=file))
    return file.read_bytes()


def send(
    api: Api, archives: Sequence[bytes], path: str = "/restores/uploads", file: str = "archive", **fields: Any
) -> Response:
    sent = [(file, (f"../x/{number}.tar.zst", each, MEDIA)) for number, each in enumerate(archives)]
    return api.ask("POST", path, data=fields, files=sent)


def done(api: Api, archives: Sequence[bytes], **fields: Any) -> Any:
    answer = send(api, archives, **fields)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/api/v1/jobs/{answer.json()['job']}"
    return api.ended(answer.json()["job"])


def test_a_machine_is_made_again_of_what_was_sent(
    fleet: Fleet, operator: Api, state: Path, tmp_path: Path, a: Instance
) -> None:
    whole = operator.ask("GET", "/machines/a/export").content
    put(image(state, a), "srv/later", "more")
    answer = send(operator, [whole], "/machines/a/export", "since")
    assert (answer.status_code, answer.headers["content-type"]) == (200, MEDIA), answer.text
    assert operator.done("/actions/delete", {"names": ["a"]})["state"] == "done"
    before = left(state)
    job = done(operator, [whole, answer.content], name="a")
    assert (job["verb"], job["state"], job["subjects"], job["actor"]) == ("create", "done", ["a"], "operator")
    assert fleet.machine("a").instance == a
    assert (has(state, a, "srv/site"), has(state, a, "srv/later")) == ("mine", "more")
    assert left(state) == before


@pytest.mark.full
def test_it_is_another_machine_where_that_is_asked_for(
    fleet: Fleet, operator: Api, state: Path, tmp_path: Path, a: Instance
) -> None:
    whole = archive(fleet, tmp_path)
    job = done(operator, [whole], name="b", new_identity="true", overlay=str(128 << 20))
    another = fleet.machine("b").instance
    assert job["state"] == "done" and another.uuid != a.uuid and another.overlay.size == 128 << 20
    assert has(state, another, "srv/site") == "mine"


@pytest.mark.parametrize("many", [False, pytest.param(True, marks=pytest.mark.full)])
def test_what_stands_against_it_is_told_at_once_and_nothing_is_left(
    fleet: Fleet, operator: Api, state: Path, tmp_path: Path, a: Instance, many: bool
) -> None:
    whole = archive(fleet, tmp_path)
    put(image(state, a), "srv/later", "more")
    fleet.deltas.export("a", Export(file=tmp_path / "increment", since=tmp_path / "a.tar.zst"))
    increment = (tmp_path / "increment").read_bytes()
    before = left(state)
    for sent, fields, status, why in wrong(whole, increment)[: None if many else 4]:
        answer = send(operator, sent, **fields)
        assert (answer.status_code, why in answer.text) == (status, True), (fields, answer.text)
        assert str(state) not in answer.text and "../x" not in answer.text
    assert fleet.delete(["a"])[0].ok
    fleet.create(["a"], "tiny", SPARSE)
    answer = send(operator, [whole], "/machines/a/export", "since")
    assert (answer.status_code, "another machine than a" in answer.text) == (409, True)
    assert fleet.delete(["a"])[0].ok
    fleet.masters.remove("tiny")
    answer = send(operator, [whole], name="a")
    assert (answer.status_code, "the master that it was made on is not here" in answer.text) == (404, True)
    assert fleet.names() == []
    assert left(state) == before


def wrong(whole: bytes, increment: bytes) -> list[tuple[list[bytes], dict[str, str], int, str]]:
    new = {"name": "b", "new_identity": "1"}
    return [
        ([whole], {"name": "a"}, 409, "there is a machine a already"),
        ([b"PK\3\4" * 99], new, 422, "0.tar.zst"),
        ([whole, whole], new, 400, "1.tar.zst was not made since 0.tar.zst"),
        ([], new, 400, "no file was sent"),
        ([whole], {"name": "b"}, 409, "a"),
        ([b"x"], new, 422, "0.tar.zst"),
        ([whole[:200]], new, 422, "0.tar.zst"),
        ([increment], new, 400, "holds only what was changed"),
        ([whole, b"x"], new, 422, "1.tar.zst"),
        ([whole], {**new, "name": "B!"}, 400, "B!"),
        ([whole] * 65, new, 400, "was not made since"),
        ([whole], {**new, "overlay": "1"}, 422, "overlay"),
        ([whole], {**new, "more": "1"}, 422, "more"),
        ([whole], {"new_identity": "1"}, 422, "before any file"),
    ]


LIMIT = "are more than 65536 bytes"
PLAIN, PARTS = "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"
FIELD = b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\n'
FILE = b'--x\r\nContent-Disposition: form-data; name="archive"; filename="%s"\r\n\r\n'


@pytest.mark.parametrize(
    ("kind", "content", "why"),
    [
        (PLAIN, b"name=" + b"x" * 70_000, LIMIT),
        (PARTS, FIELD + b"x" * 70_000, LIMIT),
        (PARTS, (FIELD + b"\r\n") * 1100, LIMIT),
        (PARTS, b"\r\n" * 100_000, LIMIT),
        (PARTS, FIELD + b"\xff\r\n--x--", "no text"),
        (PARTS, FIELD + b"a\r\n" + FILE % b"" + b"z\r\n--x--", "has no name"),
        (PARTS, FIELD + b"a\r\n" + FILE.replace(b"archive", b"other") % b"z" + b"\r\n--x--", "is asked for"),
        (PARTS, FIELD + b"a\r\n" + FILE % b"z" + b"\r\n" + FIELD + b"b\r\n--x--", "behind a file"),
        (PARTS, FIELD + b"a\r\n" + FILE % b"z" + b"\r\n", "cut off"),
        (f"{PARTS}y", FIELD, "no proper form"),
        ("multipart/form-data", FIELD, "no multipart/form-data"),
    ],
)
def test_what_is_no_such_form_is_told(operator: Api, kind: str, content: bytes, why: str) -> None:
    """And no more of it is read, whoever sends it, than fields take."""
    pieces = (content[at : at + 4096] for at in range(0, len(content), 4096))
    answer = operator.ask("POST", "/restores/uploads", content=pieces, headers={"content-type": kind})
    assert (answer.status_code, why in answer.text) == (400, True), answer.text
    assert not [job for job in operator.get("/jobs")["items"] if job["state"] in ("running", "done")]


@pytest.mark.full
def test_what_a_data_disk_holds_comes_with_it(fleet: Fleet, operator: Api, state: Path) -> None:
    made(operator, "d", data="48M")
    disk = image(state, fleet.machine("d").instance).with_name("data.img")
    run.run(["debugfs", "-w", "-R", "mkdir folders/kept", disk])
    whole = operator.ask("GET", "/machines/d/export?data=true").content
    without = send(operator, [whole], "/machines/d/export", "since")
    assert (without.status_code, "this would lose it" in without.text) == (409, True), without.text
    run.run(["debugfs", "-w", "-R", "mkdir folders/later", disk])
    increment = send(operator, [whole], "/machines/d/export", "since", data="true").content
    assert done(operator, [whole, increment], name="e", new_identity="true")["state"] == "done"
    new = image(state, fleet.machine("e").instance).with_name("data.img")
    said = run.run(["debugfs", "-R", "ls folders", new]).stdout
    assert b"kept" in said and b"later" in said
