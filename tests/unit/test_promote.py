"""What goes into a master of a machine, by path and by text; and disks that were made to hurt."""

import os
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox.delta.as_seeded import TEXT, Seeded
from skinnybox.delta.promote import places, texts, whose
from skinnybox.delta.promote.audited import refuse_half_installed
from skinnybox.delta.promote.choosing import Altered, Chooser, Fate, Left
from skinnybox.delta.promote.merging import Folders, merged, surveyed
from skinnybox.delta.promote.places import Reason
from skinnybox.errors import Blocked, NotFound, Unsupported
from skinnybox.ext4 import open_volume
from skinnybox.masters import clean
from skinnybox.masters.index import Entry
from tests.unit.rebased import OPAQUE, WHITEOUT, Line, Thing, d, f, l, whole
from tests.unit.rebased_disk import cache, overlay

__all__ = ["cache"]
NOBODY = whose.Whose(names=frozenset(), passwords={}, files=frozenset(), expected={})


@pytest.mark.parametrize(
    ("path", "reason", "place"),
    [
        ("tmp/a/b", "temporary", "tmp"),
        ("var/log/journal/1/x", "logs", "var/log/journal"),
        ("etc/ssh/ssh_host_rsa_key", "keys", "etc/ssh/ssh_host_rsa_key"),
        ("etc/hostname", "identity", "etc/hostname"),
        ("var/lib/dhcp/x", "leases", "var/lib/dhcp"),
        ("var/cache/apt/archives/x", "caches", "var/cache/apt/archives"),
        ("var/lib/systemd/random-seed", "random", "var/lib/systemd/random-seed"),
        ("var/lib/cloud/instance", "runtime", "var/lib/cloud"),
        ("etc/passwd-", "caches", "etc/passwd-"),
        ("root/.bash_history", "history", "root/.bash_history"),
        ("etc/machine-id", "identity", "etc/machine-id"),
        ("etc/ssh/sshd_config", None, None),
        ("tmp", None, None),
        ("srv/tmp/x", None, None),
        ("var/log/auth.log", None, None),
        ("home/a/.bash_history", None, None),
        ("etc/hostname.d/x", None, None),
    ],
)
def test_what_every_master_is_without(path: str, reason: str | None, place: str | None) -> None:
    found = places.cleaned(path.encode())
    assert found == (None if reason is None or place is None else (Reason(reason), place.encode()))


def test_all_that_is_cleaned_has_a_reason_of_its_own_or_is_a_cache() -> None:
    caches = {place for place, reason in _reasons() if reason is Reason.CACHES}
    assert caches == {
        "var/backups",
        "var/lib/apt/lists",
        "var/cache/apt/archives",
        "var/cache/dnf",
        "var/cache/yum",
        "var/cache/ldconfig",
        "etc/passwd-",
        "etc/group-",
        "etc/shadow-",
        "etc/gshadow-",
        "etc/subuid-",
        "etc/subgid-",
        "etc/.pwd.lock",
        "var/cache/apt/x.bin",
        "var/cache/debconf/x-old",
        "var/lib/dpkg/x-old",
    }


def _reasons() -> list[tuple[str, Reason]]:
    folders = [f"{folder}/x" for folder in clean._EMPTIED]
    files = [f"{folder}/{pattern}".lstrip("/").replace("*", "x") for folder, pattern in clean._REMOVED]
    found = [(path, places.cleaned(path.encode())) for path in (*folders, *files)]
    assert all(each is not None for _, each in found), found
    return [(os.fsdecode(each[1]), each[0]) for _, each in found if each]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("home/a/.mysql_history", "history"),
        ("var/lib/postgresql/.psql_history", "history"),
        ("etc/puppetlabs/puppet/ssl/a/b", "keys"),
        ("var/lib/puppet/state/x", "runtime"),
        ("var/lib/puppet/modules/x", None),
        ("opt/puppetlabs/puppet/bin/ruby", None),
        ("srv/ssl/x", None),
        ("var/lib/skinnybox/x/y", "runtime"),
        ("swapfile", "swap"),
        ("srv/swapfile", None),
        ("home/a/.ssh/id_ed25519", None),
        ("root/.bashrc", None),
        ("etc/resolv.conf", "network"),
        ("home/a/.cache/x/y", "caches"),
        ("srv/.cache/x", None),
        ("var/lib/apt/extended_states", None),
    ],
)
def test_what_a_promoted_one_is_without(path: str, reason: str | None) -> None:
    found = places.of_a_machine(path.encode())
    assert (None if found is None else found[0].value) == reason


