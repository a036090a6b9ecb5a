"""What changes are about: packages by their database, services and accounts; and what no line may hide."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox.cli.changes_grouped import gathered, is_hidden, lines
from skinnybox.delta import whose
from skinnybox.delta.plain_boot import RULES
from skinnybox.delta.telling import change_checked, facts_checked
from skinnybox.errors import Corrupt
from skinnybox.model import Change, ChangeKind, Group, Look
from tests.unit import rebased_disk
from tests.unit.looked import Deb, Looking, deb, installed, passwd
from tests.unit.rebased import OPAQUE, WHITEOUT, Thing, d, f, l
from tests.unit.rebased_disk import without_confinement

cache = rebased_disk.cache
UNIT = "[Unit]\n"
WANTS = b"etc/systemd/system/multi-user.target.wants/"
NEW = [deb(f"new{number:02}") for number in range(30)]
OLD = [deb(f"old{number}") for number in range(5)]
BEFORE = [deb(f"up{number}", "1.0") for number in range(3)]
AFTER = [deb(f"up{number}", "1.1") for number in range(3)]
BASE = Deb(
    "base", "1", {"etc/base.conf": f("base"), "usr/bin/base": f("base", mode=0o755)}, ("etc/base.conf",)
)
EDITED = {b"etc/motd": f("new"), b"etc/base.conf": f("edited"), b"etc/ssh/sshd_config": f("edited"),
          b"etc/issue": f("edited")}  # fmt: skip
MASTER = {
    **installed(BASE, *OLD, *BEFORE), **{path: f("old") for path in EDITED}, b"etc/base.conf": f("base"),
    b"etc/passwd": passwd(), b"etc/systemd/system": d(), b"usr/lib/systemd/system/a.service": f(UNIT),
    b"usr/lib/systemd/system/b.service": f(UNIT), b"root": d(0o700),
}  # fmt: skip


@pytest.fixture
def looking(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Looking:
    without_confinement(monkeypatch)
    return Looking(folder=tmp_path, cache=cache, patch=monkeypatch)


def _upper() -> dict[bytes, Thing]:
    """What apt, systemctl and an editor leave."""
    found: dict[bytes, Thing] = {b"var/lib/dpkg/status-old": MASTER[b"var/lib/dpkg/status"]}
    for package in (*NEW, *AFTER):
        found |= package.tree()
    for package in OLD:
        found |= dict.fromkeys(package.tree(), WHITEOUT)
        found[f"usr/share/{package.name}".encode()] = WHITEOUT
        del found[f"usr/share/{package.name}/page".encode()]
    stanzas = "".join(package.stanza() for package in (BASE, *NEW, *AFTER))
    links = {
        WANTS + unit: l(f"/usr/lib/systemd/system/{unit.decode()}") for unit in (b"a.service", b"b.service")
    }
    return {
        **found,
        **EDITED,
        **links,
        b"var/lib/dpkg/status": f(stanzas),
        b"var/lib/dpkg/lock": f(mode=0o640),
    }


def test_what_apt_and_the_administrator_did_is_what_is_told(looking: Looking) -> None:
    told = list(lines(gathered(looking.at(MASTER, _upper()), whole=False)))
    # Six of each new one, with the folder; of each old one all; program and sums of those that are another
    # version, whose page is the same; the status, the one before, and the lock.
    paths = 30 * 6 + 5 * 5 + 3 * 2 + 3
    assert told == [
        f"packages ({paths} paths of these, {told[0].rpartition(', ')[2]}",
        "  30 installed  new00, new01, new02, new03, new04, new05, new06, new07, new08, new09, new10, new11,",
        "                new12, new13, new14, new15, new16, new17, new18, new19, new20, new21, new22, new23,",
        "                new24, new25, new26, new27, new28, new29",
        "  5 removed  old0 1, old1 1, old2 1, old3 1, old4 1",
        "  upgraded  up0 1.0 -> 1.1",
        "  upgraded  up1 1.0 -> 1.1",
        "  upgraded  up2 1.0 -> 1.1",
        "",
        "configuration",
        "  modified  6  /etc/base.conf",
        "  modified  6  /etc/issue",
        "  modified  3  /etc/motd",
        "  modified  6  /etc/ssh/sshd_config",
        "",
        "services (3 paths of these, 66)",
        "  enabled  a.service (multi-user.target)",
        "  enabled  b.service (multi-user.target)",
        "",
        "9 as the master has them, 243: `skinnybox slim` drops such copies",
    ]


PLANTED: dict[str, Thing] = {
    "root/.ssh/authorized_keys": f("ssh-ed25519 x"),
    "home/ann/.ssh/authorized_keys": f("ssh-ed25519 x"),
    "etc/ld.so.preload": f("/tmp/x.so"),
    "etc/cron.d/x": f("* * * * * root x"),
    "etc/crontab": f("x"),
    "var/spool/cron/crontabs/root": f("x", mode=0o600),
    "etc/systemd/system/x.service": f(UNIT),
    "usr/lib/systemd/system/new00.service": f(UNIT),
    "etc/systemd/system/multi-user.target.wants/a.service": f(UNIT),
    "etc/systemd/system/a.service.d/x.conf": f("[Service]\n"),
    "etc/init.d/x": f("x", mode=0o755),
    "etc/rc.local": f("x", mode=0o755),
    "etc/sudoers.d/x": f("ann ALL"),
    "etc/shadow": f("root:x"),
    "etc/profile.d/x.sh": f("x"),
    "etc/pam.d/su": f("x"),
    "usr/bin/x": f("x", mode=0o755),
    "usr/bin/new00": f("not that", mode=0o755),
    "usr/bin/base": f("altered", mode=0o755),
    "usr/share/new00/page": f("page" * 9, mode=0o4755),
    "usr/share/new00/more": f("x"),
    "usr/share/new01/__pycache__/x.cpython-311.pyc": f("x"),
    "etc/alternatives/x": l("/tmp/x"),
    "usr/bin/y": l("/tmp/x"),
    "var/lib/dpkg/info/base.postinst": f("x", mode=0o755),
    "var/lib/dpkg/info/new00.postinst.d": d(0o777),
    "var/lib/dpkg/triggers/x": f("x", mode=0o755),
    "var/lib/systemd/linger/ann": f(""),
    "var/lib/systemd/timers/x": f("x"),
    "var/lib/systemd/timers/stamp-x.timer": f("x"),
    "tmp/.X11-unix/x": f("x", mode=0o755),
    "tmp/systemd-private-0123/x": f("x"),
    "var/log/journal/x": f("x"),
    "usr/lib/udev/rules.d/99-x.rules": f("x"),
    "var/www/x.php": f("x"),
}


@pytest.mark.parametrize("chunk", [0, 1])
def test_nothing_that_an_intruder_writes_hides(looking: Looking, chunk: int) -> None:
    """Neither behind packages, nor behind services, nor as what a plain boot leaves."""
    own = {path.encode(): thing for path, thing in list(PLANTED.items())[chunk::2]}
    found = looking.shown(MASTER, {**_upper(), **own})
    assert {path for path in own if path not in found or is_hidden(found[path])} == set()


def test_what_is_gone_hides_only_with_its_package(looking: Looking) -> None:
    stray = {
        **MASTER,
        b"usr/share/old0/mine": f("mine"),
        b"var/log/wtmp": f("log"),
        b"var/log/auth.log": f("log"),
    }
    gone = {b"usr/bin/new00": WHITEOUT, b"usr/bin/base": WHITEOUT, b"var/log/wtmp": WHITEOUT,
            b"var/log/auth.log": WHITEOUT}  # fmt: skip
    found = looking.shown(stray, {**_upper(), **gone})
    shown = {
        path for path, change in found.items() if not is_hidden(change) and change.kind is ChangeKind.DELETED
    }
    # Of new00 the machine never had another: nothing is there of which anybody could tell.
    assert shown == {b"usr/share/old0", b"usr/bin/base", b"var/log/wtmp", b"var/log/auth.log"}
    assert is_hidden(found[b"usr/share/old1"]) and found[b"usr/bin/old0"].package == "old0"


def test_an_edited_conffile_of_a_new_package_is_configuration(looking: Looking) -> None:
    own = Deb(
        "own", "2", {"etc/own.conf": f("as it came"), "etc/own.d/x": f("x")}, ("etc/own.conf", "etc/own.d/x")
    )
    upper = {
        **own.tree(),
        b"var/lib/dpkg/status": f(BASE.stanza() + own.stanza()),
        b"etc/own.conf": f("edited"),
    }
    found = looking.shown(installed(BASE), upper)
    edited, other = found[b"etc/own.conf"], found[b"etc/own.d/x"]
    assert (edited.group, edited.package, is_hidden(edited)) == (Group.CONFIGURATION, "own", False)
    assert edited.detail == "not as its package has it"
    assert (other.group, other.package, other.folded) == (Group.PACKAGES, "own", True)


def test_a_line_in_a_packages_list_hides_nothing_where_packages_have_nothing(looking: Looking) -> None:
    """Whoever breaks in may write there, and the sum as well."""
    files = {
        path: f("x")
        for path in (
            "root/.ssh/authorized_keys", "home/ann/.bashrc", "etc/ld.so.preload", "etc/shadow", "etc/crontab",
            "etc/sudoers.d/x", "usr/local/bin/x", "var/spool/cron/crontabs/root", "srv/www/x.php", "tmp/x",
        )
    }  # fmt: skip
    own = Deb("own", "2", {**files, "usr/share/own/page": f("x"), "usr/lib/own/m.py": f("x")})
    compiled = b"usr/lib/own/__pycache__/m.cpython-311.pyc"
    upper = {**own.tree(), b"var/lib/dpkg/status": f(BASE.stanza() + own.stanza()), compiled: f("x")}
    found = looking.shown(installed(BASE), upper)
    assert not is_hidden(found[compiled]) and is_hidden(found[b"usr/lib/own/__pycache__"])
    assert {path for path in files if is_hidden(found[path.encode()])} == set()
    assert is_hidden(found[b"usr/share/own/page"])


def test_a_link_hides_behind_its_unit_only_where_it_leads_to_one(looking: Looking) -> None:
    """Some inits run what it leads to."""
    good = {b"etc/rc2.d/S01x": l("../init.d/x"), WANTS + b"a.service": l("/lib/systemd/system/a.service")}
    bad = {b"etc/rc2.d/S01y": l("/tmp/y"), WANTS + b"b.service": l("/root/b.service"),
           WANTS + b"c.service": l("/usr/lib/systemd/system/../../../tmp/c")}  # fmt: skip
    changed = {WANTS + b"d.service": l("/etc/systemd/system/d.service")}
    lower = {**MASTER, WANTS + b"d.service": l("/lib/systemd/system/d.service")}
    wanted = {b"etc/systemd/system/x.target.wants/d.service": l("/lib/systemd/system/d.service")}
    found = looking.shown(lower, {**good, **bad, **changed, **wanted})
    assert {path for path in (*good, *bad, *changed, *wanted) if is_hidden(found[path])} == {*good, *wanted}


def test_setuid_of_a_new_package_is_told(looking: Looking) -> None:
    own = Deb("own", "2", {"usr/bin/su": f("x", mode=0o4755), "usr/bin/as": f("x", mode=0o755)})
    upper = {**own.tree(), b"var/lib/dpkg/status": f(BASE.stanza() + own.stanza())}
    found = looking.shown(installed(BASE), upper)
    assert (found[b"usr/bin/su"].detail, is_hidden(found[b"usr/bin/su"])) == ("mode 4755", False)
    assert is_hidden(found[b"usr/bin/as"])


def test_copies_that_say_nothing_are_told_as_such(looking: Looking) -> None:
    lower = {b"a": f("same"), b"b": f("same"), b"c/d": f("same"), b"l": l("a")}
    found = looking.shown(lower, {**lower, b"b": f("other"), b"e": WHITEOUT, b"c": d(xattrs=OPAQUE)})
    kinds = {path: (change.kind, change.size) for path, change in found.items()}
    assert kinds == {
        b"a": (ChangeKind.SAME, 4), b"b": (ChangeKind.MODIFIED, 5), b"c/d": (ChangeKind.SAME, 4),
        b"l": (ChangeKind.SAME, 1),
    }  # fmt: skip


def _examples() -> Iterator[tuple[str, Thing]]:
    journal = "var/log/journal/" + "0" * 32
    private = "tmp/systemd-private-" + "0" * 32 + "-systemd-logind.service-Ab12Cd"
    for path, mode in (
        (private, 0o700), (f"var/{private}", 0o700), (f"{private}/tmp", 0o1777), ("tmp/.X11-unix", 0o1777),
        ("var/lib/systemd/timers", 0o755), ("var/lib/systemd/linger", 0o755), ("var/log/private", 0o700),
        ("var/lib/systemd/pstore", 0o755), (journal, 0o2755),
    ):  # fmt: skip
        yield path, d(mode)
    seed = {"user.random-seed-creditable": b"1"}
    yield "var/lib/systemd/timers/stamp-apt-daily.timer", f(mode=0o644)
    yield "var/lib/systemd/random-seed", f("x" * 32, mode=0o600, xattrs=seed)
    yield "var/lib/skinnybox/active-units", f("a.service\n")
    yield f"{journal}/system.journal", f("x", mode=0o640)
    yield f"{journal}/system@0123-4567.journal~", f("x", mode=0o640)
    yield "var/log/wtmp", f("x", mode=0o664, gid=43)


def test_what_a_plain_boot_leaves_is_noise_and_nothing_like_it(looking: Looking) -> None:
    """The same with a right more, of somebody else, as a symlink, or with another attribute could do harm."""
    examples = {path.encode(): thing for path, thing in _examples()}
    found = looking.shown({}, examples)
    assert {path for path in examples if not found[path].noise} == set()
    told = {change.noise for change in found.values() if change.noise}
    assert told == {rule.why for rule in RULES}, "a rule without an example"
    for alter in (
        lambda t: replace(t, mode=t.mode | 0o4000), lambda t: replace(t, mode=t.mode ^ 0o1, uid=7),
        lambda t: replace(t, mode=t.mode ^ 0o2), lambda t: l("/tmp/x"),
        lambda t: replace(t, xattrs={**t.xattrs, "security.capability": b"x"}),
    ):  # fmt: skip
        # The folders above stay as they are: an altered one says nothing of what is in it.
        altered = {path: alter(t) for path, t in examples.items() if not any(
            other.startswith(path + b"/") for other in examples)}  # fmt: skip
        found = looking.shown({}, {**examples, **altered})
        assert {path for path in altered if found[path].noise} == set()


def test_a_rule_is_for_the_whole_path_and_only_for_files_that_cannot_be_run() -> None:
    for rule in RULES:
        assert set(rule.types) <= set("-ds") and not rule.path.endswith(b".+")
        assert all(not mode & 0o4000 for mode in rule.modes)
        if "-" in rule.types:
            assert not any(mode & 0o7111 or mode & 0o002 for mode in rule.modes)


def test_databases_that_cannot_be_read_hide_nothing(
    looking: Looking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guest makes of them what it likes."""

    def refuse(*_: object) -> bool:
        raise Corrupt("a folder of it has too many names")

    looking.patch.setattr(whose, "same_system", refuse)
    look = looking.at(MASTER, _upper())
    told = [(fact.what, fact.change, fact.name) for fact in look.facts]
    assert told == [("system", "unread", "a folder of it has too many names")]
    assert not any(change.folded for change in look.changes)


