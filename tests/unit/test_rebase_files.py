"""What becomes of each path of a machine: a table, the traps, and random trees against a model."""

import copy
import re
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skinnybox.delta.rebase.context import Context
from skinnybox.delta.rebase.diverted import Diverted
from skinnybox.delta.rebase.files import decisions
from skinnybox.delta.rebase.rules import Choice, Policy, Rule
from skinnybox.delta.rebase.streams import places
from skinnybox.delta.rebase.values import FileClass
from skinnybox.errors import Corrupt
from skinnybox.masters.system.values import Diversion
from tests.pages import ROOT, rows
from tests.unit.rebased import (
    OPAQUE,
    WHITEOUT,
    Index,
    Line,
    Reader,
    Thing,
    Tree,
    a_system,
    d,
    decided,
    f,
    l,
    line,
    moving,
    told,
    whole,
)
from tests.unit.rebased_disk import Model

DEV = Thing("c", rdev=(1, 3))
CAPABLE = {"security.capability": b"x"}


@pytest.mark.parametrize(
    ("mine", "old", "new", "wanted"),
    [
        (f("1"), f("1"), f("1"), "no change: take"),
        (f("1"), f("1"), f("2"), "no change: take"),
        (f("1"), f("1"), None, "no change: take"),
        (f("2"), f("1"), f("2"), "converged: take"),
        (f("2"), None, f("2"), "converged: take"),
        (f("2"), f("1"), f("1"), "changed: keep"),
        (f("2"), f("1"), f("3"), "modify/modify: ask conflict"),
        (f("2"), f("1"), None, "modify/delete: ask conflict"),
        (f("2"), None, None, "own: keep"),
        (f("2"), None, f("3"), "add/add: ask conflict"),
        (WHITEOUT, f("1"), f("1"), "deleted: keep"),
        (WHITEOUT, f("1"), f("2"), "delete/modify: ask conflict"),
        (WHITEOUT, f("1"), None, "stale: take"),
        (WHITEOUT, None, None, "stale: take"),
        (WHITEOUT, None, f("1"), "delete/modify: ask conflict"),
        # Content and metadata each by itself.
        (f("1", mode=0o600), f("1"), f("1"), "metadata: keep"),
        (f("1", mode=0o600), f("1"), f("2"), "merged: merge"),
        (f("2"), f("1"), f("1", mode=0o600), "merged: merge"),
        (f("1", mode=0o600), f("1"), f("2", mode=0o600), "converged: take"),
        (f("1", mode=0o600), f("1"), f("1", mode=0o640), "modify/modify: ask conflict"),
        (f("1", xattrs=CAPABLE), f("1"), f("2"), "merged: merge"),
        (f("1", uid=5), f("1"), f("1", uid=6), "modify/modify: ask conflict"),
        (f("1", mtime_ns=9), f("1"), f("2"), "no change: take"),
        # Of another type: only a dispute when the masters disagree (T10).
        (f("own"), l("../run/resolv.conf"), l("../run/resolv.conf"), "changed: keep"),
        (f("own"), l("a"), l("b"), "type: ask blocked"),
        (f("own"), f("1"), l("b"), "type: ask blocked"),
        (f("1"), f("1"), l("b"), "no change: take"),
        (l("x"), f("1"), None, "modify/delete: ask conflict"),
        (DEV, None, f("1"), "type: ask blocked"),
        (l("b"), l("a"), l("a"), "changed: keep"),
        (l("b"), l("a"), l("c"), "modify/modify: ask conflict"),
        (DEV, DEV, Thing("c", rdev=(1, 5)), "no change: take"),
    ],
)
def test_one_path(mine: Thing, old: Thing | None, new: Thing | None, wanted: str) -> None:
    sides: list[Tree] = [{} if thing is None else {"srv/x": thing} for thing in (mine, old, new)]
    sides[2] = {"srv": d(), **sides[2]}
    sides[1] = {"srv": d(), **sides[1]}
    assert told(*sides).get("srv/x") == wanted


