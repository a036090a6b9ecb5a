"""Real packages make accounts: by adduser, useradd and systemd-sysusers, of several releases of Debian.

Requirements: mmdebstrap and a mirror; root, or root of a namespace. What cannot be fetched is skipped.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import CommandFailed
from skinnybox.masters import build, catalogue, lineage, namespace, numbers, sources
from skinnybox.masters.accounts import Accounts, accounts
from skinnybox.masters.lineage import Predecessor
from skinnybox.masters.recipe import Recipe
from skinnybox.masters.system.kept import system_of
from skinnybox.operation import Operation

pytestmark = [
    pytest.mark.image,
    pytest.mark.timeout(900),
    pytest.mark.skipif(namespace.needed(), reason="needs root, or root of a namespace"),
    pytest.mark.skipif(sources.release().id != "debian", reason="needs the package sources of a Debian"),
    pytest.mark.skipif(not run.find("mmdebstrap"), reason="needs mmdebstrap"),
]
# Each brings an account of its own, or several.
PACKAGES = (
    "avahi-daemon", "bind9", "chrony", "clamav-base", "cron", "dnsmasq-base", "haproxy",
    "icecast2", "knot", "lldpd", "memcached", "mosquitto", "munge", "nagios-nrpe-server", "nsd",
    "polkitd", "postfix", "postgresql-common", "prometheus-node-exporter", "proftpd-core", "redis-server",
    "rpcbind", "rtkit", "squid", "ssl-cert", "stunnel4", "tcpdump", "tor", "unbound", "uuid-runtime",
    "varnish", "xrdp",
)  # fmt: skip


def _moved(before: Accounts, after: Accounts) -> dict[str, tuple[int, int]]:
    """Accounts that both have, and other numbers in each."""
    pairs = ((before.uids(), after.uids()), (before.gids(), after.gids()))
    return {
        name: (old[name], new[name])
        for old, new in pairs
        for name in old.keys() & new.keys()
        if old[name] != new[name]
    }


def _small(tree: Path, suite: str, packages: Sequence[str]) -> Path:
    """No master, since it has no kernel; its accounts are made as a master's are."""
    lines = "\n".join(source.stanza() for source in sources.own_sources(suite)).encode()
    (tree.parent / "hold").write_text(f"#!/bin/sh -eu\n{numbers.HOLD}\n")
    (tree.parent / "release").write_text(f"#!/bin/sh -eu\n{numbers.RELEASE}\n")
    argv = [
        "mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--format=directory",
        f"--include={','.join(packages)}", f'--essential-hook=sh {tree.parent}/hold "$1"',
        f'--customize-hook=sh {tree.parent}/release "$1"', "--dpkgopt=force-unsafe-io", suite, str(tree), "-",
    ]  # fmt: skip
    try:
        run.run(run.tied(argv), stdin=lines, keep=run.FETCHING)
    except CommandFailed as error:
        told = build.explained(error)
        if "cannot be fetched" in told.message:
            pytest.skip(f"{suite}: {told.message}")
        raise told from error
    return tree


def _made_by_a_machine(tree: Path) -> Iterator[int]:
    """Numbers of what the programs of a tree make there, as in a machine."""
    before = accounts(tree)
    tools = [["useradd", "-r", "one"], ["useradd", "-r", "two"], ["groupadd", "-r", "three"]]
    if (tree / "usr/sbin/adduser").exists():
        tools.append(["adduser", "--quiet", "--system", "--group", "four"])
    for command in tools:
        _in_tree(tree, command)
    if (tree / "bin/systemd-sysusers").exists():
        (tree / "tmp/five.conf").write_text("u five -\ng six -\n")
        _in_tree(tree, ["systemd-sysusers", "/tmp/five.conf"])
    after = accounts(tree)
    yield from set(after.uids().values()) - set(before.uids().values())
    yield from set(after.gids().values()) - set(before.gids().values())


def _in_tree(tree: Path, command: list[str]) -> None:
    """systemd-sysusers of Debian 11 writes nothing without /proc."""
    script = 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"'
    run.run(["unshare", "--mount", "sh", "-c", script, tree, *command])


@pytest.mark.full
@pytest.mark.parametrize(
    ("suite", "more", "account"),
    [
        ("bookworm", ("avahi-daemon",), "avahi"),
        ("bullseye", ("avahi-daemon",), "avahi"),
        ("trixie", ("chrony", "polkitd", "cron"), "_chrony"),
    ],
)
def test_a_package_more_moves_no_account(
    suite: str, more: tuple[str, ...], account: str, tmp_path: Path
) -> None:
    """With those another account is made before the others."""
    usual = ["adduser", "systemd", "dbus", "openssh-server"]
    first = _small(tmp_path / "first", suite, usual)
    second = _small(tmp_path / "second", suite, [*usual, *more])
    before = Predecessor(reference="web:1", accounts=accounts(first))
    assert _moved(before.accounts, accounts(second)), "then this would prove nothing"
    lineage.follow(second, before, Operation())
    numbers.leave_to_machines(second)
    assert not _moved(before.accounts, accounts(second))
    brought = accounts(second).uids().keys() - before.accounts.uids().keys()
    assert account in brought
    fixed = {0, 65534, *range(100)}
    assert {n for n in accounts(second).uids().values() if n not in fixed} <= set(numbers.MASTERS)
    own = list(_made_by_a_machine(second))
    assert len(own) >= 8
    assert set(own) <= set(numbers.MACHINES)
    shutil.rmtree(second)
    shutil.rmtree(first)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lineage") / "masters"


def _built(store: Path, version: str, recipe: Recipe) -> Accounts:
    try:
        master = build.build(recipe, store=store, name="web", version=version, operation=Operation())
    except CommandFailed as error:
        if "cannot be fetched" not in error.message:
            raise
        pytest.skip(f"{recipe.suite}: {error.message}")
    return system_of(store, master).accounts


@pytest.mark.full
@pytest.mark.timeout(5400)
def test_many_packages_and_the_next_release_move_no_account(store: Path) -> None:
    recipe = Recipe(
        suite="bookworm", packages=PACKAGES[1::2], scripts=("useradd -r ours\nuseradd -m deploy",)
    )
    few = _built(store, "1", recipe)
    many = _built(store, "2", replace(recipe, packages=PACKAGES))
    assert len(many.users) >= len(few.users) + 10
    assert not _moved(few, many)
    assert few.uids().keys() <= many.uids().keys()
    later = _built(store, "3", replace(recipe, suite="trixie", packages=PACKAGES))
    both = many.uids().keys() & later.uids().keys()
    print(f"{len(both)} of {len(many.users)} accounts are in both releases")
    assert len(both) >= 30
    assert not _moved(many, later)
    assert len(catalogue.masters(store)) == 3
