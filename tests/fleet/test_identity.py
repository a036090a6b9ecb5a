"""Whom ssh meets: host keys are pinned as long as the disk keeps the identity they belong to."""

from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from skinnybox.fleet.catalog import known_hosts
from skinnybox.fleet.service import Fleet
from skinnybox.model import Encryption, Instance
from skinnybox.overlays.patch import put_message
from skinnybox.wire import Line, encode
from tests.fleet.conftest import HOST_KEYS, SPARSE
from tests.fleet.test_disks import image, only, write


def identity(instance: Instance, key: bytes) -> bytes:
    """As the guest keeps it on its disk."""
    lines = [Line("instance", str(instance.uuid)), Line("ssh-host-key", "ssh_host_ed25519_key", key)]
    return encode("identity", 1, lines)


def test_host_keys_are_pinned_as_long_as_the_identity_stays(fleet: Fleet, state: Path) -> None:
    """A machine put back to another identity would be taken for an impostor: nobody got in by ssh."""
    web = fleet.create(["web"], "tiny", SPARSE)[0]
    put_message(image(state, web), "identity", identity(web, b"one"))
    fleet.overlays.snapshot(["web"], "first")
    fleet._catalog.pin_host_keys(web.uuid, HOST_KEYS)
    write(image(state, web), "file")
    assert only([*fleet.overlays.restore(["web"], "first")]) is None
    assert fleet.machine("web").host_keys == HOST_KEYS
    put_message(image(state, web), "identity", identity(web, b"two"))
    assert only([*fleet.overlays.restore(["web"], "first")]) is None
    assert fleet.machine("web").host_keys == ()
    assert known_hosts.kept(known_hosts.folder(state), web.uuid) == ()
    fleet._catalog.pin_host_keys(web.uuid, HOST_KEYS)
    assert only([*fleet.overlays.reset(["web"])]) is None
    assert fleet.machine("web").host_keys == HOST_KEYS
    put_message(image(state, web), "identity", b"\n")
    assert only([*fleet.overlays.reset(["web"])]) is None
    assert fleet.machine("web").host_keys == ()


def test_what_could_be_read_of_an_encrypted_disk_is_no_identity(fleet: Fleet, state: Path) -> None:
    """Its guest wrote it over what it had encrypted: a new one is blank all the same, and so are its keys."""
    web = fleet.create(["web"], "tiny", replace(SPARSE, encrypt=Encryption()))[0]
    plain = fleet.create(["plain"], "tiny", SPARSE)[0]
    put_message(image(state, plain), "identity", identity(web, b"one"))
    image(state, web).write_bytes(image(state, plain).read_bytes())
    fleet._catalog.pin_host_keys(web.uuid, HOST_KEYS)
    assert only([*fleet.overlays.reset(["web"])]) is None
    assert fleet.machine("web").host_keys == ()


@pytest.mark.parametrize("line", ["", "no key", "ssh-ed25519 AAAA", "ssh-rsa !", "ssh-ed25519", "\udcff"])
def test_a_pin_that_is_no_key_is_not_taken_up(tmp_path: Path, line: str) -> None:
    """Once in the catalog it would end every command that lists machines."""
    uuid = uuid4()
    known_hosts.keep(tmp_path, uuid, HOST_KEYS)
    assert known_hosts.kept(tmp_path, uuid) == HOST_KEYS
    known_hosts.file(tmp_path, uuid).write_text(f"{uuid} {line}\n", errors="surrogateescape")
    assert known_hosts.kept(tmp_path, uuid) == ()
