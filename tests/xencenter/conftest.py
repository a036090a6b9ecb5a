"""The plugin as `xencenter/build` makes it: run by mono with XenCenter's arguments, on an emulated pool."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import XenAPI

from skinnybox import run
from tests.emulators.xapi import PASSWORD, EmulatedPool, sessions
from tests.plugin.conftest import Dom0, furnished, plugins

__all__ = ["plugins"]

ROOT = Path(__file__).parents[2]
INSIDE = Path("Plugins", "Skinnybox", "Skinnybox")
THIN = ("template=thin", "master=lamp:1", "prefix=web-", "padding=2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A computer with the plugin, and XenCenter's session on the pool of `dom0`."""

    dom0: Dom0
    folder: Path
    known: Path
    session: str

    @property
    def authority(self) -> str:
        return self.dom0.pool.tls_url.removeprefix("https://")

    def target(self, kind: str = "Pool", uuid: str = "p-1") -> list[str]:
        """As XenCenter appends it for one selected object."""
        return [f"{self.dom0.pool.tls_url}/", self.session, kind, uuid]

    def trusting(self) -> "Desk":
        """Its user confirmed the pool's certificate."""
        self.known.write_text(f"{self.authority} {self.dom0.pool.fingerprint.upper()}\n")
        return self

    def run(self, *words: str, target: list[str] | None = None) -> run.Ended:
        return run.run(
            self.argv(*words, target=target), env=self.environment(), ok=range(-64, 256), timeout=120
        )

    def argv(self, *words: str, target: list[str] | None = None) -> list[str]:
        selected = self.target() if target is None else target
        return ["mono", str(self.folder / "Skinnybox.exe"), *words, *selected]

    def environment(self) -> dict[str, str]:
        home = str(self.known.parent)
        return {
            "LC_ALL": "C.UTF-8",
            "HOME": home,
            "SKINNYBOX_KNOWN_POOLS": str(self.known),
            "SKINNYBOX_PATIENCE": "5",
        }

    def is_in_session(self) -> bool:
        return self.session in self.dom0.pool.xapi.sessions

    def at(self, folder: Path) -> "Desk":
        """With the plugin of that folder."""
        return dataclasses.replace(self, folder=folder)

    def with_session(self, session: str) -> "Desk":
        return dataclasses.replace(self, session=session)


def build(out: Path, *words: str) -> Path:
    """The folder that is installed. It needs mono."""
    if not all(run.find(each) for each in ("mono", "mcs", "resgen2", "al")):
        pytest.fail("no mono: script/setup --dev installs it")
    run.run([str(ROOT / "xencenter" / "build"), *words, str(out)], timeout=300)
    return out / INSIDE


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without a web console."""
    return build(tmp_path_factory.mktemp("xencenter"))


@pytest.fixture(scope="session")
def with_console(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("xencenter-console"), "--console", "https://console.example:8443/")


def at_a_desk(pool: EmulatedPool, dom0: Dom0, folder: Path, home: Path) -> Desk:
    with pool.database():
        session = sessions.login(pool.xapi, pool.hosts[0], "root", PASSWORD, "XenCenter")
    return Desk(dom0=dom0, folder=folder, known=home / "known-pools", session=session)


@pytest.fixture
def desk(plugins: Path, built: Path, tmp_path: Path) -> Iterator[Desk]:
    """Its user has confirmed the pool's certificate."""
    with EmulatedPool(hosts=("alpha", "beta"), plugins=plugins) as pool:
        session = XenAPI.Session(pool.url)  # nobody logs it out: the test may lose its pool
        session.xenapi.login_with_password("root", PASSWORD, "1.0", "tests")
        dom0 = furnished(pool, session.xenapi)
        dom0.thin_template()
        yield at_a_desk(pool, dom0, built, tmp_path).trusting()
        session("close")()


def told(ended: run.Ended) -> str:
    """All that it said; a mistake of its own fails the test."""
    said = ended.stderr.decode() + ended.stdout.decode()
    assert ended.returncode != 70 and "mistake of this program" not in said, said
    return said


def ending(built: Path, *words: str) -> run.Ended:
    """Of a program that needs no pool."""
    return run.run(
        ["mono", str(built / "Skinnybox.exe"), *words], env={"LC_ALL": "C.UTF-8"}, ok=range(256), timeout=60
    )
