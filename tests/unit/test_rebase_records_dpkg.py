"""dpkg's records but its status: diversions, statoverrides, triggers, architectures."""

import pytest

from skinnybox.delta.rebase.accounts import Numbers, Ownership
from skinnybox.delta.rebase.records import Made
from skinnybox.delta.rebase.values import Fate
from skinnybox.errors import Corrupt
from tests.unit.recorded import Thing, Tree, after, fates, sides, status, told

DIVERSIONS, OVERRIDES = "var/lib/dpkg/diversions", "var/lib/dpkg/statoverride"
FILE, PENDING = "var/lib/dpkg/triggers/File", "var/lib/dpkg/triggers/Unincorp"
STATUS = "var/lib/dpkg/status"


def _diverted(path: str, whose: str = ":", to: str = "x") -> bytes:
    return f"/{path}\n/{path}.{to}\n{whose}\n".encode()


def test_diversions_are_their_packages_and_others_are_whose_they_were() -> None:
    old = _diverted("a", "keep", "1") + _diverted("b", "take", "1") + _diverted("gone")
    new = _diverted("a", "keep", "2") + _diverted("b", "take", "2") + _diverted("gone") + _diverted("news")
    mine = _diverted("a", "keep", "1") + _diverted("b", "take", "1") + _diverted("own")
    given = sides(
        {DIVERSIONS: old},
        {DIVERSIONS: new},
        {DIVERSIONS: mine},
        packages=fates(keep=Fate.KEEP, take=Fate.TAKE, hidden=Fate.HIDE),
    )
    wanted = _diverted("a", "keep", "1") + _diverted("b", "take", "2") + _diverted("news") + _diverted("own")
    assert after(given)[DIVERSIONS] == wanted


def test_a_diversion_of_a_package_that_the_machine_removed_is_not_made() -> None:
    new = _diverted("a", "hidden") + _diverted("b")
    given = sides({}, {DIVERSIONS: new}, {}, packages=fates(hidden=Fate.HIDE))
    assert after(given)[DIVERSIONS] == _diverted("b")


ROOT = b"root:x:0:0::/:/bin/sh\n"
REDIS = b"redis:x:101:101::/:/bin/sh\n"


def test_owners_by_number_are_renumbered() -> None:
    """They are told by name but where the name was not known."""
    machine = b"#101 #500 640 /srv/a\nroot root 4755 /usr/bin/b\n"
    owners = Ownership(users=Numbers(moved={101: 102}), groups=Numbers(moved={500: 501}))
    given = sides({OVERRIDES: b""}, {OVERRIDES: b""}, {OVERRIDES: machine}, ownership=owners)
    assert after(given)[OVERRIDES] == b"#102 #501 640 /srv/a\nroot root 4755 /usr/bin/b\n"


def test_one_that_names_whom_the_machine_removed_goes() -> None:
    """dpkg does nothing at all with such a database."""
    accounts: Tree = {"etc/passwd": ROOT + REDIS, "etc/group": b"root:x:0:\nredis:x:101:\n"}
    less: Tree = {"etc/passwd": ROOT}
    new = b"redis root 640 /etc/redis.conf\nroot root 755 /srv\nroot nobodys 755 /opt\n"
    given = sides(accounts, {**accounts, OVERRIDES: new}, less, packages={})
    assert after(given)[OVERRIDES] == b"root root 755 /srv\n"
    assert OVERRIDES in told(given) and after(sides(accounts, accounts, less))["etc/passwd"] == ROOT


def test_a_mode_that_the_machine_changed_stays() -> None:
    old, new, mine = (f"root root {mode} /bin/x\n".encode() for mode in ("4755", "2755", "755"))
    assert after(sides({OVERRIDES: old}, {OVERRIDES: new}, {OVERRIDES: mine}))[OVERRIDES] == mine
    assert after(sides({OVERRIDES: old}, {OVERRIDES: new}, {OVERRIDES: old}))[OVERRIDES] == new


def test_triggers_are_their_packages() -> None:
    old = b"/usr/share/a keep\n/usr/share/b take/noawait\n"
    new = b"/usr/share/b take\n/usr/share/c hidden:amd64\n/usr/share/d keep\n"
    mine = b"/usr/share/a keep/noawait\n/usr/share/b take/noawait\n"
    given = sides(
        {FILE: old, "var/lib/dpkg/triggers/gone": b"take\n"},
        {FILE: new, "var/lib/dpkg/triggers/x": b"hidden\ntake\n"},
        {FILE: mine, "var/lib/dpkg/triggers/own": b"keep\n"},
        packages=fates(keep=Fate.KEEP, take=Fate.TAKE, hidden=Fate.HIDE),
    )
    found = after(given)
    assert found[FILE] == b"/usr/share/b take\n/usr/share/a keep/noawait\n"
    assert found["var/lib/dpkg/triggers/x"] == b"take\n"
    assert found["var/lib/dpkg/triggers/own"] == b"keep\n"
    assert "var/lib/dpkg/triggers/gone" not in found


