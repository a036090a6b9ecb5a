"""A web server with its database moves to the next release of Debian, and back."""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
from skinnybox.masters.catalogue import INDEX
from skinnybox.masters.index import read_index
from skinnybox.model import Allocation, Forward, Overlay
from skinnybox.operation import Operation
from skinnybox.package_cache import archive
from skinnybox.sizes import MIB
from tests.boot import lamp, releases, year
from tests.boot import lived as lived_once
from tests.boot.conftest import CACHE, MOST_SECONDS, RESULTS, guest_version
from tests.boot.test_forward import free_port, page
from tests.pace import within

pytestmark = [pytest.mark.full, pytest.mark.timeout(10_800)]
STATE = CACHE.with_name("boot-replay")
KEPT = CACHE.with_name("boot-replay-kept")
PATIENCE = 1800.0
CHECK = "curl -fsS http://127.0.0.1/ | grep -q ^row"
SUITES = {11: "bullseye", 12: "bookworm", 13: "trixie"}
PHP = {11: "7.4", 12: "8.2", 13: "8.4"}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """With a plain master of each release, the later ones made to follow the earlier ones."""
    with open_fleet(Settings(state=STATE)) as opened:
        _clear(opened)
        known = [each.reference for each in opened.masters.all()]
        if not {_master(number) for number in SUITES} <= set(known):
            for name in lived_once.names(opened, KEPT):
                lived_once.forget(opened, KEPT, name)
            for old in reversed(known):
                opened.masters.remove(old)
            folder = tmp_path_factory.mktemp("recipes")
            for number, suite in SUITES.items():
                releases.build_debian(opened, _master(number), suite, folder, lamp.OF_THE_MASTER)
        yield opened
        _clear(opened)


def _clear(fleet: Fleet) -> None:
    """But for those that had lived when a test failed."""
    kept = lived_once.names(fleet, KEPT)
    if kept:
        fleet.kill(kept)
    if others := sorted(set(fleet.names()) - set(kept)):
        fleet.delete(others, force=True)


def _master(number: int) -> str:
    return f"debian:{number}.{guest_version()[:8]}"


@dataclass(frozen=True, kw_only=True)
class Lived:
    """A machine that serves: what is to be the same afterwards, what its page says, and where it is asked."""

    before: int
    port: int
    known: dict[str, str]

    @property
    def name(self) -> str:
        return f"web-{self.before}"

    @property
    def driver(self) -> tuple[str, str]:
        """Of its PHP, as each release calls it."""
        return _driver(self.before), _driver(self.before + 1)


def _driver(number: int) -> str:
    return f"php{PHP[number]}-mysql"


def _page(number: int) -> bytes:
    return f"row 42 of {PHP[number][0]}\n".encode()


@pytest.fixture(params=[11, 12], ids=["to-12", "to-13"])
def lived(
    fleet: Fleet,
    request: pytest.FixtureRequest,
    up: Callable[[str], MachineView],
    down: Callable[[str], None],
    sh: Callable[[str, str], str],
    tmp_path: Path,
) -> Lived:
    number: int = request.param
    name, port = f"web-{number}", free_port(18_000 + number)  # one that was kept has another
    of = f"{_master(number)} {hashlib.sha256(lamp.LIVED.encode()).hexdigest()}"
    known = lived_once.kept(fleet, KEPT, name, of)
    if known is None:
        lived_once.forget(fleet, KEPT, name)
        overlay = Overlay(size=2048 * MIB, allocation=Allocation.SPARSE)
        fleet.create([name], _master(number), Specification(overlay=overlay, memory=1024 * MIB, cpus=2))
    assert fleet.set([name], {"forwards": (Forward(port=port, to=80),)})[0].ok
    if known is None:
        up(name)
        known = _lives(fleet, name, number, sh, tmp_path)
        assert page(port) == _page(number)
        down(name)
        lived_once.keep(fleet, KEPT, name, of, known)
    return Lived(before=number, port=port, known=known)


