"""What a parser that was taken over can reach: what it was handed, and nothing else, whoever started it."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import skinnybox
from skinnybox import run
from skinnybox.sandbox import jail, landlock
from skinnybox.sandbox.sockets import INTERNET, LISTENING, NO_SOCKETS

SOURCE = Path(skinnybox.__file__).parent.parent
TESTS = Path(__file__).parent.parent
PYTHON = "/usr/bin/python3"
ORDINARY = 54321
OF_ITS_PORT = {"listen at its own port"}
OF_THE_INTERNET = {
    *OF_ITS_PORT, "listen at another port", "connect to 127.0.0.1", "send to 127.0.0.1 at once",
    "a datagram to 127.0.0.1", "read /etc/passwd",
}  # fmt: skip
"""The last as its resolvers are in the same folder."""
LEFT = {".ssh", ".ssh/id", ".ssh/old", ".ssh/spare", "socket", "log", "other", "other/overlay.img"}
SHADOW = "read /etc/shadow"

pytestmark = [
    pytest.mark.usefixtures("for_everyone"),
    pytest.mark.skipif(not Path(PYTHON).exists(), reason="no python3 that everyone may run"),
]
users = pytest.mark.parametrize(
    "user", [pytest.param(None, id="as we are"), pytest.param(ORDINARY, id="ordinary")]
)
KERNELS: dict[str, list[str]] = {
    "this": [],
    "Linux 6.7": [f"{jail.LANDLOCK} 5"],
    "Linux 6.1": [f"{jail.LANDLOCK} 3"],
    "Linux 5.13": [f"{jail.LANDLOCK} 2"],
    "no Landlock": [jail.LANDLOCK],
}


@pytest.fixture
def place(user: int | None) -> Iterator[Path]:
    """A folder that who tries it may use, on the way to which nothing is closed."""
    if user is not None and os.geteuid() != 0:
        pytest.skip("only root becomes somebody else")
    made = Path(tempfile.mkdtemp(prefix="skinnybox-hostile-"))
    (made / "parser").mkdir()
    shutil.copy(TESTS / "hostile_parser.py", made / "parser")
    (made / "parser" / "skinnybox").symlink_to(SOURCE / "skinnybox")
    if user is not None:
        os.chown(made, user, user)
    yield made
    shutil.rmtree(made)
    Path(f"/tmp/home-{made.name}-made").unlink(missing_ok=True)


def tried(place: Path, user: int | None, *words: str) -> dict[str, Any]:
    become = [] if user is None else ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    driver = TESTS / "hostile_driver.py"
    done = run.run(
        [*become, PYTHON, "-I", "-B", "-c", driver.read_text(), SOURCE, place, *words], cwd=Path("/")
    )
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["said"].pop("handed") == "what it may read"
    return found


@users
@pytest.mark.parametrize("how", ["program", "reader"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_it_reaches_nothing(place: Path, user: int | None, how: str, kernel: str) -> None:
    found = tried(place, user, how, *KERNELS[kernel])
    assert {name for name, refused in found["said"].items() if refused is None} == set()
    assert len(found["said"]) > 30
    assert set(found["left"]) == LEFT
    assert {mode & 0o777 for name, mode in found["left"].items() if name.startswith(".ssh/")} == {0o600}
    assert found["handed"] == "what it may read"


@users
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    ("sockets", "reached"), [(NO_SOCKETS, set()), (LISTENING, OF_ITS_PORT), (INTERNET, OF_THE_INTERNET)]
)
def test_what_is_left_to_a_qemu_that_was_taken_over(
    place: Path, user: int | None, kernel: str, sockets: str, reached: set[str]
) -> None:
    """Its threads, and of sockets what its network takes; loopback only where it is the guest's as well."""
    found = tried(place, user, f"machine {sockets}", *KERNELS[kernel])
    done = {name for name, refused in found["said"].items() if refused is None}
    # A kernel without rules for ports leaves it others to listen at; none that leads anywhere.
    allowed = {"listen at another port"} if sockets == LISTENING and not _knows_ports(kernel) else set()
    assert done - allowed == {"a thread", *reached}
    assert len(found["said"]) > 40
    assert set(found["left"]) == LEFT
    assert {mode & 0o777 for name, mode in found["left"].items() if name.startswith(".ssh/")} == {0o600}
    assert found["handed"] == "what it may read"


def _knows_ports(kernel: str) -> bool:
    asked = {"this": 99, "Linux 6.7": 4, "Linux 6.1": 2, "Linux 5.13": 1, "no Landlock": 0}[kernel]
    return min(asked, landlock.version()) >= 4


@pytest.mark.parametrize("user", [pytest.param(ORDINARY, id="ordinary")])
def test_unconfined_it_reaches_all_of_it(place: Path, user: int) -> None:
    """Or the tests above would show nothing."""
    found = tried(place, user, "free")
    refused = {name: why for name, why in found["said"].items() if why is not None}
    # Yama, where there is one, keeps it from its parent by itself; tmpfs had no attributes for long.
    assert set(refused) <= {"trace its parent", "read its parent's memory", "an attribute", SHADOW}, refused
