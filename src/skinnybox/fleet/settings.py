"""Where things are and what is meant when nothing is said: flags over SKINNYBOX_* over the file over this."""

import os
import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from skinnybox.errors import UsageError
from skinnybox.fleet.catalog.host_kind import QEMU
from skinnybox.fleet.names import near
from skinnybox.fleet.paths import default_state, read_settings
from skinnybox.model import Acceleration, Network
from skinnybox.named_file import expanded
from skinnybox.values import dataclass, names, replace

_UNSAID = Path()


class Confinement(StrEnum):
    """Of what reads foreign disks: as promised or not at all, or with what this machine can give."""

    REQUIRED = "required"
    WEAK = "weak"


_CHOICES: dict[str, type[StrEnum]] = {
    "accelerator": Acceleration,
    "confinement": Confinement,
    "network": Network,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """`parallel` is how many machines may be on their way up at once; None: as many as there are cores.
    `overlay_warning` and `overlay_critical` are percent of an overlay in use that become events.
    `accelerator` is for machines on this host's own QEMU. Without `reach` a machine is ready when its guest
    says so, not when its ssh answered. `master`, `ssh_key`, `network` and `bridge` are what `create` takes
    when its options say nothing; a fleet file says all of that itself."""

    state: Path
    host: str = QEMU.address
    overlay: str = "1G"
    memory: str = "512M"
    cpus: int = 1
    master: str | None = None
    ssh_key: tuple[Path, ...] = ()
    network: Network | None = None
    bridge: str | None = None
    parallel: int | None = None
    overlay_warning: int = 80
    overlay_critical: int = 95
    accelerator: Acceleration = Acceleration.AUTO
    reach: bool = True
    confinement: Confinement = Confinement.REQUIRED

    @property
    def boots_at_once(self) -> int:
        return self.parallel or max(2, len(os.sched_getaffinity(0)))


def load(environment: Mapping[str, str], flags: Mapping[str, Any]) -> Settings:
    """Raises UsageError for a file that does not parse, an unknown key or a value of the wrong type."""
    settings = Settings(state=_UNSAID)
    for source, values in (
        ("the settings file", read_settings(environment)),
        ("the environment", _from_environment(environment)),
        ("the command line", {key: value for key, value in flags.items() if value is not None}),
    ):
        settings = _override(settings, source, values)
    # Only now: where somebody says it, nobody has to know a home.
    return replace(settings, state=default_state()) if settings.state is _UNSAID else settings


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    known = {f"SKINNYBOX_{name.upper()}": name for name in names(Settings)}
    return {known[key]: value for key, value in environment.items() if key in known and value}


def _override(settings: Settings, source: str, values: Mapping[str, Any]) -> Settings:
    known = names(Settings)
    unknown = sorted(set(values).difference(known))
    if unknown:
        raise UsageError(
            f"{source} sets {unknown[0]!r}, which is no setting",
            hint=near(unknown[0], known, f"one of {', '.join(sorted(known))}"),
        )
    return replace(settings, **{key: _typed(source, key, value) for key, value in values.items()})


def _typed(source: str, key: str, value: Any) -> Any:
    if key == "state" and isinstance(value, str | Path):
        if not str(value):
            raise UsageError(f"{source}: {key} is the path of a folder, and empty")
        return expanded(value).absolute()
    if key == "ssh_key":
        return _files(source, key, value)
    if key.startswith("overlay_"):
        if isinstance(value, bool) or not re.fullmatch("[1-9][0-9]?|100", str(value)):
            raise UsageError(f"{source}: {key} is a percentage from 1 to 100, not {value!r}")
        return int(value)
    if key == "reach":
        if not isinstance(value, bool) and value not in ("true", "false"):
            raise UsageError(f"{source}: reach is true or false, not {value!r}")
        return value in (True, "true")
    if key in ("cpus", "parallel"):
        if isinstance(value, bool) or not re.fullmatch("[1-9][0-9]{0,4}", str(value)):
            raise UsageError(f"{source}: {key} is a whole number from 1, not {value!r}")
        return int(value)
    if key in _CHOICES:
        choices = _CHOICES[key]
        if value not in [*choices]:
            raise UsageError(f"{source}: {key} is {' or '.join(choices)}, not {value!r}")
        return choices(value)
    if not isinstance(value, str):
        raise UsageError(f"{source}: {key} is a text, not {value!r}")
    if not value:
        raise UsageError(f"{source}: {key} is empty")
    return value


def _files(source: str, key: str, value: Any) -> tuple[Path, ...]:
    """One path, or a list of them where there are lists."""
    paths = value if isinstance(value, list) else [value]
    if not all(isinstance(path, str) and path for path in paths):
        raise UsageError(f"{source}: {key} is the path of a file, or a list of such, not {value!r}")
    return tuple(expanded(path) for path in paths)
