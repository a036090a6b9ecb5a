"""One real master and one state folder for all boot tests; a failed test keeps its machines' consoles."""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.settings import Settings
from skinnybox.fleet.specification import Specification
from skinnybox.fleet.view import MachineView
from skinnybox.masters import guest_part
from skinnybox.model import Allocation, Overlay
from skinnybox.sizes import MIB
from tests.pace import within

CACHE = Path(__file__).parents[2] / ".cache" / "boot-tests"
RESULTS = Path(__file__).parents[2] / "test-results"
MOST_SECONDS = 240.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.boot)
            if item.get_closest_marker("timeout") is None:  # one added here would hide a module's own
                item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    """On QEMU; its state folder is kept, so that the master is built once for each guest part."""
    settings = Settings(state=CACHE)
    with open_fleet(settings) as opened:
        _clear(opened)
        yield opened
        _clear(opened)


def _clear(fleet: Fleet) -> None:
    if fleet.names():
        fleet.delete(fleet.names(), force=True)


@pytest.fixture(scope="session")
def master(fleet: Fleet) -> str:
    """Debian with what the tests need, the guest part of this checkout, and both images."""
    reference = f"debian:{guest_version()}"
    if reference not in [known.reference for known in fleet.masters.all()]:
        for old in fleet.masters.all():
            fleet.masters.remove(old.reference)
        fleet.masters.build(reference, packages=("attr", "busybox"), dax=True)
    return reference


def guest_version() -> str:
    """Changes with every file of the guest part and of what makes masters; not with an appliance's, which is
    laid over a master's initramfs when it boots."""
    digest = hashlib.sha256()
    source, guest = Path(guest_part.__file__).parent, guest_part.guest_folder()
    for file in sorted([*guest.rglob("*"), *source.rglob("*.py")]):
        if file.is_file() and guest / "appliance" not in file.parents:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


Create = Callable[..., MachineView]


@pytest.fixture
def create(fleet: Fleet, master: str, request: pytest.FixtureRequest) -> Iterator[Create]:
    """Make a machine with some of a Specification's fields said; gone after the test."""
    made: list[str] = []

    def make(name: str, *, master: str = master, **fields: object) -> MachineView:
        overlay = Overlay(size=128 * MIB, allocation=Allocation.SPARSE)
        given: dict[str, object] = {
            "overlay": overlay, "memory": 512 * MIB, "cpus": 1, "dax": False, **fields
        }  # fmt: skip
        made.append(name)
        fleet.create([name], master, Specification(**given))  # type: ignore[arg-type]
        return fleet.machine(name)

    yield make
    failed = request.node.stash.get(_FAILED, False)
    for name in set(made) & set(fleet.names()):
        if failed:
            _keep_console(fleet, name, request.node.name)
        fleet.delete([name], force=True)


_FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    if report is not None and getattr(report, "failed", False):
        item.stash[_FAILED] = True
    return report


def _keep_console(fleet: Fleet, name: str, test: str) -> None:
    folder = RESULTS / test
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.console").write_bytes(fleet.console_log(name))
    run_folder = CACHE / "run" / str(fleet.machine(name).instance.uuid)
    for file in run_folder.glob("*.*"):
        if file.is_file():
            shutil.copy(file, folder / f"{name}.{file.name}")
    print(f"\nconsole and records of {name} are kept in {folder}")


@pytest.fixture
def masters(fleet: Fleet) -> Iterator[None]:
    """Those that are made here go again."""
    yield
    for name in fleet.names():
        if name.startswith(("edit-", "promoted-")):
            fleet.delete([name], force=True)
    for master in fleet.masters.all():
        if master.name == "promoted":
            fleet.masters.remove(master.reference)


@pytest.fixture
def up(fleet: Fleet) -> Callable[[str], MachineView]:
    """Start one machine and return it ready."""

    def start(name: str) -> MachineView:
        outcome = fleet.start([name], timeout=within(MOST_SECONDS))[0]
        if outcome.error:
            raise outcome.error
        return fleet.machine(name)

    return start


@pytest.fixture
def down(fleet: Fleet) -> Callable[[str], None]:
    """Stop one machine the gentle way."""
    from skinnybox.fleet.power import Stopping

    def stop(name: str) -> None:
        outcome = fleet.stop([name], Stopping(timeout=within(MOST_SECONDS)))[0]
        if outcome.error:
            raise outcome.error

    return stop


@pytest.fixture
def sh(fleet: Fleet) -> Callable[[str, str], str]:
    """Run a line of shell in a machine; its standard output. A failing line fails the test."""

    def run(name: str, line: str) -> str:
        outcome = fleet.remote.execute([name], ["sh", "-euc", line])[0]
        if outcome.error:
            raise outcome.error
        assert outcome.value is not None
        assert outcome.value.code == 0, outcome.value.stderr.decode()
        return outcome.value.stdout.decode()

    return run
