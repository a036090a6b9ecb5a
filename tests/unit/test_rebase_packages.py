"""Whose version of each package a machine has afterwards, and what of its files follows from that."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skinnybox.delta.rebase.owners import Listed, owners, two_owners
from skinnybox.delta.rebase.packages import Settled, decisions, settled, unreadable, versions
from skinnybox.delta.rebase.values import Fate
from skinnybox.masters.system.values import Package, System
from tests.unit.rebased import WHITEOUT, Tree, a_package, a_system, d, f, line, md5, told


def _settled(old: System, new: System, machine: System, hold: Fate = Fate.ASK) -> dict[str, Settled]:
    return {each.name: settled(each, hold) for each in versions(old, new, machine)}


def _told(old: System, new: System, machine: System, hold: Fate = Fate.ASK) -> dict[str, str]:
    return {each.name: line(each) for each in decisions(_settled(old, new, machine, hold))}


HELD = "hold ok installed"


@pytest.mark.parametrize(
    ("old", "new", "machine", "wanted"),
    [
        ("1", "1", "1", None),
        ("1", "2", "1", "only master: take"),
        ("1", None, "1", "only master: take"),
        (None, "1", None, "only master: take"),
        ("1", "1", "2", "only machine: keep"),
        (None, None, "1", "only machine: keep"),
        ("1", "1", None, "removed: hide"),
        ("1", "2", None, "removed: hide"),
        ("1", None, None, "both changed: hide"),
        (None, "1", "1", "both changed: take"),
        ("1", "3", "2", "both changed: take"),
        ("1", "2", "3", "both changed: keep"),
        ("1", "1:0", "3", "both changed: take"),
        (None, "1", "2", "both changed: keep"),
        ("1", None, "2", "both changed: keep"),
    ],
)
def test_a_package(old: str | None, new: str | None, machine: str | None, wanted: str | None) -> None:
    sides = [a_system(*([f"p={version}"] if version else [])) for version in (old, new, machine)]
    assert _told(sides[0], sides[1], sides[2]).get("p") == wanted


@pytest.mark.parametrize(
    ("hold", "wanted"),
    [(Fate.ASK, "held: ask conflict"), (Fate.KEEP, "held: keep"), (Fate.TAKE, "held: take")],
)
def test_who_wants_no_other_version_is_asked(hold: Fate, wanted: str) -> None:
    old, new, held = a_system("p=1"), a_system("p=2"), a_system(a_package("p", "1", status=HELD))
    assert _told(old, new, held, hold) == {"p": wanted}
    assert _told(old, old, held, hold) == {}
    assert _told(old, a_system(), held, hold) == {"p": wanted}
    assert _told(a_system(), a_system(), held, hold) == {"p": "only machine: keep"}
    kernel = a_system(a_package("linux-image-1", "1", status=HELD))
    assert _told(a_system("linux-image-1=1"), a_system(), kernel, hold) == {
        "linux-image-1": "only master: take"
    }
    later = a_system(a_package("p", "2", status=HELD))
    assert _told(old, a_system(), later, hold) == {"p": "both changed: keep"}


def test_what_the_master_holds_it_holds_for_itself() -> None:
    """Sealing holds a master's kernel: every machine that installed anything was blocked by a newer one."""
    old, new, upgraded = (a_system(a_package("linux", version, status=HELD)) for version in "123")
    machine = a_system(a_package("linux", status=HELD), a_package("own"))
    assert _told(old, new, machine)["linux"].startswith("only master: take")
    assert "conflict" in _told(old, new, upgraded)["linux"]


def test_a_package_that_dpkg_did_not_finish_with_blocks() -> None:
    half = a_package("p", "2", status="install ok half-configured")
    assert _told(a_system("p=1"), a_system("p=1"), a_system(half)) == {"p": "only machine: keep blocked"}
    assert _told(a_system("p=1"), a_system("p=2"), a_system(half)) == {"p": "both changed: take"}
    waits = a_package("p", "2", status="install ok triggers-pending")
    assert _told(a_system(), a_system(), a_system(waits)) == {"p": "only machine: keep"}


def test_a_package_that_was_removed_and_not_purged_is_removed() -> None:
    gone = a_package("p", "1", status="deinstall ok config-files")
    assert _told(a_system("p=1"), a_system("p=2"), a_system(gone)) == {"p": "removed: hide"}


