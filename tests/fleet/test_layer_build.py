"""`layer build`: a recipe on top of a stack, of which what it made is a layer."""

import contextlib
import json
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from skinnybox.delta.recipe import steps
from skinnybox.errors import Cancelled, NotFound, SkinnyboxError, Unsupported, UsageError
from skinnybox.fleet.layers import Layers
from skinnybox.fleet.making import LayerRecipe
from skinnybox.fleet.service import Fleet
from skinnybox.masters.index import Entry, read_index
from skinnybox.masters.recipe import parse
from skinnybox.model import Layer, Master
from skinnybox.operation import Operation
from tests.fleet.conftest import said
from tests.layered import DATED, planted
from tests.pace import within
from tests.samples import seal

FILES = {
    "etc/os-release": "x", "usr/lib/skinnybox/protocol": "5\n", "etc/passwd": "root:x:0:0::/root:/bin/sh\n",
    "etc/group": "root:x:0:\n",
    "etc/motd": "hello\n", "etc/hosts": "localhost\n", "srv/folder/x": "x", "var/lib/dpkg/status": "",
    "tmp/x": "x",
}  # fmt: skip
NEEDS_BUSYBOX = pytest.mark.skipif(shutil.which("busybox") is None, reason="no static busybox here")
pytestmark = NEEDS_BUSYBOX


@pytest.fixture(scope="session")
def _busybox() -> bytes:
    found = shutil.which("busybox")
    return Path(found).read_bytes() if found else b""


@pytest.fixture
def box(state: Path, tmp_path: Path, _busybox: bytes, fleet: Fleet) -> Master:
    """box:1, with programs."""
    tree = planted(tmp_path / "tree-box-1", FILES)
    (tree / "bin").mkdir()
    (tree / "bin/busybox").write_bytes(_busybox)
    (tree / "bin/busybox").chmod(0o755)
    for name in (
        "sh", "cat", "chmod", "chown", "mkdir", "touch", "tar", "rm", "ln", "id", "ls", "sleep", "mount",
        "mv", "mknod", "readlink", "dd", "date", "cp",
    ):  # fmt: skip
        (tree / "bin" / name).symlink_to("busybox")
    for path in (tree / "bin", *(tree / "bin").iterdir(), tree):
        os.utime(path, (DATED, DATED), follow_symlinks=False)
    return seal(state, tmp_path, "box", "1")


@pytest.fixture
def layers(fleet: Fleet, box: Master) -> Layers:
    return fleet.layers


def recipe(tmp_path: Path, *scripts: str, copy: str = "") -> LayerRecipe:
    return LayerRecipe(file=written(tmp_path, *scripts, copy=copy))


def written(tmp_path: Path, *scripts: str, copy: str = "") -> Path:
    file = tmp_path / "recipe.yaml"
    file.write_text(f"copy: [{copy}]\nscripts: {json.dumps(list(scripts))}\n")
    return file


def entries(layers: Layers, layer: Layer) -> dict[str, Entry]:
    found = read_index(layers.folder(layer) / "index.jsonl.gz")
    return {os.fsdecode(entry.path): entry for entry in found}


SCRIPT = """
mkdir -p /opt/tool/bin /srv/folder/new /opt/empty /root/.cache/pip/x
echo run >/opt/tool/bin/run; chmod 0750 /opt/tool/bin/run; chown 33:44 /opt/tool/bin/run
ln /opt/tool/bin/run /opt/tool/bin/again; ln -s run /opt/tool/bin/link
echo more >>/etc/motd; cp /etc/hosts /tmp/kept; rm /etc/hosts; mv /tmp/kept /etc/hosts
touch -d @1 /srv/folder/x; chmod 0700 /srv; rm /tmp/x
echo x >/root/.ash_history; echo x >/root/.cache/pip/x/y; mkdir -p /var/log; echo x >/var/log/l
echo x >/etc/ld.so.cache
"""


