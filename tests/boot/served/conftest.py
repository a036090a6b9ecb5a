"""A machine that serves a site from a database, made once and kept for each guest part: tests work on copies
of it, and on machines of the master that it becomes."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.settings import Settings
from skinnybox.fleet.specification import Specification
from skinnybox.fleet.view import MachineView
from skinnybox.masters.system import image
from skinnybox.model import Allocation, Overlay
from skinnybox.sizes import MIB
from tests.boot import lamp, packages
from tests.boot.conftest import CACHE, RESULTS, guest_version
from tests.pace import within

STATE = CACHE.with_name("boot-served")
SOURCE = "source"
DRIVER = "php8.2-mysql"
SERVER = ("apache2", "libapache2-mod-php", "mariadb-server", DRIVER)
"""What its master has: to install that in a machine which is emulated takes the better part of an hour."""
OVERLAY = Overlay(size=1536 * MIB, allocation=Allocation.SPARSE)
WANTED = Specification(overlay=OVERLAY, memory=768 * MIB, cpus=2)
ROWS = 1000
MORE = f"""
mariadb shop -e "create table posts (id int primary key auto_increment, text varchar(200)) engine=InnoDB;
    insert into posts (text) select concat(seq, repeat('x', seq % 100)) from seq_1_to_{ROWS};"
"""
SHOWN = b"row 42 of 8\n"


def of_the_guest(name: str) -> str:
    return f"{name}:{guest_version()[:8]}"


PLAIN = of_the_guest("plain")


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    with open_fleet(Settings(state=STATE)) as opened:
        _clear(opened, keep=())
        yield opened
        _clear(opened, keep=(SOURCE,))


def _clear(fleet: Fleet, *, keep: tuple[str, ...]) -> None:
    """Of what a run that was killed left, and in the end of what is not kept."""
    keep = (SOURCE,) if PLAIN in known_masters(fleet) else keep
    if gone := [name for name in fleet.names() if name not in keep]:
        fleet.delete(gone, force=True)


def known_masters(fleet: Fleet) -> list[str]:
    return [each.reference for each in fleet.masters.all()]


@pytest.fixture(scope="session")
def plain(fleet: Fleet) -> str:
    """The master that the machine was made of."""
    known = known_masters(fleet)
    if PLAIN not in known:
        for old in [each.reference for each in fleet.layers.all()]:
            fleet.layers.remove(old)
        for old in reversed(known):
            fleet.masters.remove(old)
        fleet.masters.build(PLAIN, packages=("attr", *SERVER, *lamp.OF_THE_MASTER))
    return PLAIN


@pytest.fixture(scope="session")
def source(fleet: Fleet, plain: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Stopped. What is half made is made anew."""
    if SOURCE in fleet.names() and fleet.machine(SOURCE).instance.labels == (("whole", "yes"),):
        return SOURCE
    if SOURCE in fleet.names():
        fleet.delete([SOURCE], force=True)
    fleet.create([SOURCE], plain, WANTED)
    started(fleet, SOURCE)
    folder = tmp_path_factory.mktemp("packages") / "repository"
    status = told(fleet, SOURCE, "cat /var/lib/dpkg/status").encode()
    new = [name for name in lamp.INSTALLED if name not in SERVER]
    packages.repository(folder, status, new, ())
    fleet.remote.send(SOURCE, [folder], str(Path(lamp.HERE).parent), recursive=True)
    log = "/root/lived.log"
    line = f"DRIVER={DRIVER}\n( {lamp.LIVED}{MORE} ) >{log} 2>&1 </dev/null"
    told(fleet, SOURCE, f"{line} || {{ tail -n 40 {log} >&2; exit 1; }}; rm -r {log} {lamp.HERE}")
    assert told(fleet, SOURCE, "curl -fsS http://127.0.0.1/").encode() == SHOWN
    stopped(fleet, SOURCE)
    assert fleet.set([SOURCE], {"labels": (("whole", "yes"),)})[0].ok
    return SOURCE


@pytest.fixture
def copied(fleet: Fleet, source: str, request: pytest.FixtureRequest) -> Iterator[Callable[[str], str]]:
    """A machine like it, stopped; gone after the test, like any other that the test made."""

    def make(name: str) -> str:
        fleet.deltas.copy(source, [name])
        return name

    before = set(fleet.names())
    yield make
    for name in set(fleet.names()) - before:
        (RESULTS / "served").mkdir(parents=True, exist_ok=True)
        console = RESULTS / "served" / f"{request.node.name}-{name}.console"
        console.write_bytes(fleet.console_log(name))
        fleet.delete([name], force=True)


def started(fleet: Fleet, name: str) -> MachineView:
    begun = time.monotonic()
    (outcome,) = fleet.start([name], timeout=within(600))
    if outcome.error:
        raise outcome.error
    print(f"{name}: ready after {time.monotonic() - begun:.1f} s")
    return fleet.machine(name)


def stopped(fleet: Fleet, name: str) -> None:
    from skinnybox.fleet.power import Stopping

    (outcome,) = fleet.stop([name], Stopping(timeout=within(300)))
    if outcome.error:
        raise outcome.error


def told(fleet: Fleet, name: str, line: str) -> str:
    """What lines of shell say in a machine. A failing line fails the test."""
    (outcome,) = fleet.remote.execute([name], ["sh", "-euc", line])
    if outcome.error:
        raise outcome.error
    assert outcome.value is not None
    assert outcome.value.code == 0, outcome.value.stderr.decode() + outcome.value.stdout.decode()[-2000:]
    return outcome.value.stdout.decode(errors="surrogateescape")


def content(fleet: Fleet, reference: str, path: str) -> bytes | None:
    """Of a file of a master, as it is sealed."""
    master = fleet.masters.find(reference)
    with (fleet.masters.folder(master) / master.images[0].file).open("rb") as opened:
        return image.opened(opened.fileno()).read(path, 1 << 20)
