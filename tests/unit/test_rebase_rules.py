"""What is said of paths beforehand; services that start; what was made for a version that goes."""

import json

import pytest

from skinnybox.delta.rebase.bound import Tally, made_for
from skinnybox.delta.rebase.planning import as_policy, policy_text
from skinnybox.delta.rebase.rules import Choice, Policy, Rule, read_rules
from skinnybox.delta.rebase.services import decisions, masked, united, wants
from skinnybox.errors import UsageError
from tests.unit.rebased import a_system, l
from tests.unit.rebased_disk import Model


def test_rules_are_lines() -> None:
    text = "# ours\n\nours\t/etc/ssh/**\n take  /etc/my file \n"
    assert read_rules(text, "r") == (
        Rule(glob="/etc/ssh/**", choice=Choice.OURS), Rule(glob="/etc/my file", choice=Choice.TAKE),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ours etc/x", "r, line 1: 'ours etc/x' is no rule"),
        ("\nmine /etc/x", "r, line 2"),
        ("ours", "r, line 1"),
        ("ours /etc/ssh/", "r, line 1: no path is '/etc/ssh/'"),
        ("ours /etc/x # mine", "r, line 1: no path is '/etc/x # mine'"),
        ("ours /x\n" * 10_001, "more than 10000 lines"),
    ],
)
def test_what_is_no_rule_is_refused(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        read_rules(text, "r")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"take": ("etc",)}, "no path in a machine"),
        ({"pin": ("/",)}, "no path in a machine"),
        ({"take": ("/a/",), "pin": ("/a",)}, "/a is both"),
        ({"on_conflict": Choice.PIN}, "not of all conflicts"),
        ({"pin": ("/etc/../etc/x",)}, "no path in a machine"),
        ({"theirs": ("/etc//x",)}, "no path in a machine"),
        ({"take": ("/etc/./x",)}, "no path in a machine"),
        ({"ours": ("/a",), "theirs": ("/a/",)}, "/a is both"),
        ({"rules": (Rule(glob="/*a*a*a*a*a*a*a", choice=Choice.OURS),)}, "more than 6 stars"),
    ],
)
def test_what_could_mean_two_things_is_refused(options: dict[str, object], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        Policy(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("glob", "path", "fits"),
    [
        ("/etc/*.conf", b"etc/a.conf", True),
        ("/etc/*.conf", b"etc/d/a.conf", False),
        ("/etc/**.conf", b"etc/d/a.conf", True),
        ("/etc/?", b"etc/a", True),
        ("/etc/?", b"etc//", False),
        ("/etc/[a]", b"etc/[a]", True),
        ("/etc/**", b"etc", False),
        ("/e*", b"etc\n", True),
        ("/**\udcff", b"x\xff", True),
    ],
)
def test_globs(glob: str, path: bytes, fits: bool) -> None:
    policy = Policy(rules=(Rule(glob=glob, choice=Choice.OURS),))
    assert policy.is_named(path) is fits
    assert policy.choice(path) is (Choice.OURS if fits else Choice.MERGE)


def test_what_is_said_of_one_path_is_said_of_no_other() -> None:
    """Whoever chooses for a file that a guest has called `*`."""
    rules = (Rule(glob="/etc/**", choice=Choice.PIN),)
    policy = Policy(theirs=("/etc/*", "/etc/" + "*a" * 9), ours=("/etc/b",), take=("/etc/d",), rules=rules)
    said = {path: policy.choice(path) for path in (b"etc/*", b"etc/a", b"etc/b", b"etc/b/c", b"etc/d/e")}
    assert said == {
        b"etc/*": Choice.THEIRS, b"etc/a": Choice.PIN, b"etc/b": Choice.OURS, b"etc/b/c": Choice.PIN,
        b"etc/d/e": Choice.TAKE,
    }  # fmt: skip
    assert policy.is_named(b"etc/*") and not Policy(theirs=("/etc/*",)).is_named(b"etc/a")
    assert as_policy(json.loads(policy_text(policy))) == policy


def test_services_that_will_start_and_stop() -> None:
    """T5: redis comes with the new master, and listens."""
    target = ("multi-user.target",)
    old = wants(a_system(units={"ssh.service": target, "cron.service": target, "old.service": target}))
    new = wants(a_system(units={"ssh.service": target, "cron.service": target, "redis.service": target}))
    machine = wants(a_system(units={"ssh.service": target, "own.service": target, "old.service": target}))
    found = {each.name: f"{each.fate} {each.detail}" for each in decisions(old, new, machine)}
    assert found == {
        "redis.service": "start for multi-user.target",
        "old.service": "stop was for multi-user.target",
    }
    kept = {unit for unit, _ in united(old, new, machine)}
    assert kept == {"ssh.service", "redis.service", "own.service"}  # cron was disabled there
    links = {b"etc/systemd/system/" + name: l("/dev/null") for name in (b"redis.service", b"web@.service")}
    never = masked(Model(links))
    new |= wants(a_system(units={"web@1.service": target}))
    assert [each.name for each in decisions(old, new, machine, never)] == ["old.service"]


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (b"usr/local/lib/python3.11/dist-packages/flask/app.py", "python3.11"),
        (b"srv/app/venv/lib/python3.11/site-packages/x.so", "python3.11"),
        (b"usr/lib/python3/dist-packages/x.py", None),
        (b"var/lib/gems/3.1.0/gems/rack/x.rb", "ruby3.1"),
        (b"usr/local/lib/x86_64-linux-gnu/perl/5.36.0/X.pm", "perl 5.36"),
        (b"usr/lib/php/20220829/own.so", "phpapi-20220829"),
        (b"srv/app/node_modules/bcrypt/lib/binding/bcrypt.node", "nodejs"),
        (b"srv/app/node_modules/left-pad/index.js", None),
        (b"etc/passwd", None),
    ],
)
def test_what_was_made_for_one_version(path: bytes, wanted: str | None) -> None:
    assert made_for(path) == wanted


def test_it_is_reported_when_the_new_stack_lacks_that_version() -> None:
    """T12."""
    tally = Tally()
    for name in (b"a", b"b"):
        tally.see(b"usr/local/lib/python3.11/dist-packages/" + name)
    tally.see(b"usr/local/share/perl/5.36.0/X.pm")
    found = [(e.name, e.detail) for e in tally.decisions([("python3.13", "3.13.5"), ("perl", "5.40.1-6")])]
    assert [name for name, _ in found] == ["perl 5.36", "python3.11"]
    assert found[1][1].startswith(
        "2 files, such as /usr/local/lib/python3.11/dist-packages/a: the new stack has no"
    )
    assert (
        list(
            tally.decisions(
                [("libpython3.11-minimal", "3.11"), ("python3.11-minimal", "3"), ("perl", "5.36.0")]
            )
        )
        == []
    )