@pytest.mark.parametrize(
    "value",
    [
        ["added", "-", 0, "x", "", None, "other", "a\x1b[2J", False, ""],
        ["added", "-", 0, "x", "", None, "other", "", False, "a word of its own"],
        None, [], 7, ["added", "-", 0, "/x", ""], ["added", "-", 0, "x", "", None, "nonsense", "", False, ""],
        ["added", "-", 0, "x", "", None, "other", None, False, ""],
        ["added", "-", 0, "x", "", None, "other", "", 1, ""],
        ["added", "-", 0, "x", "", None, "other", "", False, "x" * 10_000],
    ],
)  # fmt: skip
def test_what_is_no_change_is_refused(value: object) -> None:
    with pytest.raises(Corrupt):
        change_checked(value)


@pytest.mark.parametrize(
    "value",
    [
        [], 7, ["package"], ["package", "added", None, None, None], ["package", "\x1b", "a", None, None],
        ["a", "b", "c", None, None], ["package", "added", "c", 1, None], ["x" * 9999] * 5,
    ],
)  # fmt: skip
def test_what_is_no_fact_is_refused(value: object) -> None:
    with pytest.raises(Corrupt):
        list(facts_checked(iter([value, None])))


def test_facts_that_do_not_end_are_refused() -> None:
    with pytest.raises(Corrupt):
        list(facts_checked(iter([["package", "added", "a", None, "1"]])))


def test_many_alike_are_one_line_but_not_where_one_could_hide() -> None:
    def told(folder: str, group: Group) -> list[str]:
        changes = [
            Change(path=f"{folder}/{number}".encode(), kind=ChangeKind.ADDED, type="-", size=1, group=group)
            for number in range(20)
        ]
        return list(lines(gathered(Look(facts=(), changes=iter(changes)), whole=False)))

    assert told("srv/www", Group.DATA) == ["data", "  added  20  /srv/www/  20 files in it"]
    for group in (Group.ACCOUNTS, Group.SERVICES, Group.OTHER, Group.PACKAGES):
        assert len(told("etc/x", group)) == 21
