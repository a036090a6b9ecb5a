"""What differs between two systems, by hand-made ones."""

import shutil
import subprocess
from collections.abc import Sequence
from itertools import product

import pytest

from skinnybox.masters.accounts import Accounts, Group, User
from skinnybox.masters.index import Entry
from skinnybox.masters.system import compare, file_changes
from skinnybox.masters.system.compare import Difference, Tally, differences
from skinnybox.masters.system.debian_version import later
from skinnybox.masters.system.values import Alternative, Diversion, Package, System, Unit

VERSIONS = (
    "1", "1.0", "1.00", "1.0~rc1", "1.0~~", "1.0~", "1.0a", "1.0-1", "1.0-1~deb12u1", "1.0-1+b2", "1.0-1.1",
    "1.10", "1.9", "2:0.1", "0:9", "1.0+dfsg-3", "1.0.a", "1.0-a", "1.0-0", "1.2-3-4", "a", "A", "~",
)  # fmt: skip


@pytest.mark.skipif(not shutil.which("dpkg"), reason="needs dpkg")
def test_versions_are_ordered_as_dpkg_orders_them() -> None:
    for one, other in product(VERSIONS, VERSIONS):
        asked = ["dpkg", "--force-bad-version", "--compare-versions", one, "gt", other]
        done = subprocess.run(asked, check=False, capture_output=True)
        assert later(one, other) == (done.returncode == 0), (one, other)


def _system(*packages: Package, **fields: object) -> System:
    usual: dict[str, object] = {
        "manager": "dpkg", "packages": packages, "accounts": Accounts(), "units": (), "alternatives": (),
        "diversions": (), "release": {}, "trouble": (),
    }  # fmt: skip
    return System(**{**usual, **fields})  # type: ignore[arg-type]


def _package(name: str, version: str, architecture: str = "amd64", **fields: str) -> Package:
    return Package(name=name, version=version, architecture=architecture, **fields)  # type: ignore[arg-type]


def _unit(name: str) -> Unit:
    return Unit(name=f"{name}.service", wanted_by=("x.target",))


def _told(found: Sequence[Difference]) -> list[tuple[str, str, str, str | None, str | None]]:
    return [(d.what, d.change, d.name, d.before, d.after) for d in found]


def test_packages_come_go_and_change_in_both_directions() -> None:
    one = _system(
        _package("same", "1"), _package("up", "1.9"), _package("down", "2"), _package("gone", "1"),
        _package("held", "1"), _package("arch", "1", "all"), _package("config", "1"),
    )  # fmt: skip
    other = _system(
        _package("same", "1"), _package("up", "1.10"), _package("down", "2~rc1"), _package("new", "3"),
        _package("held", "1", status="hold ok installed"), _package("arch", "1", "amd64"),
        _package("config", "1", status="deinstall ok config-files"),
    )  # fmt: skip
    assert _told(differences(one, other)) == [
        ("package", "changed", "arch", "1, all", "1, amd64"),
        ("package", "removed", "config", "1", None),
        ("package", "downgraded", "down", "2", "2~rc1"),
        ("package", "removed", "gone", "1", None),
        ("package", "changed", "held", "1", "1, hold ok installed"),
        ("package", "added", "new", None, "3"),
        ("package", "upgraded", "up", "1.9", "1.10"),
    ]
    assert differences(one, one) == []


def test_two_architectures_of_a_name_are_two_packages() -> None:
    one = _system(_package("libc6", "1"))
    other = _system(_package("libc6", "2"), _package("libc6", "2", "i386"))
    assert _told(differences(one, other)) == [
        ("package", "upgraded", "libc6:amd64", "1", "2"),
        ("package", "added", "libc6:i386", None, "2"),
    ]


def test_unknown_packages_are_not_taken_for_none() -> None:
    known, unknown = _system(_package("a", "1")), _system(manager="rpm", packages=None)
    assert differences(known, unknown) == differences(unknown, known) == []


