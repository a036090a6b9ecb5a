"""What of an upper directory goes into a layer, name by name."""

from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox.delta.promote import whose
from skinnybox.delta.promote.choosing import Chooser
from skinnybox.delta.promote.for_layer import of_layer
from skinnybox.delta.promote.merging import Told
from skinnybox.errors import NotFound, SkinnyboxError, Unsupported
from skinnybox.ext4 import open_volume
from skinnybox.masters.layers import unfit
from tests.unit.rebased import OPAQUE, WHITEOUT, Thing, d, f, l, whole
from tests.unit.rebased_disk import cache, overlay
from tests.unit.test_promote import NOBODY, Index

__all__ = ["cache"]
LOWER = {
    "srv/same": f("same"), "srv/gone": f("x"), "srv/emptied/x": f("x"), "srv/emptied/y": f("y"),
    "srv/folder/x": f("x"), "srv/file": f("x"), "usr/lib": d(), "lib": l("usr/lib"), "tmp": d(),
    "etc/ssh/ssh_host_rsa_key": f("x"),
}  # fmt: skip
UPPER: dict[str, Thing] = {
    "srv/same": f("same"),
    "srv/gone": WHITEOUT,
    "srv/emptied": d(xattrs=OPAQUE),
    "srv/emptied/y": f("y"),
    "srv/emptied/z": f("z"),
    "srv/folder": f("x"),
    "srv/file": d(),
    "srv/file/in": f("x"),
    "srv/null": Thing("c", rdev=(1, 3)),
    "srv/socket": Thing("s"),
    "srv/pipe": Thing("p"),
    "srv/site/a": f("a"),
    "srv/site-b": f("b"),
    "lib": d(),
    "lib/modules": d(),
    "lib/own": f("x"),
    "usr/lib": d(0o700),
    "usr/lib/modules/6.1/x": f("x"),
    "var/lib/dpkg/status": f("x"),
    "var/lib/dpkg": d(),
    "var/lib/app": f("x"),
    "etc/shadow": f("x"),
    "etc/ssh/ssh_host_rsa_key": WHITEOUT,
    "tmp/x": f("x"),
}
"""As the machine has it; all of one time."""


def taken(
    tmp_path: Path, cache: Path, *paths: str, upper: dict[str, Thing] = UPPER
) -> tuple[list[str], dict[str, str]]:
    """The files that go there, and what does not by its reason; folders are told by what is in them."""
    disk = tmp_path / "disk"
    disk.unlink(missing_ok=True)
    overlay(disk, cache, whole(upper), work={})
    who = replace(NOBODY, paths=tuple(path.encode() for path in paths))
    with open_volume(disk) as volume:
        chooser = Chooser(whose=who, volume=volume, sealed=lambda path: None)
        found = list(of_layer(volume.walk(b"upper"), Index(whole(LOWER)), chooser))  # type: ignore[arg-type]
    items = [each for each in found if not isinstance(each, Told)]
    names = [item.path.decode() for item in items]
    for number, name in enumerate(names):
        assert name == "" or name.rpartition("/")[0] in names[:number], "parents come first, and once"
    told = {each.path.decode(): each.fate.reason.value for each in found if isinstance(each, Told)}
    return [name for name in names if name not in {each.rpartition("/")[0] for each in names}], told


def test_it_only_adds(tmp_path: Path, cache: Path) -> None:
    found, told = taken(tmp_path, cache)
    assert found == ["srv/emptied/z", "srv/pipe", "srv/site/a", "srv/site-b", "var/lib/app"]
    assert told == {
        "var/lib/dpkg": "packages", "usr/lib/modules": "system",
        "srv/gone": "deletion", "srv/emptied": "deletion", "srv/folder": "hiding", "srv/file": "hiding",
        "srv/file/in": "hiding", "srv/null": "device", "lib": "hiding", "lib/modules": "system",
        "lib/own": "hiding", "usr/lib": "folder", "usr/lib/modules/6.1": "system",
        "usr/lib/modules/6.1/x": "system", "var/lib/dpkg/status": "packages", "etc/shadow": "accounts",
        "tmp/x": "temporary",
    }  # fmt: skip