def test_what_it_made_is_the_layer_and_nothing_else_is(layers: Layers, tmp_path: Path) -> None:
    planted(tmp_path / "site", {"index.html": "hello", "a/b": "c"})
    wanted = recipe(tmp_path, SCRIPT, copy="{source: site, dest: /srv/www, owner: '33:33'}, "
                  "{source: site/index.html, dest: /srv/one.html, mode: 0640}")  # fmt: skip
    told: list[str] = []
    layer = layers.build("tool:1", wanted, above="box", operation=Operation(log=told.append))
    assert (layer.reference, layer.made_for) == ("tool:1", "box:1")
    found = entries(layers, layer)
    assert list(found) == [
        "", "etc", "etc/motd", "opt", "opt/empty", "opt/tool", "opt/tool/bin", "opt/tool/bin/again",
        "opt/tool/bin/link", "opt/tool/bin/run", "srv", "srv/folder", "srv/folder/new", "srv/one.html",
        "srv/www", "srv/www/a", "srv/www/a/b", "srv/www/index.html",
    ]  # fmt: skip
    run = found["opt/tool/bin/run"]
    assert (run.mode, run.uid, run.gid, run.link) == (0o750, 33, 44, b"opt/tool/bin/again")
    assert (found["srv/www/a/b"].uid, found["srv/one.html"].mode) == (33, 0o640)
    assert {entry.mtime_ns for path, entry in found.items() if "opt" in path} == {DATED * 10**9}
    assert found["srv"].mode == 0o755
    assert sorted(told) == [
        "in place of what box:1 has there: /etc/motd",
        "not in the layer (caches): /root/.cache",
        "not in the layer (folder): /srv",
        "not in the layer (history): /root/.ash_history",
        "not in the layer (logs): /var/log",
        "not in the layer (system): /etc/ld.so.cache",
    ]
    assert layers.verify("tool") == layer


@pytest.mark.full
def test_the_same_recipe_gives_the_same_layer(layers: Layers, tmp_path: Path) -> None:
    file = written(tmp_path, SCRIPT)
    first = layers.build("tool:1", LayerRecipe(file=file), above="box")
    assert layers.build("tool:1", LayerRecipe(file=file), above="box") == first
    layers.remove("tool")
    again = layers.build("tool:1", LayerRecipe(text=file.read_text()), above="box")
    assert (again.id, again.images) == (first.id, first.images)


@pytest.mark.full
def test_it_may_need_another_layer_which_is_no_part_of_it(layers: Layers, tmp_path: Path) -> None:
    planted(tmp_path / "lib", {"opt/lib/data": "from below", "opt/lib/more": "x"})
    layers.import_tree(tmp_path / "lib", "lib:1", above="box")
    file = written(tmp_path, "cat /opt/lib/data >/srv/made; echo 1 >/opt/lib/own")
    layer = layers.build("made:1", LayerRecipe(file=file, layers=("lib",)), above="box")
    assert list(entries(layers, layer)) == ["", "opt", "opt/lib", "opt/lib/own", "srv", "srv/made"]
    with pytest.raises(UsageError, match="script 1 of the recipe failed"):
        layers.build("made:2", LayerRecipe(file=file), above="box")


REFUSED = {
    "echo x >>/var/lib/dpkg/status": (Unsupported, "packages of a machine"),
    "echo x >>/etc/passwd": (Unsupported, "accounts of a machine"),
    "rm -r /srv/folder; echo x >/srv/folder": (Unsupported, "is a folder in"),
    "rm /etc/motd; mkdir /etc/motd; echo x >/etc/motd/x": (Unsupported, "is no folder in"),
    "false": (UsageError, "script 1 of the recipe failed with 1"),
    "kill -9 $$": (UsageError, "failed with 137"),
    "true": (UsageError, "there is no file in it"),
    "rm /etc/motd": (UsageError, "there is no file in it"),
}


def _in_core(script: str) -> object:
    return (
        script
        if script.startswith(("true", "echo x >>/var"))
        else pytest.param(script, marks=pytest.mark.full)
    )


@pytest.mark.parametrize("script", list(map(_in_core, REFUSED)))
def test_what_cannot_be_a_layer_is_refused_with_nothing_left(
    state: Path, layers: Layers, tmp_path: Path, script: str
) -> None:
    kind, words = REFUSED[script]
    for act in (layers.build, layers.would_build):
        with pytest.raises(kind, match=words) as caught:
            act("bad:1", recipe(tmp_path, script), above="box")
        assert caught.value.hint
    assert [place.name for place in (state / "layers").iterdir()] == [".lock"]


def test_what_only_a_master_can_have_is_refused() -> None:
    for text in ("packages: [vim]", "slim: true", "dax: true", "suite: trixie", "{}"):
        with pytest.raises(UsageError, match=r"layer's recipe may hold|does nothing") as caught:
            steps.refuse_of_masters(parse(text, Path("/recipe")))
        hint = "may hold: copy, scripts" if text == "{}" else "master build"
        assert hint in str(caught.value.hint)