def test_accounts_units_and_the_rest() -> None:
    one = _system(
        accounts=Accounts(
            users=(User(name="sshd", uid=101, gid=65534), User(name="redis", uid=105, gid=110)),
            groups=(Group(name="crontab", gid=101), Group(name="adm", gid=4, members=("me",))),
        ),
        units=(_unit("a"), _unit("c")),
        alternatives=(Alternative(name="editor", mode="auto", target="/bin/nano"),),
        diversions=(Diversion(path="bin/x", to="bin/x.real", package="p"),),
        release={"version_id": "12", "pretty_name": "Debian 12"},
    )
    other = _system(
        accounts=Accounts(
            users=(User(name="sshd", uid=102, gid=65534), User(name="_apt", uid=42, gid=65534)),
            groups=(Group(name="crontab", gid=997), Group(name="adm", gid=4, members=())),
        ),
        units=(_unit("b"), _unit("c")),
        alternatives=(Alternative(name="editor", mode="manual", target="/bin/vi"),),
        release={"version_id": "13", "pretty_name": "Debian 13"},
    )
    assert _told(differences(one, other)) == [
        ("release", "changed", "version_id", "12", "13"),
        ("user", "added", "_apt", None, "42"),
        ("user", "removed", "redis", "105", None),
        ("user", "moved", "sshd", "101", "102"),
        ("group", "changed", "adm", "me", ""),
        ("group", "moved", "crontab", "101", "997"),
        ("unit", "removed", "a.service", "x.target", None),
        ("unit", "added", "b.service", None, "x.target"),
        ("alternative", "changed", "editor", "/bin/nano (auto)", "/bin/vi (manual)"),
        ("diversion", "removed", "/bin/x", "/bin/x.real (p)", None),
    ]


def _entry(path: str, **fields: object) -> Entry:
    usual: dict[str, object] = {"type": "-", "mode": 0o644, "uid": 0, "gid": 0, "mtime_ns": 1, "digest": "1"}
    return Entry(path=path.encode(), **{**usual, **fields})  # type: ignore[arg-type]


def test_files_are_counted_by_the_package_they_are_of() -> None:
    one = [
        _entry("", type="d"), _entry("a", digest="2"), _entry("a.b"), _entry("a/c"), _entry("etc", type="d"),
        _entry("etc/x", mode=0o4755), _entry("same", mtime_ns=5), _entry("z"),
    ]  # fmt: skip
    one.sort(key=lambda entry: entry.path.split(b"/") if entry.path else [])
    other = [
        _entry("", type="d"), _entry("a", digest="3"), _entry("a.b", type="l", digest=None, target=b"x"),
        _entry("etc/x", gid=7), _entry("new", type="d"), _entry("new/f"), _entry("same", mtime_ns=9),
    ]  # fmt: skip
    found = differences(_system(_package("p", "1")), _system(_package("p", "2")))
    names = compare.names(_system(_package("p", "1"), _package("q", "1")))
    owners = file_changes.owners({"p:amd64": ("a", "z")}, {"p:amd64": ("a",), "q:amd64": ("etc/x",)}, names)
    changes = list(file_changes.changed(one, other))
    told = file_changes.with_files(found, changes, owners, paths=True)
    assert [(d.what, d.name, d.files) for d in told[:3]] == [
        ("package", "p", Tally(modified=1, removed=1)),
        ("files", "", Tally(added=1, modified=1, removed=1)),
        ("files", "q", Tally(metadata=1)),
    ]
    assert [(d.change, d.name, d.package, d.before, d.after) for d in told[3:]] == [
        ("modified", "/a", "p", None, None),
        ("removed", "/a/c", None, None, None),
        ("modified", "/a.b", None, None, None),
        ("metadata", "/etc/x", "q", "4755 0:0", "0644 0:7"),
        ("added", "/new/f", None, None, None),
        ("removed", "/z", "p", None, None),
    ]
    assert file_changes.with_files(found, changes, owners, paths=False) == told[:3]
    assert file_changes.with_files(found, [], {}, paths=True)[0].files == Tally()