def test_of_two_architectures_each_is_one_package() -> None:
    both = (a_package("p"), Package(name="p", version="1", architecture="i386"))
    assert _told(a_system(*both), a_system(*both), a_system(a_package("p"))) == {"p:i386": "removed: hide"}
    other = Package(name="p", version="1", architecture="all")
    assert _told(a_system("p=1"), a_system(other), a_system("p=1")) == {"p": "only master: take"}


def test_a_kernel_of_the_machines_own_is_told_to_do_nothing() -> None:
    """T11."""
    found = list(
        decisions(_settled(a_system(), a_system(), a_system("linux-image-6.1.0-9-amd64=1", "zfs-dkms=2")))
    )
    assert [("boot their master's kernel" in each.detail, each.fate) for each in found] == [
        (True, "keep")
    ] * 2


def test_what_is_taken_in_another_version_has_its_scripts_run() -> None:
    """T4: dpkg configures what it finds unpacked."""
    (found,) = decisions(_settled(a_system("p=1"), a_system("p=2"), a_system("p=1")))
    assert "maintainer scripts" in found.detail and "old 1, new 2, machine 1" in found.detail


def test_other_families_of_packages_are_refused_with_the_reason() -> None:
    debian = a_system("p=1")
    assert unreadable(debian, debian, debian) is None
    bare = a_system(manager=None)
    assert unreadable(bare, bare, bare) is None
    for which in range(3):
        sides = [debian, debian, debian]
        sides[which] = a_system(manager="rpm")
        assert "packages of rpm" in (unreadable(*sides) or "")
    assert "where its master has none" in (unreadable(bare, bare, debian) or "")
    broken = a_system("p=1", trouble=("dpkg was interrupted: its database has updates",))
    assert "--configure -a" in (unreadable(debian, debian, broken) or "")


# --- files follow their packages


def _files(**listed: Iterable[str]) -> Listed:
    return [(name, tuple(paths)) for name, paths in listed.items()]


def _with_files(
    sides: tuple[str | None, str | None, str | None],
    upper: Tree,
    old: Tree,
    new: Tree,
    brought: Tree | None = None,
) -> dict[str, str]:
    """One package `p`, which has all of each tree below usr; `brought` is of its version in the machine."""
    systems = [a_system(*([f"p={version}"] if version else [])) for version in sides]
    packages = _settled(systems[0], systems[1], systems[2])
    own = old if brought is None else brought
    lists = [_files(p=[path for path in tree if path.startswith(("usr", "etc"))]) for tree in (old, new, own)]
    sums = {path.encode(): md5(thing.content) for path, thing in own.items()}
    found = owners(packages, old=lists[0], new=lists[1], machine=lists[2], md5=lambda name: sums)
    return told(upper, old, new, packages=packages, owners=found)


def test_files_of_a_package_that_the_machine_upgraded_first_give_way_with_it() -> None:
    """T2: file by file this is three conflicts, and then dpkg says 3 where 2 runs."""
    old, new = {"usr/bin/p": f("1"), "usr/gone": f("1")}, {"usr/bin/p": f("3"), "usr/gone": f("3")}
    brought = {"usr/bin/p": f("2"), "usr/more": f("2")}
    upper = {**brought, "usr/gone": WHITEOUT}
    wanted = {"usr/bin/p": "of package: take", "usr/gone": "of package: take", "usr/more": "of package: take"}
    assert _with_files(("1", "3", "2"), upper, old, new, brought) == wanted
    alone = told(upper, old, new)
    assert alone["usr/bin/p"] == "modify/modify: ask conflict" and alone["usr/more"] == "own: keep"


def test_what_somebody_altered_in_such_a_package_is_in_dispute() -> None:
    old, new, brought = ({"usr/bin/p": f(each), "etc/p.conf": f(each)} for each in ("1", "3", "2"))
    upper = {"usr/bin/p": f("hacked"), "etc/p.conf": f("2")}
    found = _with_files(("1", "3", "2"), upper, old, new, brought)
    assert found == {"etc/p.conf": "of package: take", "usr/bin/p": "modify/modify: ask conflict"}


