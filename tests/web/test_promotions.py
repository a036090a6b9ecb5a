"""A machine as a master or a layer, and a master edited by a script: plain forms, each a job."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from skinnybox.errors import CommandFailed
from skinnybox.fleet.editing import MasterEdits
from skinnybox.fleet.exporting import Export
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.tokens import Role
from skinnybox.model import Instance
from tests.fleet.rebasing import has
from tests.fleet.test_disks import image
from tests.fleet.test_rebase import put
from tests.web.conftest import Console, word
from tests.web.test_giving_back import console, fleet, send, two_masters, web
from tests.web.test_rebase import ended
from tests.web.test_work_pages import of, post

__all__ = ["console", "fleet", "two_masters", "web"]
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def client(console: Console) -> Iterator[TestClient]:
    yield console.browser(Role.OPERATOR)


@pytest.mark.full
def test_a_layer_of_it_is_told_first_and_then_sealed(client: TestClient, fleet: Fleet, web: Instance) -> None:
    assert "/machines/web/promotion" in client.get("/machines/web/settings").text
    asked: dict[str, Any] = {"reference": "site:1", "as_layer": "1", "leave_out": "/other"}
    told = send(client, "promotion", **asked)
    assert told.status_code == 200 and "/other" in told.text and "asked" in told.text
    assert "every version of web" in told.text and 'name="sure"' in told.text
    assert fleet.layers.all() == []
    job = ended(fleet, send(client, "promotion", **asked, sure="1"))
    assert (job.verb, str(job.condition), job.subjects) == ("promote", "done", ("web",)), job
    assert [layer.reference for layer in fleet.layers.all()] == ["site:1"]


def test_what_cannot_be_is_told_with_what_was_typed(
    console: Console, client: TestClient, fleet: Fleet
) -> None:
    for said, why in (
        ({"reference": HOSTILE, "paths": "/none", "as_layer": "1"}, "nothing of its own at /none"),
        ({"reference": "x", "paths": "/own"}, "paths are chosen for a layer"),
        ({"reference": "x", "keep": "own"}, "own"),
    ):
        answer = send(client, "promotion", **said)
        assert answer.status_code >= 400 and why in answer.text and "<img" not in answer.text, answer.text
        assert 'name="sure"' not in answer.text
    assert send(client, "promotion", sure="1").status_code == 400
    fleet.start(["web"])
    answer = send(client, "promotion", reference="site:1", as_layer="1")
    assert answer.status_code in (409, 423) and "half written" in answer.text and 'name="live"' in answer.text
    assert fleet.layers.all() == []
    viewer, others = console.browser(Role.VIEWER), console.browser(Role.OPERATOR, "shop")
    assert viewer.get("/machines/web/promotion").status_code == 403
    assert others.get("/machines/web/promotion").status_code == 403
    assert send(viewer, "promotion", sure="1", reference="x").status_code == 403


def test_a_master_is_edited_by_a_script_of_an_admin(
    console: Console, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    def run(self: MasterEdits, reference: str, new: str, script: str, *_: object, **__: object) -> None:
        ran.append(f"{reference} {new} {script}")
        raise CommandFailed("the script ended with 1", returncode=1)

    monkeypatch.setattr(MasterEdits, "run", run)
    admin = console.browser(Role.ADMIN)
    assert "/masters/web:1/edit" in admin.get("/masters/web:1").text
    assert "What it becomes" in admin.get("/masters/web:1/edit").text
    status, there = post(admin, "/masters/web:1/edit", new="web:9", script="touch /x\r\ntrue")
    job = list(fleet.jobs.followed(of(there)))[-1]
    assert (status, job.verb, job.error) == (303, "master edit", "the script ended with 1")
    assert ran == ["web:1 web:9 touch /x\ntrue"]
    operator = console.browser(Role.OPERATOR)
    assert operator.get("/masters/web:1/edit").status_code == 403
    assert post(operator, "/masters/web:1/edit", new="x", script="x")[0] == 403


@pytest.mark.full
def test_a_backup_is_downloaded_and_is_another_machine(
    console: Console, client: TestClient, fleet: Fleet, state: Path, tmp_path: Path
) -> None:
    assert "/machines/web/export" in client.get("/machines/web/settings").text
    answer = send(client, "export")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zstd")
    assert 'filename="web.tar.zst"' in answer.headers["content-disposition"]
    (tmp_path / "web.tar.zst").write_bytes(answer.content)
    admin = console.browser(Role.ADMIN)
    assert "/restore" in admin.get("/deploy").text and "Its name" in admin.get("/restore").text
    said = {"name": "again", "sources": str(tmp_path / "web.tar.zst"), "new_identity": "1"}
    _, there = post(admin, "/restore", **said)
    job = list(fleet.jobs.followed(of(there)))[-1]
    assert (job.verb, str(job.condition)) == ("create", "done"), job
    assert has(state, fleet.machine("again").instance, "own/a") == "mine"


def test_who_may_have_a_backup_and_make_a_machine_of_one(console: Console, fleet: Fleet) -> None:
    viewer, operator = console.browser(Role.VIEWER), console.browser(Role.OPERATOR)
    assert send(viewer, "export").status_code == 403
    assert send(console.browser(Role.OPERATOR, "shop"), "export").status_code == 404
    assert 'name="sources"' not in operator.get("/restore").text
    assert 'name="sources"' in console.browser(Role.ADMIN).get("/restore").text
    assert post(operator, "/restore", name="x", sources="/x")[0] == 403
    admin = console.browser(Role.ADMIN)
    for said in ({"name": "x"}, {"name": "x", "sources": "etc/shadow"}, {"sources": "/x"}):
        assert post(admin, "/restore", **said)[0] == 400, said
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fleet.background, "_ending", True)
        refused = send(operator, "export")
    assert refused.status_code == 409 and "the server is ending" in refused.text
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    answer = send(operator, "export", data="1")
    assert answer.status_code == 404 and "has no data disk" in answer.text and "<html" in answer.text


def test_who_may_send_one_is_known_before_it_comes(
    console: Console, client: TestClient, fleet: Fleet, tmp_path: Path
) -> None:
    """Who may not, and what somebody else's page sends, is listened to no longer than for its fields."""
    fleet.deltas.export("web", Export(file=tmp_path / "web.tar.zst"))
    one = [("archive", "web.tar.zst", (tmp_path / "web.tar.zst").read_bytes())]
    for browser, status in ((console.browser(Role.VIEWER), 403), (console.browser(None), 303)):
        said = {"name": "x"} if status == 403 else {"name": "x", "csrf": ""}
        assert upload(browser, "/restore/upload", one, **said).status_code == status
    assert upload(client, "/restore/upload", one, name="x", csrf="x").status_code == 403
    assert upload(client, "/restore/upload", [("archive", "", b"")], name="x").status_code == 400
    taken = upload(client, "/restore/upload", one, name="web")
    assert taken.status_code == 409 and "there is a machine web already" in taken.text, taken.text


