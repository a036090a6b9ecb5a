"""The unit of `serve --unit`, under the systemd of a Debian machine that has Skinnybox in it: as the how-to
page says, in a folder that is not there yet. Machines in that one are made and deleted, and not started."""

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import MachineView
from skinnybox.model import Allocation, Overlay
from skinnybox.sizes import GIB
from tests.boot.conftest import Create
from tests.boot.test_hostile import until
from tests.samples import seal

pytestmark = [pytest.mark.full, pytest.mark.timeout(3600)]

Up = Callable[[str], MachineView]
Sh = Callable[[str, str], str]
Line = Callable[[str], str]

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "curl", "e2fsprogs", "erofs-utils", "openssh-client", "procps", "python3", "qemu-system-x86",
    "qemu-utils",
)  # fmt: skip
MOST_EXPOSED = 7.2
"""Of ten, by `systemd-analyze security`; what is left is told in serve/unit.py."""
MASTER = "tiny:1"
MANY = [f"m-{number}" for number in range(300)]
STATE = "/srv/boxes"
API = f"curl -sS --unix-socket {STATE}/serve.sock -H 'Content-Type: application/json' http://localhost/api/v1"
PROGRAM = """\
#!/opt/skinnybox/bin/python3
import sys
from skinnybox.__main__ import main
sys.exit(main())
"""


def _needed() -> Iterator[importlib.metadata.Distribution]:
    """What `pip install skinnybox[serve]` brings, as it is installed here."""
    seen, ahead = {"skinnybox"}, [("skinnybox", {"serve"})]
    while ahead:
        name, extras = ahead.pop()
        for text in importlib.metadata.requires(name) or ():
            asked = Requirement(text)
            wanted = any(asked.marker.evaluate({"extra": e}) for e in extras | {""}) if asked.marker else True
            if wanted and asked.name.lower() not in seen:
                seen.add(asked.name.lower())
                ahead.append((asked.name, set(asked.extras)))
                yield importlib.metadata.distribution(asked.name)


def _installed(folder: Path) -> None:
    for each in _needed():
        for file in each.files or ():
            if ".." not in file.parts and file.suffix != ".pyc":
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(Path(str(file.locate())), folder / file)
    words = ["-q", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(folder), str(ROOT)]
    subprocess.run([sys.executable, "-m", "pip", "install", *words], check=True, timeout=600)


@pytest.fixture
def serving(fleet: Fleet, tmp_path: Path) -> Iterator[str]:
    """A master in which this checkout is installed, with the store of a small master beside it."""
    folder, program = tmp_path / "skinnybox", tmp_path / "program"
    _installed(folder)
    program.write_text(PROGRAM)
    seal(tmp_path / "state", tmp_path, *MASTER.split(":"))
    recipe = tmp_path / "serving.yaml"
    recipe.write_text(
        f"suite: bookworm\nunrelated: true\npackages: {json.dumps(PACKAGES)}\ncopy:\n"
        f"  - {{source: {folder}, dest: /opt/skinnybox/lib/python3.11/site-packages}}\n"
        f"  - {{source: {program}, dest: /usr/local/bin/skinnybox, mode: 0755}}\n"
        f"  - {{source: {tmp_path}/state/masters, dest: /opt/masters}}\n"
        "scripts:\n  - python3 -m venv --without-pip /opt/skinnybox\n"
        "  - python3 -m compileall -q /opt/skinnybox\n"
    )
    fleet.masters.build("serving:1", recipe)
    yield "serving:1"
    fleet.masters.remove("serving:1")


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="what is copied is for Debian 12's Python")
def test_the_unit_serves_restarts_and_loses_nothing(
    fleet: Fleet, serving: str, create: Create, up: Up, sh: Sh
) -> None:
    overlay = Overlay(size=2 * GIB, allocation=Allocation.SPARSE)
    create("serves", master=serving, overlay=overlay, memory=GIB, cpus=2)
    up("serves")

    def inside(line: str) -> str:
        return sh("serves", line)

    inside(f"skinnybox --state {STATE} serve --unit >/etc/systemd/system/skinnybox-serve.service")
    inside(f"test ! -e {STATE}; systemctl daemon-reload; systemctl enable --now skinnybox-serve")
    assert json.loads(inside(f"{API}/about"))["role"] == "admin"
    assert inside("curl -sS http://127.0.0.1:8470/readyz").strip() == "ready"
    told = inside("systemd-analyze security --no-pager skinnybox-serve")
    print(told)
    exposure = re.search(r"Overall exposure level for \S+: ([0-9.]+)", told)
    assert exposure is not None and float(exposure[1]) <= MOST_EXPOSED
    inside(
        f"mkdir -p {STATE}/masters && cp -r /opt/masters/. {STATE}/masters/ && chmod -R go= {STATE}/masters"
    )
    _made_and_deleted(inside)
    _ended_in_the_middle(inside, "systemctl restart skinnybox-serve")
    assert int(inside("systemctl show --value -p NRestarts skinnybox-serve")) == 0
    _ended_in_the_middle(inside, "systemctl kill --kill-whom=main -s KILL skinnybox-serve")
    assert int(inside("systemctl show --value -p NRestarts skinnybox-serve")) == 1


def _asked(inside: Line, route: str, **body: object) -> int:
    told = json.loads(inside(f"{API}/{route} -d '{json.dumps(body)}'"))
    assert "job" in told, told
    return int(told["job"])


def _job(inside: Line, job: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(inside(f"{API}/jobs/{job}"))
    return found


def _has_ended(inside: Line, job: int) -> bool:
    return bool(_job(inside, job)["state"] != "running")


def _done(inside: Line, route: str, **body: object) -> None:
    job = _asked(inside, route, **body)
    until(partial(_has_ended, inside, job), 300, f"job {job}")
    assert _job(inside, job)["state"] == "done", inside("journalctl --no-pager -n 30 -u skinnybox-serve")


def _names(inside: Line) -> set[str]:
    return set(inside(f"skinnybox --state {STATE} list --names").split())


def _made_and_deleted(inside: Line) -> None:
    """One of them stays, so that there is something to lose."""
    _done(inside, "machines", names=["web-1", "web-2"], master=MASTER, overlay="64M")
    assert _names(inside) == {"web-1", "web-2"}
    _done(inside, "actions/delete", names=["web-2"], force=True)
    assert _names(inside) == {"web-1"}


def _ended_in_the_middle(inside: Line, ending: str) -> None:
    """What was begun is taken back, by the end or by the next start; and that does what is asked again."""
    making = {"master": MASTER, "overlay": "32M", "sparse": True, "skip_existing": True}
    job = _asked(inside, "machines", names=MANY, **making)
    begun = f"[ $(ls {STATE}/instances | wc -l) -gt 5 ]"
    inside(f"for _ in $(seq 300); do {begun} && break; sleep 0.1; done; {begun} && timeout 60 {ending}")
    until(lambda: "ready" in inside("curl -sS http://127.0.0.1:8470/readyz || true"), 300, ending)
    told = _job(inside, job)
    print(ending, told["state"], told["error"], inside("journalctl --no-pager -n 20 -u skinnybox-serve"))
    assert told["state"] == "interrupted"
    assert "nothing to put right" in inside(f"skinnybox --state {STATE} repair 2>&1")
    assert _names(inside) == {"web-1"}
    some = MANY[:10]
    _done(inside, "machines", names=some, **making)
    assert _names(inside) == {"web-1", *some}
    _done(inside, "actions/delete", names=some, force=True)