def test_files_of_a_package_that_stays_the_machines_stay_with_it() -> None:
    """T2 the other way round: one of its files is as the old master has it, another as the new one."""
    old, new = (
        {"usr/a": f("1"), "usr/b": f("1"), "usr/c": f("1")},
        {"usr/a": f("2"), "usr/b": f("3"), "usr/c": f("2")},
    )
    upper = {"usr/a": f("3"), "usr/b": f("1"), "usr/c": WHITEOUT}
    found = _with_files(("1", "2", "3"), upper, old, new, {"usr/a": f("3"), "usr/b": f("1")})
    assert found == dict.fromkeys(("usr/a", "usr/b", "usr/c"), "of package: keep")
    assert told({"usr/b": f("1")}, old, new) == {"usr/b": "no change: take"}


def test_what_a_kept_package_has_of_the_old_master_is_brought() -> None:
    old, new = {"usr/a": f("1"), "usr/b": f("1")}, {"usr/a": f("2")}
    found = _with_files(("1", "2", "3"), {"usr/n": f("3")}, old, new, {**old, "usr/n": f("3")})
    assert found == {"usr/a": "needed: bring", "usr/b": "needed: bring", "usr/n": "of package: keep"}


def test_a_package_that_was_removed_and_grew_is_hidden_all_the_same() -> None:
    """T8."""
    old, new = {"usr/bin/git": f("1")}, {"usr/bin/git": f("2"), "usr/bin/scalar": f("2"), "usr/doc": d()}
    found = _with_files(("1", "2", None), {"usr/bin/git": WHITEOUT}, old, new, {})
    assert found == {"usr/bin/git": "of package: keep", "usr/bin/scalar": "grown: hide"}


def test_a_folder_that_went_with_its_package_is_no_dispute() -> None:
    """dpkg removes it, overlayfs has one mark for all that was in it, and the new version's has changed."""
    old, new = ({"usr/share": d(), "usr/share/p/doc": f(n)} for n in "12")
    new["usr/share/p/more"] = f("2")
    upper = {"usr/share": d(), "usr/share/p": WHITEOUT}
    assert _with_files(("1", "2", None), upper, old, new, {}) == {"usr/share/p": "deleted: keep"}
    assert told(upper, old, new) == {"usr/share/p": "delete/modify: ask conflict"}
    # Of one that is taken the mark goes; but not where somebody deleted what was nobody's as well.
    assert _with_files(("1", "3", "2"), upper, old, new, {}) == {"usr/share/p": "of package: take"}
    packages = _settled(a_system("p=1"), a_system("p=3"), a_system("p=2"))
    listed = _files(p=["usr/share/p/doc"])
    owned = owners(packages, old=listed, new=listed, machine=[])
    old["usr/share/p/own"] = f("1")
    found = told(upper, old, new, packages=packages, owners=owned)
    assert found == {"usr/share/p": "delete/modify: ask conflict"}


def test_what_is_in_the_place_of_a_removed_package_is_no_dispute() -> None:
    """Settings that somebody had altered before, and a program of his own: that package is not there."""
    old, new = ({"usr/bin/p": f(n), "etc/p.conf": f(n), "etc/as": f(n)} for n in "12")
    upper = {"usr/bin/p": f("own"), "etc/p.conf": f("mine"), "etc/as": f("1")}
    assert _with_files(("1", "2", None), upper, old, new, {}) == {
        "usr/bin/p": "of package: keep", "etc/p.conf": "of package: keep", "etc/as": "no change: take",
    }  # fmt: skip
    assert "modify/modify: ask conflict" in _with_files(("1", "2", "1"), upper, old, new).values()


def test_a_package_that_only_the_database_has_no_more_blocks() -> None:
    """A status file that was cut off: all packages behind it would be hidden, and are in use."""
    old, new = ({"usr/a": f(n), "usr/b": f(n), "etc/p.conf": f(n)} for n in "12")
    found = _with_files(("1", "2", None), {"usr/b": WHITEOUT}, old, new, {})
    assert found == {"usr/b": "of package: keep", "p": "not removed: ask blocked"}