@pytest.mark.full
def test_a_machine_is_made_of_files_that_a_browser_sends(
    console: Console, client: TestClient, fleet: Fleet, state: Path, web: Instance
) -> None:
    whole = send(client, "export").content
    put(image(state, web), "own/later", "more")
    answer = upload(client, "/machines/web/export", [("since", "web.tar.zst", whole)])
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zstd"), answer.text
    both = [("archive", "web.tar.zst", whole), ("archive", "later.tar.zst", answer.content)]
    others = console.browser(Role.OPERATOR, "shop")
    said = {"name": "again", "new_identity": "1", "overlay": "96M"}
    job = ended(fleet, upload(others, "/restore/upload", both, **said))
    assert (job.verb, str(job.condition), job.actor) == ("create", "done", "a operator"), job
    again = fleet.machine("again").instance
    assert (again.fleet, again.overlay.size) == ("shop", 96 << 20)
    assert (has(state, again, "own/a"), has(state, again, "own/later")) == ("mine", "more")


def upload(client: TestClient, where: str, files: Sequence[tuple[str, str, bytes]], **said: str) -> Any:
    sent = [(field, (name, content, "application/zstd")) for field, name, content in files]
    data = said if "csrf" in said else {"csrf": word(client), **said}
    return client.post(where, data=data, files=sent, follow_redirects=False)
