"""What is known of the system in a sealed tree. Its text is a stranger's, checked where it was read."""

from collections.abc import Mapping
from dataclasses import dataclass

from skinnybox.masters.accounts import Accounts

INSTALLED = "install ok installed"
_ABSENT = {"not-installed", "config-files"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """`status` is dpkg's three words: what is wanted (`install`, `hold`), whether that is in order, how far
    it came. `conffiles` have no leading slash, each with the MD5 digest that dpkg knows it by."""

    name: str
    version: str
    architecture: str
    status: str = INSTALLED
    conffiles: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> str:
        """One package of a system: of another architecture it is another."""
        return f"{self.name}:{self.architecture}"

    @property
    def present(self) -> bool:
        """Whether its files are there: of one that was removed, and not purged, only its conffiles are."""
        return self.status.rpartition(" ")[2] not in _ABSENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What the init starts, and what for: targets, or runlevels."""

    name: str
    wanted_by: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """`auto` while the tree's own rules choose the target, `manual` once somebody did."""

    name: str
    mode: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Diversion:
    """All packages but `package` have their file `path` at `to` instead. No leading slashes."""

    path: str
    to: str
    package: str


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """`manager` is dpkg, apk, or the name of one whose database is not read here, and then `packages` is
    None: unknown. `trouble` says what could not be understood."""

    manager: str | None
    packages: tuple[Package, ...] | None
    accounts: Accounts
    units: tuple[Unit, ...]
    alternatives: tuple[Alternative, ...]
    diversions: tuple[Diversion, ...]
    release: Mapping[str, str]
    trouble: tuple[str, ...]


Files = Mapping[str, tuple[str, ...]]
"""By a package's key: its paths as they lie in the tree (through its symlinks, and diverted), without leading
slash, and without the folders that lead to them."""