def test_who_makes_a_cache_of_what_is_the_machines_is_told() -> None:
    """Without a trigger that is pending `dpkg --triggers-only -a` does nothing."""
    watched = b"/usr/share/mime/packages mime/noawait\n/usr/share/icons icons\n/usr/share/x gone\n"
    tree: Tree = {
        FILE: watched,
        PENDING: b"",
        "usr/share/mime/packages/a.xml": b"a",
        "usr/share/icons/i": b"i",
    }
    own: Tree = {"usr/share/mime/packages/own.xml": b"o", "usr/share/x/y": b"y"}
    given = sides(tree, tree, own, packages=fates(mime=Fate.TAKE, icons=Fate.TAKE, gone=Fate.HIDE))
    assert told(given)[PENDING] == Made(
        path=PENDING, content=b"/usr/share/mime/packages -\n", task="triggers"
    )
    assert told(sides(tree, tree, {}))[PENDING] == Made(path=PENDING)


def test_what_was_pending_stays_so() -> None:
    given = sides({}, {PENDING: b"a -\n"}, {PENDING: b"a p\nb -\n"})
    assert told(given)[PENDING].content == b"a - p\nb -\n"


@pytest.mark.parametrize(
    ("old", "new", "machine", "wanted"),
    [
        (None, None, b"amd64\ni386\n", b"amd64\ni386\n"),
        (b"amd64\n", b"amd64\n", b"amd64\ni386\n", b"amd64\ni386\n"),
        (b"amd64\narm64\n", b"amd64\narm64\n", b"amd64\n", b"amd64\n"),
        (b"amd64\n", b"amd64\narm64\n", b"amd64\ni386\n", b"amd64\narm64\ni386\n"),
        (b"amd64\ni386\n", None, None, None),
    ],
)
def test_architectures(old: Thing, new: Thing, machine: Thing, wanted: Thing) -> None:
    path = "var/lib/dpkg/arch"
    assert after(sides({path: old}, {path: new}, {path: machine})).get(path) == wanted


def test_an_architecture_of_which_a_package_stays_does_too() -> None:
    path, both = "var/lib/dpkg/arch", b"amd64\ni386\n"
    own = status("libc6=1") + status("own=1").replace(b"amd64", b"i386")
    given = sides({path: both, STATUS: status("libc6=1")}, {STATUS: status("libc6=1")}, {STATUS: own})
    assert after(given)[path] == both


def test_what_means_nothing_any_more_goes() -> None:
    names = ("lock", "lock-frontend", "triggers/Lock", "status-old", "diversions-old", "updates/tmp.i")
    tree = {f"var/lib/dpkg/{name}": b"" for name in names}
    found = told(sides({}, tree, dict.fromkeys(tree, b"x")))
    assert {path: found[path] for path in tree} == {path: Made(path=path) for path in tree}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (DIVERSIONS, b"/a\n/b\n"),
        (DIVERSIONS, b"/a\n\n:\n"),
        (OVERRIDES, b"root root 755\n"),
        (OVERRIDES, b"root root 755 no/path\n"),
        (FILE, b"/alone\n"),
        (FILE, b"/a two words\n"),
        ("var/lib/dpkg/triggers/x", b"\0\n"),
        (PENDING, b"alone\n"),
        (PENDING, b"a  b\n"),
        (DIVERSIONS, b"/a\n/b\n:\n" * 200_000),
        (FILE, b"/a b\n" * 8_000_000),
    ],
)
def test_what_dpkg_would_not_read_is_named(path: str, text: bytes) -> None:
    with pytest.raises(Corrupt, match=f"/{path} "):
        told(sides({}, {}, {path: text}))


@pytest.mark.parametrize("path", [DIVERSIONS, OVERRIDES, FILE, PENDING, STATUS, "etc/passwd", "etc/shadow-"])
def test_a_record_that_is_no_file_is_named(path: str) -> None:
    tree: Tree = {STATUS: status("p=1")}
    for odd in ({path: "/somewhere"}, {f"{path}/below": b""}):
        with pytest.raises(Corrupt, match=f"/{path} is no file"):
            told(sides(tree, tree, {path: None, **odd}, packages={}))
