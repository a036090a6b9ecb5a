"""The id of a state folder: made once, kept whatever happens meanwhile, and read from an address."""

import dataclasses
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from skinnybox.errors import SkinnyboxError, UsageError
from skinnybox.hosts.xapi import address
from skinnybox.hosts.xapi import identity as module
from skinnybox.hosts.xapi.identity import FILE, Identity
from skinnybox.hosts.xapi.pool import Pool
from skinnybox.model import Instance
from tests.faults.leftovers import unexplained
from tests.xapi.furnished import furnished, host_on


def identity(state: Path) -> Identity:
    """Of a folder whose pool nobody has asked yet."""
    return Pool(address.parse("xapi://root@pool"), lambda: "", state, 1.0).identity


def test_two_first_commands_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them have seen that there is no id yet before the first one is written."""
    state, together, write = tmp_path / "state", threading.Barrier(5), module._write

    def slowly(path: Path, text: str) -> None:
        time.sleep(0.2)
        write(path, text)

    def own(_: int) -> uuid.UUID:
        one = identity(state)
        assert one.known() is None
        together.wait(timeout=60)
        return one.own()

    monkeypatch.setattr(module, "_write", slowly)
    with ThreadPoolExecutor(5) as commands:
        assert {str(found) for found in commands.map(own, range(5))} == {(state / FILE).read_text().strip()}


def test_a_kill_while_the_id_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is half written counts for nothing, and the next command puts it right."""
    state = tmp_path / "state"
    own = identity(state)

    def killed(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "replace", killed)
        own.own()
    assert not (state / FILE).exists()
    assert own.known() is None and str(own.own()) == (state / FILE).read_text().strip()
    assert unexplained(state) == []


def test_an_id_that_cannot_be_kept(tmp_path: Path, new_instance: Callable[..., Instance]) -> None:
    """Then nothing is made that would bear it."""
    (tmp_path / "state").write_text("no folder")
    with furnished() as pool:
        host = host_on(pool, tmp_path / "state")
        with pytest.raises(SkinnyboxError, match="state"):
            host.define(dataclasses.replace(new_instance(), bridge=None))
        assert pool.log.count("VM.create") == 0
        host.close()


def test_the_key_in_the_address() -> None:
    own = uuid.uuid4()
    assert address.parse(f"xapi://root@pool?fleet={own}").fleet == own
    assert address.parse("xapi://root@pool").fleet is None
    with pytest.raises(UsageError, match="no UUID"):
        address.parse("xapi://root@pool?fleet=mine")
