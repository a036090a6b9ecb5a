"""Where a user's settings and machines are, found without the rest: shell completion asks at every Tab."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skinnybox import named_file, private
from skinnybox.errors import UsageError
from skinnybox.named_file import expanded

_MOST = 1 << 20


def default_state() -> Path:
    """One place for the whole machine as root, the XDG place for everybody else."""
    if os.geteuid() == 0:
        return Path("/var/lib/skinnybox")
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return expanded(base) / "skinnybox"


def settings_file(environment: Mapping[str, str]) -> Path:
    base = environment.get("XDG_CONFIG_HOME") or "~/.config"
    return expanded(base) / "skinnybox" / "config.toml"


def read_settings(environment: Mapping[str, str]) -> dict[str, Any]:
    """What the settings file says; nothing when there is none. Raises UsageError when it does not parse,
    Blocked when others may write to it."""
    try:
        path = settings_file(environment)
    except UsageError:  # nobody's home has no settings
        return {}
    private.refuse_others([path.parent, path])  # it says whom to believe
    try:
        text = named_file.content(path, _MOST)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    import tomllib

    try:
        return tomllib.loads(text.decode())
    except (ValueError, RecursionError) as error:  # the parser's own, bad UTF-8, endless digits and brackets
        raise UsageError(f"{path}: {error}") from error


def state_folder(environment: Mapping[str, str]) -> Path:
    """The state folder when no flag names one."""
    said = environment.get("SKINNYBOX_STATE") or read_settings(environment).get("state")
    return expanded(said).absolute() if isinstance(said, str) else default_state()