@pytest.mark.parametrize(
    ("new", "policy", "wanted"),
    [
        (f("1"), Policy(), "changed: keep"),
        (f("2"), Policy(), "modify/modify: ask blocked"),
        (f("2"), Policy(on_conflict=Choice.OURS), "modify/modify: ask blocked"),
        (f("2"), Policy(pin=("/usr/bin/a",)), "changed: keep"),
        (f("2"), Policy(ours=("/usr/bin/a",)), "modify/modify: keep"),
        (None, Policy(), "modify/delete: ask conflict"),
    ],
)
def test_what_was_diverted_does_not_stay_an_older_one(new: Thing | None, policy: Policy, wanted: str) -> None:
    """dpkg would say the new version, and what runs is the copy aside, which nobody writes to any more."""
    system = replace(a_system(), diversions=(Diversion(path="usr/bin/a", to="usr/bin/a.real", package=":"),))
    upper = {b"usr/bin/a": f("wrapper"), b"usr/bin/a.real": f("1")}
    diverted = Diverted.of(a_system(), system, Model(upper))
    assert diverted.aside == {b"usr/bin/a": b"usr/bin/a.real"}
    assert Diverted.of(a_system(), system, Model({b"usr/bin/a": f("wrapper")})).aside == {}
    sides = {"usr/bin": d(), **({} if new is None else {"usr/bin/a": new})}
    mine = {path.decode(): thing for path, thing in upper.items()}
    found = told(mine, {"usr/bin/a": f("1")}, sides, diverted=diverted, policy=policy)
    assert found["usr/bin/a"] == wanted and found["usr/bin/a.real"] == "own: keep"


@pytest.mark.parametrize(
    ("mine", "old", "new", "wanted"),
    [
        (d(0o755), d(0o755), d(0o700), "metadata: take"),  # a security fix of the master
        (d(0o700), d(0o755), d(0o755), "metadata: keep"),
        (d(0o700), d(0o755), d(0o750), "modify/modify: ask conflict"),
        (d(0o700), None, d(0o755), "add/add: ask conflict"),
        (d(), None, None, "own: keep"),
        (d(), None, d(), None),
        (d(), d(), None, None),
        (d(), d(), l("usr/bin"), "no change: take"),
        (d(0o700), d(), l("usr/bin"), "type: ask blocked"),
        (d(), l("/srv"), l("/srv"), "changed: keep"),
    ],
)
def test_a_folder(mine: Thing, old: Thing | None, new: Thing | None, wanted: str | None) -> None:
    sides: list[Tree] = [{} if thing is None else {"x": thing} for thing in (mine, old, new)]
    assert told(*sides).get("x") == wanted


def test_a_folder_over_what_became_a_symlink_blocks_or_is_looked_below() -> None:
    """The merge of /bin into /usr/bin: one file of the machine's own there would hide all programs."""
    found = told({"bin/own": f()}, {"bin/sh": f()}, {"bin": l("usr/bin"), "usr/bin/sh": f()})
    assert found["bin"] == "no change: take"
    assert found["bin/own"] == "below taken: take"


# --- the traps


def test_a_mark_that_a_rename_made_is_no_decision() -> None:
    """T6: dpkg makes folders so, and the new master has the same package."""
    upper = {"usr/lib/p": d(xattrs=OPAQUE), "usr/lib/p/own": f("1"), "usr/lib/p/same": f("2")}
    new = {"usr/lib/p/same": f("2"), "usr/lib/p/more": f("2")}
    assert told(upper, {"usr/lib": d()}, new) == {
        "usr/lib/p": "opaque: clear",
        "usr/lib/p/own": "own: keep",
        "usr/lib/p/same": "converged: take",
    }