def _lives(
    fleet: Fleet, name: str, number: int, sh: Callable[[str, str], str], tmp_path: Path
) -> dict[str, str]:
    """What is to be found in it afterwards."""
    _bring_packages(fleet, name, number, (*lamp.INSTALLED, _driver(number)), tmp_path)
    log = "/root/lived.log"
    line = f"DRIVER={_driver(number)}\n( {lamp.LIVED} ) >{log} 2>&1 </dev/null"
    sh(name, f"{line} || {{ tail -n 40 {log} >&2; exit 1; }}")
    return year.blocks(sh(name, lamp.LOOK))


def _bring_packages(fleet: Fleet, name: str, number: int, names: tuple[str, ...], scratch: Path) -> None:
    """Of the machine's own release, as its master's sources have them."""
    folder = scratch / Path(lamp.HERE).name
    folder.mkdir()
    master = fleet.masters.find(_master(number))
    picture = fleet.masters.folder(master) / master.images[0].file
    with archive.opened(picture, STATE) as opened:
        opened.fetched(names, (), folder, Operation())
    folder.chmod(0o755)
    fleet.remote.send(name, [folder], str(Path(lamp.HERE).parent), recursive=True)


def test_it_serves_the_same_on_the_next_release(
    fleet: Fleet,
    lived: Lived,
    down: Callable[[str], None],
    sh: Callable[[str, str], str],
) -> None:
    name, after = lived.name, lived.before + 1
    assert _in_the_way(fleet, after, Wishes()) == {f"debian {after}"}
    assert _in_the_way(fleet, after, Wishes(replay=True)) == {lived.driver[0]}
    wishes = Wishes(replay=True, instead=(lived.driver,))
    assert _in_the_way(fleet, after, wishes) == set()
    how = Rollout(
        timeout=within(PATIENCE),
        check=CHECK,
        stay_on=frozenset([name]),
    )
    (outcome,) = fleet.rebases.run([name], _master(after), wishes, how)
    if outcome.error:
        raise outcome.error
    assert page(lived.port) == _page(after)
    assert page(lived.port, "shop") == _page(after)
    assert sh(name, ". /etc/os-release; echo $VERSION_ID") == f"{after}\n"
    assert year.blocks(sh(name, lamp.LOOK)) == lived.known
    whole = year.blocks(sh(name, lamp.WHOLE))
    for what in ("left", "dangling"):  # Debian 13 brings links that lead nowhere
        whole[what] = _beyond_its_master(fleet, after, whole[what])
    assert whole == {
        "audit": "",
        "check": "",
        "failed": "",
        "active": "active\nactive\nactive",
        "dangling": "",
        "left": "",
    }
    (outcome,) = fleet.rebases.rollback([name])
    if outcome.error:
        raise outcome.error
    (waited,) = fleet.wait([name], timeout=within(MOST_SECONDS))  # it was started again, and no more
    if waited.error:
        raise waited.error
    sh(name, "systemctl is-system-running --wait || :")  # the page needs the database
    assert page(lived.port) == _page(lived.before)
    assert sh(name, ". /etc/os-release; echo $VERSION_ID") == f"{lived.before}\n"
    assert year.blocks(sh(name, lamp.LOOK)) == lived.known
    lived_once.forget(fleet, KEPT, name)


def _beyond_its_master(fleet: Fleet, number: int, paths: str) -> str:
    """Of those paths: what no package brought there is in a master as well, as hwdb.bin is."""
    folder = fleet.masters.folder(fleet.masters.find(_master(number)))
    there = {"/" + os.fsdecode(entry.path) for entry in read_index(folder / INDEX)}
    return "\n".join(path for path in paths.splitlines() if path not in there)


def _in_the_way(fleet: Fleet, number: int, wishes: Wishes) -> set[str]:
    _, every = fleet.rebases.plan(f"web-{number - 1}", _master(number), wishes)
    _keep_plan(every, number)
    return {each.name for each in every if each.standing is not Standing.CLEAN}


def _keep_plan(every: list[Decision], number: int) -> None:
    RESULTS.mkdir(exist_ok=True)
    lines = (f"{e.standing} {e.subject} /{e.name} {e.kind} {e.fate} {e.detail}\n" for e in every)
    (RESULTS / f"replay-{number}.plan").write_text("".join(lines), errors="surrogateescape")
