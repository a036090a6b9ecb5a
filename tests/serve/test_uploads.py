"""Archives that are sent over HTTP: never in memory, told early what stands against them, and nothing is left
when somebody goes away."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from skinnybox import run
from skinnybox.fleet.exporting import Export
from skinnybox.fleet.specification import Specification
from skinnybox.fleet.tokens import Role
from skinnybox.hosts.local import leftovers
from skinnybox.model import Allocation, Overlay
from skinnybox.sizes import MIB
from tests.fleet.conftest import open_fake
from tests.fleet.rebasing import has
from tests.fleet.test_disks import image
from tests.fleet.test_rebase import put
from tests.samples import seal
from tests.serve.running import Running, running, until
from tests.serve.test_exports import token

pytestmark = pytest.mark.full
SIZE = 48 * MIB
HEAD = (
    b'--xyz\r\nContent-Disposition: form-data; name="name"\r\n\r\n%s\r\n'
    b'--xyz\r\nContent-Disposition: form-data; name="new_identity"\r\n\r\ntrue\r\n'
    b'--xyz\r\nContent-Disposition: form-data; name="archive"; filename="web.tar.zst"\r\n\r\n'
)
SINCE = b'--xyz\r\nContent-Disposition: form-data; name="since"; filename="web.tar.zst"\r\n\r\n'
END = b"\r\n--xyz--\r\n"
FORM = "multipart/form-data; boundary=xyz"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder, and beside it an archive of its machine `web`."""
    folder = tmp_path_factory.mktemp("made")
    seal(folder / "state", folder, "tiny", "1")
    with open_fake(folder / "state") as fleet:
        wanted = Specification(overlay=Overlay(size=256 * MIB, allocation=Allocation.SPARSE))
        [web] = fleet.create(["web"], "tiny", wanted)
        put(image(folder / "state", web), "big", os.urandom(SIZE).hex())
        fleet.deltas.export("web", Export(file=folder / "web.tar.zst"))
    return folder


@pytest.fixture
def state(made: Path, tmp_path: Path) -> Path:
    run.run(["cp", "-a", made / "state", tmp_path / "state"])
    return tmp_path / "state"


@pytest.fixture
def archive(made: Path) -> bytes:
    return (made / "web.tar.zst").read_bytes()


@pytest.fixture
def server(state: Path) -> Iterator[Running]:
    with running(state) as found:
        yield found
        found.end()


class Sending:
    """A request that goes on for as long as we like."""

    def __init__(
        self, server: Running, headers: dict[str, str], length: int, path: str = "/restores/uploads"
    ) -> None:
        self.door = server.over_tcp()
        self.door.putrequest("POST", f"/api/v1{path}")
        for name, value in {**headers, "content-type": FORM, "content-length": str(length)}.items():
            self.door.putheader(name, value)
        self.door.endheaders()

    def send(self, content: bytes) -> None:
        self.door.send(content)

    def answer(self) -> tuple[int, Any]:
        found = self.door.getresponse()
        status, said = found.status, found.read().decode()
        self.door.close()
        return status, said


def peak(server: Running) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{server.process.pid}/status").read_text())
    assert found
    return int(found[1]) << 10


def kept(state: Path) -> list[str]:
    return [each.name for each in state.glob(".copy-*")]


def test_none_of_it_is_in_memory(server: Running, state: Path, archive: bytes) -> None:
    headers = token(state, Role.OPERATOR)
    small = Sending(server, headers, 3)
    small.send(b"x\r\n")
    assert small.answer()[0] in (400, 422)
    before = peak(server)
    body = HEAD % b"again" + archive + END
    whole = Sending(server, headers, len(body))
    whole.send(body)
    status, said = whole.answer()
    assert status == 202, said
    until(lambda: _job(server)["state"] != "running")
    assert _job(server)["state"] == "done"
    assert peak(server) - before < 24 * MIB < len(archive), peak(server) - before
    with open_fake(state) as fleet:
        assert len(has(state, fleet.machine("again").instance, "big") or "") == 2 * SIZE
    assert not kept(state)


def test_what_stands_against_it_is_told_while_it_comes(server: Running, state: Path, archive: bytes) -> None:
    """And what comes all the same is thrown away, for a browser reads no answer before it has sent all."""
    body = HEAD % b"web" + archive + END
    early = Sending(server, token(state, Role.OPERATOR), len(body))
    early.send(body[: 8 * MIB])
    until(lambda: _job(server)["state"] == "failed")
    early.send(body[8 * MIB :])
    status, said = early.answer()
    assert (status, "there is a machine web already" in said) == (409, True), said
    assert not kept(state)
    nobody = Sending(server, {}, len(body))
    nobody.send(body)
    assert nobody.answer()[0] == 401
    assert len(server.get("/api/v1/jobs?verb=create", over_socket=True)[1]["items"]) == 2


def test_who_goes_away_leaves_nothing(server: Running, state: Path, archive: bytes) -> None:
    headers = token(state, Role.OPERATOR)
    for path, head in (("/restores/uploads", HEAD % b"again"), ("/machines/web/export", SINCE)):
        half = Sending(server, headers, 1 << 40, path)
        half.send(head + archive[: SIZE // 2])
        until(lambda: bool(kept(state)))
        half.door.close()
        until(lambda: _job(server)["state"] != "running")
        assert _job(server)["state"] == "cancelled"
        assert not kept(state)
    assert [each["name"] for each in server.get("/api/v1/machines", over_socket=True)[1]["items"]] == ["web"]


def test_a_server_that_ends_waits_for_nobody_who_sends(server: Running, state: Path, archive: bytes) -> None:
    half = Sending(server, token(state, Role.OPERATOR), 1 << 40)
    half.send(HEAD % b"again" + archive[: SIZE // 2])
    until(lambda: bool(kept(state)))
    assert server.end() == 0
    assert not kept(state)
    half.door.close()


def test_what_a_killed_one_left_is_cleared(
    state: Path, archive: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what one that lives is at is not, however old it is."""
    monkeypatch.setattr(leftovers, "_YOUNG", 0.0)
    with running(state) as server:
        half = Sending(server, token(state, Role.OPERATOR), 1 << 40)
        half.send(HEAD % b"again" + archive[: SIZE // 2])
        until(lambda: bool(kept(state)))
        with open_fake(state) as fleet:
            fleet.upkeep.repair()
        assert kept(state)
        server.send(signal.SIGKILL)
        server.process.wait()
        half.door.close()
    assert kept(state)
    with open_fake(state) as fleet:
        assert all(outcome.ok for outcome in fleet.upkeep.repair())
        assert fleet.names() == ["web"] and not kept(state)


def _job(server: Running) -> dict[str, Any]:
    found: dict[str, Any] = server.get("/api/v1/jobs", over_socket=True)[1]["items"][0]
    return found