def test_a_folder_that_was_emptied_stays_so_and_what_it_hides_is_told() -> None:
    upper = {"opt/app": d(xattrs=OPAQUE), "opt/app/mine": f("m")}
    old = {"opt/app/a": f("1"), "opt/app/b": f("1")}
    assert told(upper, old, old) == {"opt/app": "opaque: keep", "opt/app/mine": "below opaque: keep"}
    found = decided(upper, old, {**old, "opt/app/a": f("2"), "opt/app/c": f("3")})
    (said,) = [each for each in found if each.name == "opt/app"]
    assert (said.kind, said.standing) == ("opaque", "conflict") and said.detail.startswith("hides 2 paths")
    assert told(upper, old, {}) == {"opt/app": "opaque: keep", "opt/app/mine": "below opaque: keep"}


def test_below_such_a_folder_nothing_is_dropped() -> None:
    """T16: it is the same as the new master's, and dropped it would be gone, since that is hidden."""
    upper = {"opt/app": d(xattrs=OPAQUE), "opt/app/a": f("2"), "opt/app/b": f("1"), "opt/app/sub/c": f("2")}
    old = {"opt/app/a": f("1"), "opt/app/b": f("1"), "opt/app/sub/c": f("1")}
    new = {"opt/app/a": f("2"), "opt/app/b": f("1"), "opt/app/sub/c": f("2")}
    found = told(upper, old, new)
    assert {path for path, what in found.items() if what == "below opaque: keep"} == {
        "opt/app/a", "opt/app/b", "opt/app/sub", "opt/app/sub/c",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("etc/ssl/certs/ca-certificates.crt", "generated: regenerate"),  # T9
        ("etc/ld.so.cache", "generated: regenerate"),
        ("usr/lib/locale/locale-archive", "generated: regenerate"),
        ("usr/share/mime/mime.cache", "generated: regenerate"),
        ("usr/lib/python3/dist-packages/__pycache__/x.cpython-311.pyc", "generated: regenerate"),
        ("var/.updated", "generated: regenerate"),
        ("etc/.updated", "generated: regenerate"),
        ("etc/passwd", "by record: merge"),
        ("etc/subgid", "by record: merge"),
        ("var/lib/dpkg/status", "by record: merge"),
        ("var/lib/dpkg/alternatives/editor", "by record: merge"),
        ("etc/alternatives/editor", "by record: merge"),
        ("var/cache/debconf/config.dat", "by record: merge"),
        ("var/lib/apt/extended_states", "by record: merge"),
        ("boot/grub/grub.cfg", "ineffective: take"),  # T11
        ("usr/lib/modules/6.1.0-9/updates/dkms/zfs.ko", "ineffective: take"),
        ("etc/hostname", "identity: keep"),
        ("var/log/dpkg.log", "local: keep"),
        ("dev/null", "ineffective: take"),
        ("etc/ssh/ssh_host_ed25519_key", "identity: keep"),
        ("usr/share/mime/packages/own.xml", "modify/modify: ask conflict"),
        ("etc/passwd.bak", "modify/modify: ask conflict"),
    ],
)
def test_paths_that_no_comparison_decides(path: str, wanted: str) -> None:
    assert told({path: f("mine")}, {path: f("1")}, {path: f("2")})[path] == wanted


def test_modules_of_a_kernel_that_the_new_master_has_not_are_reported() -> None:
    path = "usr/lib/modules/6.1.0-8/updates/dkms/zfs.ko"
    assert told({path: f("mine")}, {}, {})[path] == "ineffective: report"


def test_text_below_etc_is_merged_where_it_can_be() -> None:
    old, mine, new = "a\nb\nc\nd\ne\n", "A\nb\nc\nd\ne\n", "a\nb\nc\nd\nE\n"
    for path, wanted in (("etc/x", "merged: merge"), ("srv/x", "modify/modify: ask conflict")):
        assert told({path: f(mine)}, {path: f(old)}, {path: f(new)})[path] == wanted
    assert told({"etc/x": f(mine)}, {"etc/x": f(old)}, {"etc/x": f("B\n" + new)})["etc/x"].startswith(
        "modify/modify"
    )
    chmod = told({"etc/x": f(mine, mode=0o600)}, {"etc/x": f(old)}, {"etc/x": f(new, mode=0o640)})
    assert chmod["etc/x"] == "modify/modify: ask conflict"
    policy = Policy(on_conflict=Choice.FAIL)
    assert told({"etc/x": f(mine)}, {"etc/x": f(old)}, {"etc/x": f(new)}, policy=policy)["etc/x"].endswith(
        "conflict"
    )