@pytest.mark.parametrize(
    ("hosts", "left"),
    [
        ("127.0.0.1 localhost\n127.0.1.1\tweb\n", "127.0.0.1 localhost\n"),
        ("127.0.1.1 web.example.org web\n", ""),
        (
            "127.0.1.1 webby\n10.0.0.1 web\n#127.0.1.1 web\n",
            "127.0.1.1 webby\n10.0.0.1 web\n#127.0.1.1 web\n",
        ),
        ("127.0.1.1 web", ""),
        ("127.0.1.1\n", "127.0.1.1\n"),
        ("", ""),
    ],
)
def test_the_line_of_what_it_is_called_goes(hosts: str, left: str) -> None:
    assert texts.without_name(hosts.encode(), frozenset({b"web"})) == left.encode()


@pytest.mark.parametrize(
    ("keys", "left"),
    [
        ("# skinnybox: from the seed\na\n\n# skinnybox: end\nb\n", "b\n"),
        ("b\n# skinnybox: from the seed\na\n# skinnybox: end\nc\n# skinnybox: from the seed\nd\n", "b\nc\n"),
        ("b\n# skinnybox: from the seed\na", "b\n"),
        ("x # skinnybox: from the seed\n", "x # skinnybox: from the seed\n"),
    ],
)
def test_the_block_of_the_seeds_keys_goes(keys: str, left: str) -> None:
    assert texts.without_seeds_keys(keys.encode()) == left.encode()


def test_passwords_that_the_seed_gave_go_and_others_stay() -> None:
    shadow = b"root:A:1:2\nold:B:1\nnew:C:1\nown:D:1\nreset:E:1\nbroken\n"
    given = {b"root": b"A", b"old": b"B", b"new": b"C", b"reset": b"F", b"own": b"A"}
    found = texts.without_seeds_passwords(shadow, given, b"root:*:1\nold:!:1\n")
    assert found == b"root:*:1:2\nold:!:1\nnew:*:1\nown:D:1\nreset:E:1\nbroken\n"


def test_whose_it_is_comes_to_the_child_as_it_was() -> None:
    one = whose.Whose(
        names=frozenset({b"web"}),
        passwords={b"root": b"$6$\xff"},
        files=frozenset({b"etc/\xff"}),
        expected={b"etc/x": (Seeded(kind=TEXT, mode=0o644, text=b"\xff"),)},
        keep=(b"srv",),
        leave_out=(b"a/\n",),
    )
    assert whose.decode(whose.encode(one)) == one


class Index:
    def __init__(self, tree: dict[bytes, Thing]) -> None:
        self.lines = {path: Line(path, thing) for path, thing in tree.items()}

    def at(self, path: bytes) -> Line | None:
        return self.lines.get(path)


def names(
    tmp_path: Path, cache: Path, upper: dict[str, Thing], lower: dict[str, Thing], who: whose.Whose = NOBODY
) -> tuple[list[str], dict[str, Fate]]:
    """The names of the master, the machine's own with a star; and what was told."""
    disk = overlay(tmp_path / "disk", cache, whole(upper), work={})
    index = Index(whole(lower))
    with open_volume(disk) as volume:
        chooser = Chooser(whose=who, volume=volume, sealed=lambda path: None)
        folders = Folders()
        told = surveyed(volume.walk(b"upper"), index, chooser, folders)  # type: ignore[arg-type]
        fates = {each.path.decode(): each.fate for each in told}
        items = merged(volume.walk(b"upper"), index.lines.values(), chooser, folders)  # type: ignore[arg-type]
        return [
            item.path.decode() if isinstance(item, Entry) else f"{item.path.decode()}*" for item in items
        ], fates  # type: ignore[return-value]


def test_the_upper_lies_over_the_stack(tmp_path: Path, cache: Path) -> None:
    lower = {
        "a/one": f("1"),
        "a/two": f("2"),
        "b/in": f("1"),
        "c": f("1"),
        "d/x": f("1"),
        "e": d(),
        "f/in": f(""),
    }
    upper = {
        "a": d(),
        "a/one": f("mine"),
        "a/two": WHITEOUT,
        "b": d(xattrs=OPAQUE),
        "b/new": f("x"),
        "c": d(),
        "c/in": f("x"),
        "d": f("x"),
        "e": d(),
        "f": WHITEOUT,
        "tmp/x": f("x"),
        "z": l("a"),
        "dev": WHITEOUT,
    }
    found, fates = names(tmp_path, cache, upper, lower)
    assert found == ["*", "a*", "a/one*", "b*", "b/new*", "c*", "c/in*", "d*", "e", "tmp*", "z*"]
    assert fates == {"tmp/x": Left(Reason.TEMPORARY, b"tmp")}


