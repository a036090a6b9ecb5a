"""host.call_plugin: a real file, run by the real protocol, whose own session comes back to the pool."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.emulators.xapi import EmulatedPool, plugins

Refused = Callable[..., list[str]]

PLUGIN = """#!/usr/bin/env python3
import XenAPIPlugin

def named(session, args):
    vms = session.xenapi.VM.get_by_name_label(args["name"])
    return str(len(vms))

def broken(session, args):
    raise XenAPIPlugin.Failure("VM_MISSING", ["web"])

def buggy(session, args):
    return args["missing"]

if __name__ == "__main__":
    XenAPIPlugin.dispatch({"named": named, "broken": broken, "buggy": buggy})
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    scripts = {
        "skinny": PLUGIN,
        "noisy": "#!/bin/sh\necho hello",
        "dying": "#!/bin/sh\necho out; echo err >&2; exit 3",
    }
    for name, text in scripts.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "plain").write_text(PLUGIN)
    return tmp_path


@pytest.fixture
def pool(folder: Path) -> Iterator[EmulatedPool]:
    with EmulatedPool(plugins=folder) as pool:
        yield pool


def test_a_plugin_speaks_to_the_pool(pool: EmulatedPool, refused: Refused) -> None:
    pool.add_template("Debian")
    with pool.session() as api:
        assert api.host.call_plugin(pool.hosts[0], "skinny", "named", {"name": "Debian"}) == "1"
        assert refused(api.host.call_plugin, pool.hosts[0], "skinny", "broken", {}) == ["VM_MISSING", "web"]
        failed = refused(api.host.call_plugin, pool.hosts[0], "skinny", "buggy", {})
        assert failed[:3] == ["XENAPI_PLUGIN_FAILURE", "buggy", "KeyError"]
        unknown = refused(api.host.call_plugin, pool.hosts[0], "skinny", "fly", {})
        assert unknown == ["UNKNOWN_XENAPI_PLUGIN_FUNCTION", "fly"]


def test_plugins_can_be_run_by_another_python(folder: Path) -> None:
    """As the tests under Jython (for Python 2.7) do it; here with their small SDK."""
    paths = f"{plugins.DOM0}:{plugins.DOM0 / 'python2'}"
    with EmulatedPool(plugins=folder, python=f"env PYTHONPATH={paths} python3") as pool:
        pool.add_template("Debian")
        with pool.session() as api:
            assert api.host.call_plugin(pool.hosts[0], "skinny", "named", {"name": "Debian"}) == "1"


def test_what_is_no_plugin(pool: EmulatedPool, refused: Refused) -> None:
    with pool.session() as api:
        for name in ("absent", "plain", "../skinny"):
            missing = refused(api.host.call_plugin, pool.hosts[0], name, "named", {})
            assert missing == ["XENAPI_MISSING_PLUGIN", name]
        noisy = refused(api.host.call_plugin, pool.hosts[0], "noisy", "named", {})
        assert noisy[:3] == ["XENAPI_PLUGIN_FAILURE", "failed to parse plugin output", "hello\n"]
        dying = refused(api.host.call_plugin, pool.hosts[0], "dying", "named", {})
        assert dying == ["XENAPI_PLUGIN_FAILURE", "non-zero exit", "out\n", "err\n"]