def test_a_kept_name_of_a_file_with_several_is_told() -> None:
    twin = f("1", link=b"usr/a")
    lower = {"usr/a": twin, "usr/b": twin}
    (found,) = decided({"usr/b": f("9")}, lower, lower)
    assert found.detail == "one of several names of a file"


def test_what_is_below_a_deleted_folder_is_looked_at() -> None:
    old = {"opt/app/a": f("1"), "opt/app/b": f("1")}
    assert told({"opt": d(), "opt/app": WHITEOUT}, old, old) == {"opt/app": "deleted: keep"}
    found = told({"opt": d(), "opt/app": WHITEOUT}, old, {**old, "opt/app/b": f("2")})
    assert found == {"opt/app": "delete/modify: ask conflict"}
    assert (
        told({"opt/app": l("/srv")}, old, {**old, "opt/app/b": f("2")})["opt/app"] == "opaque: ask conflict"
    )


def test_marks_of_a_kernel_with_other_options_block() -> None:
    for mark, path in (("metacopy", "a"), ("redirect", "b"), ("whiteout", "c")):
        found = told({path: f(xattrs={f"trusted.overlay.{mark}": b""})}, {path: f("1")}, {path: f("1")})
        assert found[path] == "unread: ask blocked"
    renamed = {"x": d(xattrs={"trusted.overlay.redirect": b"/y"})}
    assert told(renamed, {}, {})["x"] == "unread: ask blocked"


def test_a_machine_whose_accounts_move_hides_the_same_as_before() -> None:
    upper = {"opt/app": d(xattrs=OPAQUE)}
    old, new = {"opt/app/a": f("1", uid=101)}, {"opt/app/a": f("1", uid=102)}
    assert told(upper, old, new, ownership=moving({101: 102}))["opt/app"] == "opaque: keep"
    assert told(upper, old, old, ownership=moving({101: 102}))["opt/app"] == "opaque: ask conflict"


# --- who wins

MINE, OLD, NEW = {"etc/x": f("m")}, {"etc/x": f("o")}, {"etc/x": f("n")}


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [
        (Policy(), "modify/modify: ask conflict"),
        (Policy(on_conflict=Choice.OURS), "modify/modify: keep"),
        (Policy(on_conflict=Choice.THEIRS), "modify/modify: take"),
        (Policy(take=("/etc",)), "changed: take"),
        (Policy(pin=("/etc/x",)), "changed: keep"),
        (Policy(take=("/etc",), pin=("/etc/x",)), "changed: keep"),
        (Policy(pin=("/etc",), take=("/etc/x",)), "changed: take"),
        (Policy(rules=(Rule(glob="/etc/*", choice=Choice.OURS),)), "modify/modify: keep"),
        (Policy(rules=(Rule(glob="/*", choice=Choice.OURS),)), "modify/modify: ask conflict"),
        (Policy(rules=(Rule(glob="/**", choice=Choice.THEIRS),)), "modify/modify: take"),
        (
            Policy(rules=(Rule(glob="/etc/?", choice=Choice.FAIL),), on_conflict=Choice.OURS),
            "modify/modify: ask conflict",
        ),
        (Policy(rules=(Rule(glob="/e*x", choice=Choice.OURS),)), "modify/modify: ask conflict"),
    ],
)
def test_policies(policy: Policy, wanted: str) -> None:
    assert told(MINE, OLD, NEW, policy=policy)["etc/x"] == wanted