@pytest.mark.parametrize("text", ["just text", "- a\n", "copy: x\n", "packages: x\n", "scrips: [true]\n"])
def test_a_hint_about_a_recipe_has_the_keys_of_layers_alone(
    layers: Layers, master: Master, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(text)
    for order in (LayerRecipe(file=file), LayerRecipe(text=text)):
        with pytest.raises(UsageError, match="line 1: ") as caught:
            layers.build("made:1", order, above="tiny")
        assert caught.value.hint == "a layer's recipe may hold: copy, scripts"


@pytest.mark.full
def test_a_tree_without_programs_is_said_to_be_one(fleet: Fleet, tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="sh of the tree cannot be executed") as caught:
        fleet.layers.build("bad:1", recipe(tmp_path, "true"), above="tiny")
    assert "a tree with a shell" in str(caught.value.hint)
    with pytest.raises(NotFound):
        fleet.layers.build("bad:1", recipe(tmp_path, "true"), above="none")


OUTSIDE = """
none() {{ if "$@" 2>/dev/null; then echo "it can: $*"; exit 9; fi; }}
none mknod /srv/null c 1 3
none mount -o remount,dev /
none ls /proc/1/cwd/home
none [ -e {secret} ]
none kill -0 {pid}
for link in exe cwd root fd/0 fd/1; do none readlink /proc/1/$link; done
[ "$(/bin/busybox grep -c : /proc/net/dev)" = 1 ]
echo in >/srv/in
"""


@pytest.mark.full
def test_what_runs_there_has_nothing_else_around_it(layers: Layers, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    script = OUTSIDE.format(secret=secret, pid=os.getpid())
    layer = layers.build("in:1", recipe(tmp_path, script), above="box")
    assert "srv/in" in entries(layers, layer)
    assert secret.exists()


@pytest.mark.parametrize("source", ["text", "file", "folder"])
def test_what_is_read_there_is_no_file_of_this_computer(tmp_path: Path, source: str) -> None:
    """By /proc/self/fd/0 a root of the same number would open it anew, and write."""
    planted(tmp_path / "site", {"one": "1"})
    given: dict[str, Path | str] = {"text": "1", "file": tmp_path / "site/one", "folder": tmp_path / "site"}
    with steps._read(given[source]) as stdin:
        info = os.fstat(stdin.fileno())
        assert stat.S_ISFIFO(info.st_mode) or info.st_nlink == 0
        assert b"1" in stdin.read()


@pytest.mark.full
def test_who_cancels_it_leaves_nothing_that_runs(state: Path, layers: Layers, tmp_path: Path) -> None:
    operation = Operation(lambda step: operation.cancel() if step.detail == "script 1" else None)
    with pytest.raises(Cancelled):
        layers.build("bad:1", recipe(tmp_path, "sleep 4711"), above="box", operation=operation)
    assert [place.name for place in (state / "layers").iterdir()] == [".lock"]
    until(lambda: not _asleep(b"4711"))


@pytest.mark.full
def test_a_dry_run_says_what_would_be_in_it(
    state: Path, layers: Layers, tmp_path: Path, capsys: pytest.CaptureFixture[str], fleet: Fleet
) -> None:
    file = written(tmp_path, SCRIPT)
    words = ("--state", str(state), "--host", "memory", "layer", "build", "tool:1", str(file), "--for", "box")
    found = said(capsys, *words, "--dry-run", "--format", "json")
    rows = {row["path"]: row for row in json.loads(found.out)}
    assert (rows["/srv/folder/new"]["what"], rows["/srv/folder/new"]["files"]) == ("goes", 0)
    assert (rows["/opt"]["what"], rows["/opt"]["files"], rows["/opt"]["size"]) == ("goes", 3, 8)
    assert (rows["/srv"]["what"], rows["/srv"]["reason"]) == ("left out", "folder")
    assert layers.all() == []
    made = said(capsys, *words, "--format", "json")
    assert made.code == 0 and json.loads(made.out)["layer"] == "tool:1", made
    assert fleet.layers.find("tool").made_for == "box:1"


@pytest.mark.full
def test_a_source_that_vanishes_is_told(layers: Layers, tmp_path: Path) -> None:
    with pytest.raises(SkinnyboxError):
        layers.build("bad:1", recipe(tmp_path, "x", copy="{source: none, dest: /x}"), above="box")


@pytest.mark.full
def test_one_that_is_killed_leaves_nothing_that_runs(
    state: Path, layers: Layers, tmp_path: Path, fleet: Fleet
) -> None:
    file = written(tmp_path, "sleep 4712 & sleep 4712")
    words = ["--state", str(state), "--host", "fake", "layer", "build", "bad:1", str(file), "--for", "box"]
    command = [sys.executable, "-m", "skinnybox", *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        until(lambda: len(_asleep(b"4712")) == 2)
        child.kill()
    until(lambda: not _asleep(b"4712"))
    [left] = [place for place in (state / "layers").iterdir() if place.name.startswith(".work-")]
    assert (left / "tree/bin/sh").is_symlink()
    planted(tmp_path / "site", {"srv/x": "x"})
    layers.import_tree(tmp_path / "site", "site:1", above="box")
    assert not left.exists()


def until(found: Callable[[], bool]) -> None:
    deadline = time.monotonic() + within(60)
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _asleep(word: bytes) -> list[Path]:
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if file.read_bytes() == b"sleep\0" + word + b"\0":
                found.append(file)
    return found