def test_only_what_is_at_the_paths_that_are_named(tmp_path: Path, cache: Path) -> None:
    assert taken(tmp_path, cache, "srv/site", "var/lib/app") == (["srv/site/a", "var/lib/app"], {})
    assert taken(tmp_path, cache, "srv/emptied/z") == (["srv/emptied/z"], {"srv/emptied": "deletion"})


@pytest.mark.parametrize(
    ("path", "error", "why"),
    [
        ("var/lib", Unsupported, "/var/lib/dpkg cannot be in a layer: the packages"),
        ("var/lib/dpkg/status", Unsupported, "/var/lib/dpkg cannot be in a layer: the packages"),
        ("etc", Unsupported, "/etc/shadow cannot be in a layer: the accounts"),
        ("usr", Unsupported, "/usr/lib/modules cannot be in a layer: that is the master's"),
        ("srv/null", Unsupported, "/srv/null cannot be in a layer: it is a device"),
        ("srv/folder", Unsupported, "/srv/folder cannot be in a layer: what the stack has there"),
        ("srv/file/in", Unsupported, "/srv/file cannot be in a layer: what the stack has there"),
        ("lib/own", Unsupported, "/lib cannot be in a layer: what the stack has there"),
        ("srv/none", NotFound, "nothing of its own at /srv/none"),
        ("srv/gone", NotFound, "nothing of its own at /srv/gone"),
        ("srv/same", NotFound, "nothing of its own at /srv/same"),
        ("srv/socket", NotFound, "nothing of its own at /srv/socket"),
        ("srv/sit", NotFound, "nothing of its own at /srv/sit"),
        ("srv/site/a/b", NotFound, "nothing of its own at /srv/site/a/b"),
        ("tmp", NotFound, "nothing of its own at /tmp"),
    ],
)
def test_what_cannot_be_there_is_an_error_where_it_is_named(
    tmp_path: Path, cache: Path, path: str, error: type[SkinnyboxError], why: str
) -> None:
    with pytest.raises(error, match=why):
        taken(tmp_path, cache, path)


def test_what_a_guest_made_up_is_refused(tmp_path: Path, cache: Path) -> None:
    for mark in ("redirect", "metacopy", "whiteout"):
        upper = {f"srv/{mark}": f("x", xattrs={f"trusted.overlay.{mark}": b"/etc"})}
        with pytest.raises(Unsupported, match=mark):
            taken(tmp_path, cache, upper=upper)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("var/lib/dpkg", "packages"), ("var/lib/dpkg/info/x", "packages"), ("var/lib/dpkg-x", None),
        ("var/lib", None), ("etc/passwd", "accounts"), ("etc/passwd.d/x", None), ("boot/x/y", "system"),
        ("etc/ssh/ssh_host_rsa_key", "system"), ("bootx", None), ("srv/boot", None), ("", None),
    ],
)  # fmt: skip
def test_what_is_a_systems_is_told_by_its_name(path: str, kind: str | None) -> None:
    found = unfit.by_name(path.encode())
    assert (None if found is None else found.kind) == kind


NO_LAYERS = {
    "packages": "var/lib/dpkg var/lib/apt/extended_states var/lib/rpm usr/lib/sysimage/rpm var/lib/dnf "
    "lib/apk/db usr/lib/apk/db var/lib/pacman",
    "accounts": "etc/passwd etc/passwd- etc/shadow etc/shadow- etc/group etc/group- etc/gshadow etc/gshadow- "
    "etc/subuid etc/subuid- etc/subgid etc/subgid-",
    "system": "boot dev proc run sys lib/modules usr/lib/modules etc/ld.so.cache etc/fstab etc/machine-id "
    "etc/hostname media/root-ro media/root-rw usr/lib/skinnybox var/lib/skinnybox",
}


@pytest.mark.parametrize("kind", NO_LAYERS)
def test_every_family_of_systems_keeps_what_is_its_own(kind: str) -> None:
    for path in NO_LAYERS[kind].split():
        found = unfit.by_name(f"{path}/x".encode() if kind != "accounts" else path.encode())
        assert found is not None and found.kind == kind, path


def test_whose_paths_come_to_the_child(tmp_path: Path) -> None:
    one = replace(NOBODY, paths=(b"srv/\xff", b"a"))
    assert whose.decode(whose.encode(one)) == one
