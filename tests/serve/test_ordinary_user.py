"""A server of who is not root makes masters as well: its child is root of a user namespace.

Requirements: root, who becomes an ordinary user with ids of its own in a mount namespace; uidmap; mkfs.erofs.
"""

import json
import os
import shutil
import site
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import skinnybox
from skinnybox import run
from skinnybox.masters.index import read_index
from skinnybox.model import GUEST_PROTOCOL
from tests.fleet import promotable
from tests.image.disks import CONFIGURATION
from tests.serve.running import Running, running, until
from tests.unit.rebased import f

USER = 61_234
pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(os.geteuid() != 0 or run.find("newuidmap") is None, reason="needs root, and uidmap"),
    pytest.mark.usefixtures("for_everyone"),
]
_BECOME = f"""
for file in passwd subuid subgid; do mount --bind "$0/$file" "/etc/$file"; done
exec setpriv --reuid={USER} --regid={USER} --clear-groups -- "$@"
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that this user has: below pytest's own nobody else gets."""
    with tempfile.TemporaryDirectory(prefix="skinnybox-home-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        (home / "passwd").write_text(
            f"{Path('/etc/passwd').read_text()}boxer:x:{USER}:{USER}::{home}:/bin/sh\n"
        )
        for name in ("subuid", "subgid"):
            (home / name).write_text("boxer:500000:65536\n")
        (home / "own").mkdir()
        os.chown(home / "own", USER, USER)
        yield home


@pytest.fixture
def server(home: Path) -> Iterator[Running]:
    become = ["unshare", "--mount", "sh", "-ec", _BECOME, str(home)]
    ours = [Path(skinnybox.__file__).parents[1], *site.getsitepackages()]
    where = {
        "HOME": str(home / "own"),
        "PATH": f"{home}/bin:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(map(str, ours)),
    }
    for python in (sys.executable, "/usr/bin/python3"):  # the first may lie where only root gets
        tried = subprocess.run(
            [*become, "sh", "-c", '"$0" -c "import skinnybox.serve.app"', python], env={**os.environ, **where}
        )
        if tried.returncode == 0:
            break
    else:
        pytest.skip("no Python that an ordinary user may run has what the server needs")
    with running(home / "own/state", python=[*become, python], environment=where) as server:
        yield server
        server.end()