def test_what_dpkg_knows_of_a_package_goes_with_it() -> None:
    info = "var/lib/dpkg/info"
    old, new = (
        {f"{info}/{name}.list": f("1") for name in "pqr"},
        {f"{info}/{name}.list": f("2") for name in "pqr"},
    )
    new[f"{info}/r.triggers"] = f("2")
    upper = {
        f"{info}/p.list": f("3"),
        f"{info}/q.list": f("0"),
        f"{info}/r.list": WHITEOUT,
        f"{info}/o:amd64.list": f(),
    }
    packages = _settled(
        a_system("p=1", "q=1", "r=1"), a_system("p=2", "q=2", "r=2"), a_system("p=3", "q=1", "o=1")
    )
    found = told(upper, old, new, packages=packages)
    assert {path.rpartition("/")[2]: what for path, what in found.items()} == {
        "p.list": "of package: keep",
        "q.list": "of package: take",
        "r.list": "of package: keep",
        "r.triggers": "grown: hide",
        "o:amd64.list": "of package: keep",
    }


def test_what_dpkg_never_wrote_in_the_machine_is_brought() -> None:
    """Of a package on hold it wrote nothing there: `dpkg -V` named 200 files of openssl, since the new
    master's digests were seen. Of one that was removed, and not purged, the last script is still to run."""
    info = "var/lib/dpkg/info"
    old = {f"{info}/{name}": f("1") for name in ("p.md5sums", "p.list", "p.preinst", "r.postrm", "s.list")}
    new = {f"{info}/{name}": f("2") for name in ("p.md5sums", "p.triggers", "r.postrm", "s.list")}
    new[f"{info}/p.list"] = f("1")
    packages = _settled(
        a_system("p=1", "r=1", "s=1"),
        a_system("p=2", "r=2", "s=2"),
        a_system(a_package("p", "1", status=HELD), "s=1"),
        hold=Fate.KEEP,
    )
    found = told({"": d()}, old, new, packages=packages)
    assert {path.rpartition("/")[2]: what for path, what in found.items()} == {
        "p.md5sums": "needed: bring",
        "p.preinst": "needed: bring",
        "p.triggers": "grown: hide",
        "r.postrm": "needed: bring",
    }


def _clashes(old: Listed, new: Listed, machine: Listed, *sides: System) -> list[str]:
    packages = _settled(sides[0], sides[1], sides[2])
    found = owners(packages, old=old, new=new, machine=machine)
    return [f"{each.name}: {each.detail}" for each in two_owners(found, packages, old=lambda: old, new=new)]


def test_one_path_of_two_packages_blocks_and_names_the_way_out() -> None:
    """T7: the library of the renamed package would be hidden, and half the system does not start."""
    ssl, crypto = "usr/lib/libssl.so.3", "usr/lib/libcrypto.so.3"
    listed = _files(libssl3=[ssl, crypto])
    (said,) = _clashes(
        listed, _files(libssl3t64=[ssl, crypto]), listed,
        a_system("libssl3=1"), a_system("libssl3t64=3"), a_system("libssl3=2"),
    )  # fmt: skip
    assert (
        said.startswith(f"libssl3: /{crypto} and 1 more would be libssl3t64's as well") and "--replay" in said
    )


def test_a_package_that_replaces_anothers_file_already_does_not_block() -> None:
    base = _files(base=["usr/x"])
    sides = a_system("base=1"), a_system("base=2"), a_system("base=1", "own=1")
    assert _clashes(base, base, _files(own=["usr/x"]), *sides) == []
    assert len(_clashes(_files(base=["usr/y"]), base, _files(own=["usr/x"]), *sides)) == 1


# --- against a model

NAMES = "abcd"
VERSION = st.sampled_from([None, "1", "2", "3"])
SETS = st.fixed_dictionaries(dict.fromkeys(NAMES, VERSION))


@given(SETS, SETS, SETS)
def test_random_sets_of_packages(
    old: dict[str, str | None], new: dict[str, str | None], machine: dict[str, str | None]
) -> None:
    """What is installed afterwards, by a model that knows no classes: what only one side changed, that is so;
    what both changed is the later one, and nothing is removed by surprise."""
    systems = [
        a_system(*(f"{name}={version}" for name, version in side.items() if version))
        for side in (old, new, machine)
    ]
    found = _settled(systems[0], systems[1], systems[2])
    assert {name for name in NAMES if old[name] or new[name] or machine[name]} == set(found)
    for name, each in found.items():
        o, n, m = old[name], new[name], machine[name]
        sides = {Fate.KEEP: m, Fate.TAKE: n, Fate.HIDE: None}
        after = sides[each.fate]
        if m == o:
            assert after == n
        elif n == o:
            assert after == m
        elif m is None:
            assert after is None
        else:
            assert after == max(filter(None, (m, n)))
        assert each.touched or m == o
