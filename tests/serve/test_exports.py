"""An archive of a machine over HTTP: whole, or nothing; and nothing is left when somebody goes away."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from skinnybox.fleet.specification import Specification
from skinnybox.fleet.tokens import Role
from skinnybox.model import Allocation, Overlay
from skinnybox.sizes import MIB
from tests.fleet.conftest import open_fake, said
from tests.fleet.rebasing import has
from tests.fleet.test_disks import image
from tests.fleet.test_rebase import put
from tests.samples import seal
from tests.serve.running import Running, running, until

pytestmark = pytest.mark.full
SIZE = 24 * MIB


@pytest.fixture
def state(tmp_path: Path) -> Path:
    seal(tmp_path / "state", tmp_path, "tiny", "1")
    with open_fake(tmp_path / "state") as fleet:
        wanted = Specification(overlay=Overlay(size=128 * MIB, allocation=Allocation.SPARSE))
        [web] = fleet.create(["web"], "tiny", wanted)
        put(image(tmp_path / "state", web), "big", os.urandom(SIZE).hex())
    return tmp_path / "state"


@pytest.fixture
def server(state: Path) -> Iterator[Running]:
    with running(state) as found:
        yield found
        found.end()


def token(state: Path, role: Role, only: str | None = None) -> dict[str, str]:
    with open_fake(state) as fleet:
        return {"authorization": f"Bearer {fleet.tokens.create(str(role), role, fleet=only)[1]}"}


def test_it_comes_whole_and_is_the_machine_again(
    server: Running, state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    door = server.over_tcp()
    door.request("GET", "/api/v1/machines/web/export", headers=token(state, Role.OPERATOR))
    answer = door.getresponse()
    file = tmp_path / "web.tar.zst"
    file.write_bytes(answer.read())
    door.close()
    assert (answer.status, answer.headers["content-type"]) == (200, "application/zstd")
    assert answer.headers["content-disposition"] == 'attachment; filename="web.tar.zst"'
    assert file.stat().st_size > SIZE
    [job] = server.get("/api/v1/jobs?verb=export", over_socket=True)[1]["items"]
    assert (job["state"], job["subjects"], job["actor"]) == ("done", ["web"], "operator"), job
    words = ("--state", str(state), "--host", "fake", "create", "again", "--from", str(file))
    assert said(capsys, *words, "--new-identity").code == 0
    with open_fake(state) as fleet:
        again = fleet.machine("again").instance
    assert len(has(state, again, "big") or "") == 2 * SIZE


def test_what_cannot_be_is_told_as_a_problem(server: Running, state: Path) -> None:
    for name, role, only, status in (
        ("web", Role.VIEWER, None, 403), ("none", Role.OPERATOR, None, 404), ("web", Role.ADMIN, "shop", 404),
    ):  # fmt: skip
        door = server.over_tcp()
        door.request("GET", f"/api/v1/machines/{name}/export", headers=token(state, role, only))
        answer = door.getresponse()
        assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
        answer.read()
        door.close()
    status, problem = server.get("/api/v1/machines/web/export?data=true", over_socket=True)
    assert (status, "has no data disk" in problem["detail"]) == (404, True), problem


def test_who_goes_away_ends_it_and_nothing_is_left(server: Running, state: Path) -> None:
    before = {path.name for path in state.iterdir()}
    door = server.own_door()
    door.request("GET", "/api/v1/machines/web/export")
    answer = door.getresponse()
    assert answer.status == 200 and answer.read(1)
    assert _job(server)["state"] == "running"
    answer.close()
    door.close()
    until(lambda: _job(server)["state"] != "running")
    assert _job(server)["state"] == "cancelled"
    until(lambda: not _zstds())
    assert {path.name for path in state.iterdir()} == before
    status, _ = server.get("/api/v1/machines/web", over_socket=True)
    assert status == 200


def _job(server: Running) -> dict[str, str]:
    found: dict[str, str] = server.get("/api/v1/jobs?verb=export", over_socket=True)[1]["items"][0]
    return found


def _zstds() -> list[Path]:
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += [file] if file.read_bytes().startswith(b"/usr/bin/zstd\0-q\0-c\0-3") else []
        except OSError:
            continue
    return found


def test_a_server_that_ends_does_not_wait_for_who_reads_nothing(server: Running) -> None:
    door = server.own_door()
    door.request("GET", "/api/v1/machines/web/export")
    answer = door.getresponse()
    assert answer.status == 200
    assert server.end() == 0
    answer.close()
    door.close()