def test_what_is_left_out_is_so_also_where_it_was_deleted(tmp_path: Path, cache: Path) -> None:
    lower = {"a/one": f("1"), "b/in/x": f("1"), "c/x": f("1")}
    upper = {"a": d(), "a/one": WHITEOUT, "b": d(), "b/in": WHITEOUT, "c": d(xattrs=OPAQUE), "c/y": f("2")}
    who = replace(NOBODY, leave_out=(b"a", b"b/in", b"c"))
    found, fates = names(tmp_path, cache, upper, lower, who)
    assert found == ["", "a", "a/one", "b", "b/in", "b/in/x", "c", "c/x"]
    assert {path for path, fate in fates.items() if fate and fate.reason is Reason.ASKED} >= {"a/one", "b/in"}


ASKED = [replace(NOBODY, leave_out=(b"srv/x", b"srv/y")), replace(NOBODY, keep=(b"srv/y", b"srv/z"))]


@pytest.mark.parametrize("asked", ASKED)
def test_a_path_that_was_meant_otherwise_is_an_error(tmp_path: Path, cache: Path, asked: whose.Whose) -> None:
    upper = {"srv/x": f("1"), "srv/z/in": f("1"), "srv/yy": f("1")}
    with pytest.raises(NotFound, match=r"it has nothing of its own at /srv/y$"):
        names(tmp_path, cache, upper, {"srv/y": f("1")}, asked)


def test_folders_that_say_nothing_are_the_stacks_and_those_of_a_seed_go(tmp_path: Path, cache: Path) -> None:
    lower = {"etc/web": f("1"), "var/lib/dhcp": d(), "root": d(0o700)}
    upper = {
        "etc": d(),
        "etc/hostname": f("x"),
        "var/lib/dhcp/x": f("x"),
        "root": d(0o700),
        "root/.ssh": d(0o700),
        "root/.ssh/authorized_keys": f("# skinnybox: from the seed\nk\n"),
        "etc/own": d(),
        "etc/own/x": f("x"),
    }
    folder = Seeded(kind="folder", mode=0o700)
    who = whose.Whose(
        names=frozenset(), passwords={}, files=frozenset({b"etc/own/x"}), expected={b"root/.ssh": (folder,)}
    )
    found, fates = names(tmp_path, cache, upper, lower, who)
    assert found == ["", "etc*", "etc/own*", "etc/web", "root", "var", "var/lib", "var/lib/dhcp"]
    assert {path: fate.reason.value for path, fate in fates.items() if isinstance(fate, Left | Altered)} == {
        "etc/hostname": "identity",
        "var/lib/dhcp/x": "leases",
        "etc/own/x": "seed",
        "root/.ssh/authorized_keys": "seed",
    }


@pytest.mark.parametrize(
    ("status", "half"),
    [
        ("install ok installed", False),
        ("hold ok installed", False),
        ("deinstall ok config-files", False),
        ("install ok half-configured", True),
        ("install ok unpacked", True),
        ("install reinstreq installed", True),
        ("install ok triggers-pending", True),
    ],
)
def test_packages_that_are_half_installed_are_refused(tmp_path: Path, status: str, half: bool) -> None:
    folder = tmp_path / "var/lib/dpkg"
    folder.mkdir(parents=True)
    refuse_half_installed(tmp_path)
    text = f"Package: web\nStatus: {status}\nVersion: 1\nArchitecture: all\n"
    (folder / "status").write_text(text)
    with pytest.raises(Blocked, match="half installed: web") if half else nullcontext():
        refuse_half_installed(tmp_path)
    (folder / "status").write_text("")
    (folder / "updates").mkdir()
    refuse_half_installed(tmp_path)
    (folder / "updates/0001").touch()
    with pytest.raises(Blocked, match="interrupted in its work"):
        refuse_half_installed(tmp_path)


@pytest.mark.parametrize("name", ["metacopy", "redirect", "whiteout"])
def test_what_no_guest_of_ours_sets_is_refused(tmp_path: Path, cache: Path, name: str) -> None:
    upper = {"a": f("x", xattrs={f"trusted.overlay.{name}": b"y"})}
    with pytest.raises(Unsupported, match=f"/a has trusted.overlay.{name}"):
        names(tmp_path, cache, upper, {})
