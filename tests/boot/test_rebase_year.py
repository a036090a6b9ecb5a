"""A LAMP machine with a year of life moves to a master with security updates and one more program."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skinnybox.delta.rebase.values import Decision, Standing
from skinnybox.fleet.rebase_rollout import Rollout
from skinnybox.fleet.rebases import Wishes
from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.settings import Settings
from skinnybox.fleet.specification import Specification
from skinnybox.fleet.view import MachineView
from skinnybox.masters.sources import own_sources, release
from skinnybox.model import Allocation, Overlay
from skinnybox.sizes import MIB
from tests.boot import packages, year
from tests.boot.conftest import CACHE, RESULTS, guest_version
from tests.pace import within

pytestmark = [pytest.mark.full, pytest.mark.timeout(7200)]
STATE = CACHE.with_name("boot-rebase")
PATIENCE = 1800.0
"""Seconds: a trial configures what is new of some dozen packages, where machines are emulated."""
DISPUTED = ("etc/apt/sources.list.d/0000main.sources", "etc/logrotate.d")
"""Deleted by its administrator, and another in the new master; and a folder that was made anew, which hides
what redis brings for it. Nobody but a person can say."""
MINE = Wishes(pin=tuple(f"/{path}" for path in DISPUTED))


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    """With two masters: of the release as it came out, and of today with redis."""
    with open_fleet(Settings(state=STATE)) as opened:
        _clear(opened)
        known = [each.reference for each in opened.masters.all()]
        if _master(2) not in known:
            for old in reversed(known):
                opened.masters.remove(old)
            of_release = [f"  - {line}" for line in _as_it_came_out()]
            text = "\n".join(["sources:", *of_release, f"packages: [{', '.join(year.OF_THE_MASTER)}]"])
            opened.masters.build(_master(1), text=text)
            opened.masters.build(_master(2), packages=(*year.OF_THE_MASTER, "redis-server", "tree"))
        yield opened
        _clear(opened)


def _clear(fleet: Fleet) -> None:
    if fleet.names():
        fleet.delete(fleet.names(), force=True)


def _master(number: int) -> str:
    return f"web:{number}.{guest_version()[:8]}"


def _as_it_came_out() -> Iterator[str]:
    """Lines of sources, without what was updated later."""
    codename = release().codename
    for source in own_sources(codename):
        if codename in source.suites:
            for uri in source.uris:
                key = f"[signed-by={source.signed_by}] " if source.signed_by.startswith("/") else ""
                yield f"'deb {key}{uri} {codename} {' '.join(source.components)}'"


@pytest.fixture
def lived(
    fleet: Fleet,
    up: Callable[[str], MachineView],
    down: Callable[[str], None],
    sh: Callable[[str, str], str],
    tmp_path: Path,
) -> dict[str, str]:
    """A year has gone by; what is to be the same afterwards."""
    overlay = Overlay(size=1536 * MIB, allocation=Allocation.SPARSE)
    fleet.create(["web"], _master(1), Specification(overlay=overlay, memory=1024 * MIB, cpus=2))
    up("web")
    folder = tmp_path / "repository"
    packages.repository(folder, sh("web", "cat /var/lib/dpkg/status").encode(), year.NEW, ())
    fleet.remote.send("web", [folder], str(Path(year.HERE).parent), recursive=True)
    log = "/root/year.log"
    sh("web", f"( {year.YEAR} ) >{log} 2>&1 </dev/null || {{ tail -n 40 {log} >&2; exit 1; }}")
    found = year.blocks(sh("web", year.LOOK))
    down("web")
    return found


def test_a_year_of_life_is_kept_on_another_master(
    fleet: Fleet,
    lived: dict[str, str],
    up: Callable[[str], MachineView],
    down: Callable[[str], None],
    sh: Callable[[str, str], str],
) -> None:
    _, every = fleet.rebases.plan("web", _master(2), Wishes())
    _keep_plan(every)
    assert tuple(each.name for each in every if each.standing is not Standing.CLEAN) == DISPUTED
    (outcome,) = fleet.rebases.run(["web"], _master(2), MINE, Rollout(timeout=within(PATIENCE)))
    if outcome.error:
        raise outcome.error
    up("web")
    assert year.blocks(sh("web", year.LOOK)) == lived
    whole = year.blocks(sh("web", year.WHOLE))
    assert (whole["audit"], whole["check"], whole["failed"]) == ("", "", "")
    assert whole["active"].split() == ["active"] * 4
    assert sh("web", "systemctl is-active redis-server; dpkg-query -W -f '${Version}' apache2") == (
        f"active\n{_version(fleet, 'apache2', 2)}"
    )
    down("web")
    (outcome,) = fleet.rebases.rollback(["web"])
    if outcome.error:
        raise outcome.error
    up("web")
    assert year.blocks(sh("web", year.LOOK)) == lived
    assert sh("web", "dpkg-query -W -f '${Version}' apache2") == _version(fleet, "apache2", 1)


def _version(fleet: Fleet, package: str, number: int) -> str:
    found = fleet.masters.system(_master(number)).packages or ()
    return next(each.version for each in found if each.name == package)


def _keep_plan(every: list[Decision]) -> None:
    RESULTS.mkdir(exist_ok=True)
    lines = (f"{e.standing} {e.subject} /{e.name} {e.kind} {e.fate} {e.detail}\n" for e in every)
    (RESULTS / "year.plan").write_text("".join(lines), errors="surrogateescape")