def post(server: Running, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    connection = server.own_door()
    connection.request("POST", f"/api/v1{path}", json.dumps(body or {}), {"content-type": "application/json"})
    found: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return found


def job(server: Running, number: int) -> dict[str, Any]:
    found: dict[str, Any] = server.get(f"/api/v1/jobs/{number}", over_socket=True)[1]
    return found


def ended(server: Running, number: int) -> dict[str, Any]:
    until(lambda: job(server, number)["state"] != "running")
    return job(server, number)


def a_tree(folder: Path) -> Path:
    for name, text in (
        ("boot/vmlinuz-6.1", "kernel"), ("boot/config-6.1", CONFIGURATION), ("etc/other", "somebody's"),
        ("usr/lib/skinnybox/protocol", f"{GUEST_PROTOCOL}\n"),
    ):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_it_imports_one(server: Running, home: Path) -> None:
    tree = a_tree(home / "tree")
    begun = post(server, "/imports", {"reference": "x:1", "source": str(tree), "as_is": True})
    found = ended(server, begun["job"])
    assert found["state"] == "done", found
    masters = server.get("/api/v1/masters", over_socket=True)[1]["items"]
    assert [master["master"] for master in masters] == ["x:1"]
    [actor] = {each["actor"] for each in server.get("/api/v1/jobs", over_socket=True)[1]["items"]}
    assert actor == "owner"  # one job, and none of the child's own


@pytest.mark.full
def test_it_makes_one_of_a_machine(server: Running, home: Path) -> None:
    """The child reads what its parent has locked; files belong to users of a range that is this user's."""
    tree = promotable.a_tree(home / "tree")
    begun = post(server, "/imports", {"reference": "lamp:1", "source": str(tree), "as_is": False})
    assert ended(server, begun["job"])["state"] == "done", job(server, begun["job"])
    told = {"names": ["one"], "master": "lamp:1", "overlay": "64M", "sparse": True}
    begun = post(server, "/machines", told)
    assert ended(server, begun["job"])["state"] == "done", job(server, begun["job"])
    [overlay] = (home / "own/state/instances").glob("*/overlay.img")
    promotable.wrote(overlay, {"srv/site": f("mine", uid=33, gid=33), "etc/hostname": f("one\n")})
    os.chown(overlay, USER, USER)  # what root has edited is root's
    seen = server.get("/api/v1/machines/one/promotion", over_socket=True)[1]
    assert "follows" in seen, seen
    assert (seen["follows"], [each["path"] for each in seen["left_out"]]) == ("lamp:1", ["/etc/hostname"])
    begun = post(server, "/machines/one/promotion", {"master": "lamp:2"})
    assert ended(server, begun["job"])["state"] == "done", job(server, begun["job"])
    masters = server.get("/api/v1/masters", over_socket=True)[1]["items"]
    assert [master["master"] for master in masters] == ["lamp:1", "lamp:2"]
    begun = post(server, "/machines/one/promotion", {"master": "site:1", "as_layer": True, "paths": ["/srv"]})
    assert ended(server, begun["job"])["state"] == "done", job(server, begun["job"])
    [layer] = (home / "own/state/layers").glob("*/manifest.json")
    assert '"site"' in layer.read_text() and layer.stat().st_uid == USER


def test_what_goes_wrong_there_is_told_as_it_is_told_here(server: Running, home: Path) -> None:
    tree = a_tree(home / "tree")
    (tree / "usr/lib/skinnybox/protocol").unlink()
    begun = post(server, "/imports", {"reference": "x:1", "source": str(tree), "as_is": True})
    found = ended(server, begun["job"])
    assert found["state"] == "failed" and "no guest part" in found["error"]


def slow_packages(home: Path) -> None:
    """An mmdebstrap that never ends, and says so."""
    (home / "bin").mkdir()
    program = home / "bin/mmdebstrap"
    program.write_text(
        f"#!/bin/sh\necho $$ >{home}/own/begun\nwhile :; do echo 'I: downloading'; sleep 0.1; done\n"
    )
    program.chmod(0o755)


def test_it_tells_how_far_it_is_and_ends_when_it_is_asked_to(server: Running, home: Path) -> None:
    slow_packages(home)
    begun = post(server, "/builds", {"reference": "x:1"})
    until(lambda: (job(server, begun["job"])["step"] or {}).get("task") == "build")
    assert list((home / "own/state/masters").glob(".work-*"))
    post(server, f"/jobs/{begun['job']}/cancel")
    assert ended(server, begun["job"])["state"] == "cancelled"
    assert not list((home / "own/state/masters").glob(".work-*"))  # nothing of it is left


def test_it_ends_with_a_server_that_is_killed(server: Running, home: Path) -> None:
    slow_packages(home)
    post(server, "/builds", {"reference": "x:1"})
    until(lambda: bool(list((home / "own/state/masters").glob(".work-*"))) and (home / "own/begun").exists())
    server.process.kill()
    server.process.wait()
    until(lambda: not list((home / "own/state/masters").glob(".work-*")))


def test_without_ids_of_its_own_it_says_what_is_missing(server: Running, home: Path) -> None:
    for name in ("subuid", "subgid"):
        (home / name).write_text("")
    tree = a_tree(home / "tree")
    begun = post(server, "/imports", {"reference": "x:1", "source": str(tree), "as_is": True})
    found = ended(server, begun["job"])
    assert found["state"] == "failed" and "only root" in found["error"]


@pytest.mark.full
def test_it_builds_a_layer_by_a_recipe(server: Running, home: Path) -> None:
    """Its programs are root of a namespace in that namespace, and give files to whomever they like."""
    busybox = run.find("busybox")
    if busybox is None:
        pytest.skip("no static busybox here")
    tree = a_tree(home / "tree")
    (tree / "bin").mkdir()
    shutil.copy(busybox, tree / "bin/busybox")
    for name in ("sh", "cat", "chmod", "chown", "mkdir"):
        (tree / "bin" / name).symlink_to("busybox")
    begun = post(server, "/imports", {"reference": "x:1", "source": str(tree), "as_is": True})
    assert ended(server, begun["job"])["state"] == "done"
    recipe = "scripts: ['mkdir -p /srv; echo x >/srv/x; chown 33:44 /srv/x']"
    begun = post(server, "/layers/builds", {"reference": "own:1", "above": "x", "recipe": recipe})
    found = ended(server, begun["job"])
    assert found["state"] == "done", found
    [layer] = server.get("/api/v1/layers", over_socket=True)[1]["items"]
    index = home / "own/state/layers" / layer["id"].removeprefix("sha256:") / "index.jsonl.gz"
    entries = {entry.path: (entry.uid, entry.gid) for entry in read_index(index)}
    assert sorted(entries) == [b"", b"srv", b"srv/x"]
    assert (entries[b"srv"], entries[b"srv/x"]) == ((0, 0), (33, 44))
