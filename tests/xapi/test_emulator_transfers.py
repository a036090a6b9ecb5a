"""A disk's bytes over HTTP, up and down, and that only the task tells how it ended."""

import base64
import contextlib
import http.client
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import XenAPI

from tests.emulators.xapi import PASSWORD
from tests.xapi.conftest import Place

MIB = 1 << 20
DATA = bytes(range(256)) * 4096 * 3


def handle(place: Place) -> str:
    """Of the session in use."""
    return next(ref for ref, session in place.pool.xapi.sessions.items() if session.originator == "tests")


def put(
    place: Place,
    query: str,
    body: bytes,
    *,
    host: int = 0,
    session: str | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, dict[str, str]]:
    """(status, headers) of a PUT to /import_raw_vdi."""
    where = urlsplit(place.pool.url_of(host))
    path = f"/import_raw_vdi?session_id={handle(place) if session is None else session}&{query}"
    connection = http.client.HTTPConnection(where.hostname or "", where.port)
    with contextlib.closing(connection):
        connection.request("PUT", path, body=body, headers=headers or {})
        response = connection.getresponse()
        response.read()
        return response.status, {name.lower(): value for name, value in response.getheaders()}


def ended(place: Place, task: str) -> str:
    while (status := place.api.task.get_status(task)) == "pending":
        time.sleep(0.01)
    return str(status)


def contents(place: Place, vdi: str) -> bytes:
    with place.pool.file_of(vdi).open("rb") as file:
        return file.read(len(DATA))


def test_upload_and_download(place: Place) -> None:
    vdi, task = place.disk(), place.api.task.create("upload", "")
    assert put(place, f"vdi={vdi}&task_id={task}&format=raw", DATA)[0] == 200
    assert ended(place, task) == "success" and place.api.task.get_result(task) == f"<value>{vdi}</value>"
    assert contents(place, vdi) == DATA
    assert int(place.api.VDI.get_physical_utilisation(vdi)) > len(DATA)
    where = urlsplit(place.pool.url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port)
    with contextlib.closing(connection):
        connection.request("GET", f"/export_raw_vdi?session_id={handle(place)}&vdi={vdi}&format=raw")
        response = connection.getresponse()
        body = response.read()
    assert response.getheader("Content-Length") is None
    assert len(body) == 64 * MIB and body.startswith(DATA)


def test_an_upload_can_make_its_disk(place: Place) -> None:
    uuid = place.api.SR.get_uuid(place.thin)
    status, headers = put(place, f"sr_uuid={uuid}", DATA)
    assert status == 200 and ended(place, headers["task-id"]) == "success"
    (vdi,) = place.api.VDI.get_by_name_label("Imported VDI")
    assert contents(place, vdi) == DATA


def test_chunks_and_other_formats_are_refused(place: Place) -> None:
    vdi = place.disk()
    chunked = {"Transfer-Encoding": "chunked"}
    for query, headers in ((f"vdi={vdi}", chunked), (f"vdi={vdi}&format=vhd", {})):
        task = place.api.task.create("upload", "")
        assert put(place, f"{query}&task_id={task}", b"", headers=headers)[0] >= 400
        assert ended(place, task) == "failure"


def test_a_host_that_does_not_see_the_storage_redirects(place: Place) -> None:
    vdi = place.disk(place.thick)
    status, headers = put(place, f"vdi={vdi}", b"data", host=1)
    assert status == 302 and headers["location"].startswith(place.pool.url_of(0))
    assert put(place, f"vdi={place.disk()}", DATA, host=1)[0] == 200, "shared storage is seen everywhere"


def test_who_may_not_make_disks_may_not_upload(place: Place) -> None:
    vdi = place.disk()
    assert put(place, f"vdi={vdi}", b"x", session="OpaqueRef:none")[0] == 401
    place.pool.add_user("otto", "o", "read-only")
    session = XenAPI.Session(place.pool.url)
    session.xenapi.login_with_password("otto", "o")
    assert put(place, f"vdi={vdi}", b"x", session=session.handle)[0] == 403
    session("close")()
    basic = base64.b64encode(f"root:{PASSWORD}".encode()).decode()
    authorised = {"Authorization": f"Basic {basic}"}
    assert put(place, f"vdi={vdi}", DATA, session="", headers=authorised)[0] == 200


def test_storage_that_fills_up_in_the_middle(place: Place) -> None:
    vdi, task = place.disk(), place.api.task.create("upload", "")
    place.pool.faults.fill(place.thin, MIB)
    with contextlib.suppress(OSError):
        put(place, f"vdi={vdi}&task_id={task}", DATA)
    assert ended(place, task) == "failure"
    assert place.api.task.get_error_info(task)[0] == "SR_BACKEND_FAILURE_44"


@pytest.mark.parametrize("end", ["cancel", "cut"])
def test_an_upload_that_ends_early(place: Place, end: str) -> None:
    vdi, task = place.disk(), place.api.task.create("upload", "")
    place.pool.faults.slow("import_raw_vdi", 0.2)
    if end == "cut":
        place.pool.faults.drop_before("import_raw_vdi")
    failed = contextlib.suppress(OSError, http.client.HTTPException)

    def upload() -> None:
        with failed:
            put(place, f"vdi={vdi}&task_id={task}", DATA * 10)

    thread = threading.Thread(target=upload)
    thread.start()
    if end == "cancel":
        while float(place.api.task.get_progress(task)) == 0.0:
            time.sleep(0.01)
        place.api.task.cancel(task)
    assert ended(place, task) == ("cancelled" if end == "cancel" else "failure")
    thread.join()
    place.api.VDI.destroy(vdi)


def test_a_disk_that_somebody_writes_is_not_uploaded_to(place: Place) -> None:
    vm, vdi = place.machine(), place.disk()
    place.drive(vm, vdi, "0")
    place.api.VM.start(vm, False, False)
    task = place.api.task.create("upload", "")
    put(place, f"vdi={vdi}&task_id={task}", b"data")
    assert ended(place, task) == "failure" and place.api.task.get_error_info(task)[0] == "VDI_IN_USE"


def test_holes_stay_holes(place: Place, refused: Callable[..., list[str]]) -> None:
    vdi = place.disk()
    put(place, f"vdi={vdi}", bytes(32 * MIB) + DATA)
    file: Path = place.pool.file_of(vdi)
    while place.api.VDI.get_current_operations(vdi):
        time.sleep(0.01)
    assert file.stat().st_blocks * 512 < 2 * len(DATA)