def test_what_nobody_disputes_goes_only_where_that_was_said() -> None:
    theirs, take = Policy(on_conflict=Choice.THEIRS), Policy(take=("/etc/x",))
    assert told(MINE, OLD, OLD, policy=theirs)["etc/x"] == "changed: keep"
    assert told(MINE, OLD, OLD, policy=take)["etc/x"] == "changed: take"
    assert told(MINE, {}, {}, policy=take)["etc/x"] == "changed: take"
    assert told({"etc/x": WHITEOUT}, OLD, OLD, policy=take)["etc/x"] == "deleted: take"
    assert told(OLD, OLD, NEW, policy=Policy(pin=("/etc",)))["etc/x"] == "changed: keep"


def test_a_path_of_another_type_is_decided_by_name_alone() -> None:
    sides: tuple[Tree, Tree, Tree] = ({"x": f("m")}, {"x": f("o")}, {"x": l("n")})
    assert told(*sides, policy=Policy(on_conflict=Choice.OURS))["x"] == "type: ask blocked"
    assert told(*sides, policy=Policy(rules=(Rule(glob="/x", choice=Choice.OURS),)))["x"] == "type: keep"
    assert told(*sides, policy=Policy(take=("/x",)))["x"] == "changed: take"


def test_nobody_pins_what_a_record_says() -> None:
    path = "var/lib/dpkg/status"
    assert (
        told({path: f("m")}, {path: f("o")}, {path: f("n")}, policy=Policy(pin=("/var",)))[path]
        == "by record: merge"
    )
    assert (
        told({"etc/ld.so.cache": f()}, {}, {}, policy=Policy(pin=("/etc",)))["etc/ld.so.cache"] == "own: keep"
    )


def test_an_opaque_folder_is_opened_or_settled_by_name() -> None:
    upper = {"opt/app": d(xattrs=OPAQUE), "opt/app/a": f("1")}
    old, new = {"opt/app/a": f("0")}, {"opt/app/a": f("2"), "opt/app/b": f("2")}
    opened = told(upper, old, new, policy=Policy(take=("/opt/app",)))
    assert opened == {"opt/app": "opaque: clear", "opt/app/a": "changed: take"}
    assert told(upper, old, new, policy=Policy(pin=("/opt/app",)))["opt/app"] == "opaque: keep"


# --- order, cost


def test_a_side_out_of_order_is_corrupt() -> None:
    line = Index({b"f": d(), b"f/b": f(), b"f/a": f()})
    for sides in ((line, Index({})), (Index({}), line)):
        with pytest.raises(Corrupt, match="not in order"):
            list(places([(b"f", f())], *sides, opened=lambda: b"f"))
    with pytest.raises(Corrupt, match="upper directory is not in order"):
        list(places([(b"b", f()), (b"a", f())], Index({}), Index({})))


def test_what_the_machine_has_nothing_of_is_not_looked_at() -> None:
    """Masters are as large as they are; what a plan costs follows from the machine."""

    class Counted(Index):
        asked = 0

        def at(self, path: bytes) -> Line | None:
            Counted.asked += 1
            return super().at(path)

    many = {f"usr/{number}": f() for number in range(1000)}
    own = {"etc/a": f("x"), "etc/b": d(), "etc/b/c": f("y")}
    upper = whole({**own, "usr/7": WHITEOUT, "opt": d(xattrs=OPAQUE)})
    sides = Counted(whole({**many, "opt/a": f("1")})), Counted(whole({**many, "opt/a": f("2"), "opt/b": f()}))
    found = [line(e) for e in decisions(upper.items(), *sides, Context[Thing](reader=Reader()))]
    assert found == ["own: keep"] * 4 + ["opaque: ask conflict", "deleted: keep"]
    assert Counted.asked == 2 * (len(upper) - len(own))  # below a folder of its own nobody asks


def test_only_what_may_be_the_same_is_read() -> None:
    reader = Reader()
    told({"a": f("long"), "b": f("x"), "c": f("y")}, {"a": f("1"), "b": f("y")}, {"a": f("2")}, reader=reader)
    assert reader.read == 1


# --- against a model

PATHS = ("a", "b/x", "b/y", "c/d/x", "c/d/y", "c/z")
CONTENT = st.sampled_from([None, "1", "2", "3"])
SIDE = st.fixed_dictionaries(dict.fromkeys(PATHS, CONTENT))


@given(SIDE, SIDE, SIDE, st.sets(st.sampled_from(PATHS)), st.sets(st.sampled_from(["b", "c", "c/d"])))
def test_random_trees(
    old: dict[str, str | None],
    new: dict[str, str | None],
    machine: dict[str, str | None],
    copied: set[str],
    renewed: set[str],
) -> None:
    """What is seen after the plan was done, path by path, by a model that knows no whiteouts and no marks."""
    lower, after = ({path: f(text) for path, text in side.items() if text} for side in (old, new))
    upper = _upper(lower, machine, copied, renewed)
    found = {each.name: each for each in decided(upper, lower, after)}
    left: dict[str, Thing] = dict(copy.copy(upper))
    for path, each in found.items():
        if each.fate == "take":
            del left[path]
        if each.fate == "clear":
            left[path] = d()
    seen = _seen(left, after)
    hiding = {path for path in renewed if _has_below(lower, path)}
    for path in PATHS:
        above = [folder for folder in hiding if path.startswith(folder + "/")]
        o, n, m = old[path], new[path], machine[path]
        if above:
            assert seen.get(path) == m
            outermost = min(above, key=len)
            assert (found[outermost].standing == "conflict") == _differs_below(old, new, outermost)
            continue
        disputed = m not in (o, n) and n != o
        standing = [each.standing for name, each in found.items() if path == name]
        assert disputed == ("conflict" in standing)
        assert seen.get(path) == (m if disputed or n == o else n if m == o else m)


def _upper(
    lower: Mapping[str, Thing], machine: Mapping[str, str | None], copied: set[str], renewed: set[str]
) -> dict[str, Thing]:
    """As a machine leaves it whose files are those: `copied` were only touched, `renewed` made again."""
    upper: dict[str, Thing] = {}
    for folder in renewed:
        upper[folder] = d(xattrs=OPAQUE)
    for path, text in machine.items():
        hidden = any(path.startswith(folder + "/") for folder in renewed)
        below = lower.get(path)
        if text is not None and (hidden or below != f(text) or path in copied):
            upper[path] = f(text)
        elif text is None and below is not None and not hidden:
            upper[path] = WHITEOUT
    for path in tuple(upper):
        while "/" in path:
            path = path.rpartition("/")[0]
            upper.setdefault(path, d())
    return upper


def _seen(upper: Mapping[str, Thing], lower: Mapping[str, Thing]) -> dict[str, str]:
    """What overlayfs shows of both: files and their content."""
    hides = [path for path, thing in upper.items() if thing.type != "d" or thing.xattrs]
    shown = {
        path: thing.content.decode()
        for path, thing in lower.items()
        if path not in upper and not any(path.startswith(folder + "/") for folder in hides)
    }
    return shown | {path: thing.content.decode() for path, thing in upper.items() if thing.type == "-"}


def _has_below(tree: Mapping[str, Thing], folder: str) -> bool:
    return any(path.startswith(folder + "/") for path in tree)


def _differs_below(old: Mapping[str, str | None], new: Mapping[str, str | None], folder: str) -> bool:
    return any(new[path] not in (None, old[path]) for path in PATHS if path.startswith(folder + "/"))


def test_every_class_stands_in_the_table_that_users_read() -> None:
    """By these words programs know them, too."""
    table = rows(ROOT / "docs" / "how-to" / "rebase.md", "class")
    assert sorted(re.findall(r"`([^`]+)`", " ".join(row[0] for row in table))) == sorted(FileClass)
