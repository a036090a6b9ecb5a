"""Forty web servers by the fleet file of docs/how-to/forty.md, four of them booted: each has a site of 200
MB, its own configuration of Apache, a puppet that deployed it, an address, a hostname, swap and logs.

All is done by the commands that the page has; they and what they said are in the test's output.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.settings import Settings
from skinnybox.sizes import MIB
from tests.boot import sites
from tests.boot.conftest import CACHE, RESULTS, guest_version
from tests.pace import within
from tests.pages import ROOT

pytestmark = [pytest.mark.full, pytest.mark.timeout(5400)]

STATE = CACHE.with_name("boot-forty")
EXAMPLE = ROOT / "docs" / "how-to" / "forty"
PACKAGES = ("apache2", "curl", "logrotate", "puppet-agent", "sudo")
PAGE, OVERLAY, SWAP, SITE = 4096, 640 * MIB, 64 * MIB, sites.PICTURES * MIB
BOOTED = {"web-01": "widgets", "web-02": "gadgets", "web-31": "pliers", "web-32": "screws"}
"""Of each kind two: the first have their space reserved."""
RESERVED = 30
AGAIN = "puppet apply --detailed-exitcodes /etc/puppet/code/site.pp"
STATED = "/var/cache/puppet/state"


def ran(*words: str, code: int = 0) -> "subprocess.CompletedProcess[str]":
    """A command line, which ends as it should."""
    argv = [sys.executable, "-m", "skinnybox", *words]
    environment = {**os.environ, "SKINNYBOX_STATE": str(STATE)}
    done = subprocess.run(argv, capture_output=True, text=True, env=environment, check=False)
    print(f"$ skinnybox {' '.join(words)}\n{done.stdout}{done.stderr}")
    assert done.returncode == code, done.stderr
    return done


def said(*words: str, code: int = 0) -> str:
    done = ran(*words, code=code)
    return done.stdout + done.stderr


def shown(*words: str) -> Any:
    return json.loads(ran(*words, "--format", "json").stdout)


def inside(name: str, line: str) -> str:
    return ran("exec", name, "--", "sh", "-euc", line).stdout


def got(name: str, path: str, site: str) -> tuple[int, dict[str, str], bytes]:
    """From the port of this host that leads into this machine."""
    return sites.get(18000 + int(name.removeprefix("web-")), path, site)


@dataclass(frozen=True)
class Forty:
    """The folder with the fleet file, and what the server of this host was asked for until now."""

    folder: Path
    asked: list[str]

    @property
    def file(self) -> str:
        return str(self.folder / "widgets.yaml")

    def rewrite(self, name: str, *changes: tuple[str, str]) -> None:
        text = (self.folder / name).read_text()
        for old, new in changes:
            assert text.count(old) == 1
            text = text.replace(old, new)
        (self.folder / name).write_text(text)


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    """A state folder of its own, for its account is compared with the disk. The master in it is kept, so that
    it is built once for each guest part."""
    with open_fleet(Settings(state=STATE)) as opened:
        _clear(opened)
        reference = f"widgets:{guest_version()}"
        if reference not in [known.reference for known in opened.masters.all()]:
            for old in opened.masters.all():
                opened.masters.remove(old.reference)
            opened.masters.build(reference, packages=PACKAGES)
        yield opened
        _keep_consoles(opened)
        _clear(opened)


def _clear(fleet: Fleet) -> None:
    if fleet.names():
        fleet.delete(fleet.names(), force=True)


def _keep_consoles(fleet: Fleet) -> None:
    folder = RESULTS / "forty"
    folder.mkdir(parents=True, exist_ok=True)
    for name in BOOTED.keys() & set(fleet.names()):
        (folder / f"{name}.console").write_bytes(fleet.console_log(name))


@pytest.fixture(scope="module")
def forty(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forty]:
    """The page, followed until four of them serve."""
    folder = tmp_path_factory.mktemp("widgets")
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True)
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "admin", "-f", folder / "admin"], check=True
    )
    with sites.served() as (port, asked):
        forty = Forty(folder, asked)
        forty.rewrite("site.pp", ("10.7.0.1:8400", f"10.7.0.1:{port}"))
        assert "40 to create" in said("plan", forty.file)
        said("apply", forty.file)
        assert "nothing to do" in said("plan", forty.file)
        said("start", *BOOTED, "--timeout", str(int(within(600))))
        for name in BOOTED:
            _settled(name)
        yield forty


def _settled(name: str) -> None:
    """The script of its seed has ended, and all of its services are well."""
    assert inside(name, "systemctl is-system-running --wait || systemctl --failed") == "running\n"


def test_each_serves_its_own_site_under_its_own_name(forty: Forty) -> None:
    assert sorted(forty.asked) == sorted(f"/{word}.example.tar" for word in BOOTED.values())
    for name, word in BOOTED.items():
        site, number = f"{word}.example", int(name.removeprefix("web-"))
        status, _, body = got(name, "/", site)
        assert (status, body) == (200, sites.front(site))
        assert got(name, f"/{number}.jpg", site)[2] == sites.picture(site, number)
        assert got(name, "/robots.txt", site)[2] == f"Sitemap: http://{site}/sitemap.xml\n".encode()
        status, headers, _ = got(name, "/shop", site)
        assert (status, headers["Location"]) == (302, f"http://shop.{site}/")
        assert sites.front(site) not in got(name, "/", "another.example")[2]
        assert int(inside(name, f"du -sm /srv/www/{site}/public").split()[0]) >= SITE // MIB


@pytest.mark.parametrize("name", ["web-01", "web-32"])
def test_each_has_its_own_system(forty: Forty, name: str) -> None:
    site, number = f"{BOOTED[name]}.example", int(name.removeprefix("web-"))
    assert inside(name, "hostname; cat /etc/hostname") == f"{name}-berlin\n" * 2
    assert f"inet 10.7.0.{10 + number}/24 " in inside(name, "ip -4 address show scope global")
    assert "default via 10.7.0.1 " in inside(name, "ip route")
    swap = inside(name, "swapon --show=NAME,SIZE --bytes --noheadings").split()
    assert swap == ["/run/skinnybox/swap", str(SWAP - PAGE)]
    assert inside(name, "id -nG deploy").split() == ["deploy", "www-data"]
    assert inside(name, "setpriv --reuid deploy --regid deploy --init-groups sudo -n id -u") == "0\n"
    key = (forty.folder / "admin.pub").read_text().split()[1]
    assert key in inside(name, "cat ~deploy/.ssh/authorized_keys")
    most = 16 if number <= RESERVED else 8
    assert f"max {most}.0M" in inside(name, "journalctl --no-pager -u systemd-journald | grep System.Journal")
    got(name, "/", site)
    inside(name, f"logrotate -f /etc/logrotate.d/{site}; zgrep -q 'GET / ' /var/log/apache2/{site}.log.1.gz")
    assert sites.front(site) == got(name, "/", site)[2]


def test_puppet_goes_on_where_it_was_after_a_restart(forty: Forty) -> None:
    (checked, deployed), asked = _deployed("web-01"), len(forty.asked)
    said("restart", "web-01", "--timeout", str(int(within(600))))
    _settled("web-01")
    assert _deployed("web-01") == (checked, deployed)
    inside("web-01", AGAIN)  # it would end with 2 when it had changed something
    since, still = _deployed("web-01")
    assert since > checked and still == deployed
    assert "\nstatus: unchanged\n" in inside("web-01", f"cat {STATED}/last_run_report.yaml")
    assert len(forty.asked) == asked
    assert got("web-01", "/", "widgets.example")[2] == sites.front("widgets.example")


def _deployed(name: str) -> tuple[str, str]:
    """When puppet looked whether the site is there, and when it has put it there."""
    lines = inside(name, f"grep -A 2 -F 'Exec[deploy]:' {STATED}/state.yaml").splitlines()
    checked, synced = (line.split(maxsplit=1) for line in lines[1:])
    assert (checked[0], synced[0]) == (":checked:", ":synced:")
    return checked[1], synced[1]


def test_an_edited_line_of_the_table_changes_one_machine(forty: Forty) -> None:
    boots = {name: inside(name, "cat /proc/sys/kernel/random/boot_id") for name in BOOTED}
    before = _records()
    forty.rewrite("sites.csv", ("10.7.0.12,shop.gadgets", "10.7.0.99,new.gadgets"))
    assert "web-02" in said("apply", forty.file, code=5)  # it runs
    assert _records() == before
    said("stop", "web-02")
    plan = shown("plan", forty.file)
    assert [(action["action"], action["name"]) for action in plan] == [("seed", "web-02")]
    said("apply", forty.file)
    said("start", "web-02", "--timeout", str(int(within(600))))
    _settled("web-02")
    after = _records()
    assert [name for name in after if after[name] != before[name]] == ["web-02"]
    assert "inet 10.7.0.99/24 " in inside("web-02", "ip -4 address show scope global")
    assert got("web-02", "/shop", "gadgets.example")[1]["Location"] == "http://new.gadgets.example/"
    assert got("web-02", "/", "gadgets.example")[2] == sites.front("gadgets.example")
    others = [name for name in BOOTED if name != "web-02"]
    assert [inside(name, "cat /proc/sys/kernel/random/boot_id") for name in others] == [
        boots[name] for name in others
    ]
    assert forty.asked.count("/gadgets.example.tar") == 1
    assert "nothing to do" in said("plan", forty.file)


def _records() -> dict[str, object]:
    """What is recorded of each machine."""
    found = [json.loads(path.read_text()) for path in STATE.glob("instances/*/instance.json")]
    assert len(found) == 40
    return {record["name"]: record for record in found}


def test_one_that_was_reset_deploys_its_site_again(forty: Forty) -> None:
    inside("web-31", "sync")
    assert _taken("web-31") > SITE
    inside("web-31", "rm -r /srv/www /etc/apache2/ports.conf; echo broken >/etc/sudoers; sync")
    said("stop", "web-31")
    said("reset", "--yes", "web-31")
    assert _taken("web-31") < 2 * MIB
    said("start", "web-31", "--timeout", str(int(within(600))))
    _settled("web-31")
    assert forty.asked.count("/pliers.example.tar") == 2
    assert got("web-31", "/", "pliers.example")[2] == sites.front("pliers.example")
    assert forty.asked.count("/screws.example.tar") == 1


def test_the_account_is_what_lies_on_the_disk(forty: Forty) -> None:
    """The last, for it stops them: then nothing is written between two looks."""
    said("list", "web-*", "--filter", "state=ready")
    said("stop", *BOOTED)
    said("capacity", "--fit", "640M")
    account = shown("capacity", "--fit", "640M")
    taken = {name: _taken(name) for name in _records()}
    reserved, sparse = ([name for name in taken if (name < "web-31") is first] for first in (True, False))
    assert all(OVERLAY <= taken[name] < OVERLAY + MIB for name in reserved)
    assert all(taken[name] < 2 * MIB for name in set(sparse) - set(BOOTED))
    assert all(SITE < taken[name] < OVERLAY for name in set(sparse) & set(BOOTED))
    assert (account["machines"], account["promised"]) == (40, 40 * OVERLAY)
    assert account["allocated"] == sum(taken.values())
    assert account["owed"] == sum(max(0, OVERLAY - taken[name]) for name in sparse)
    assert len(BOOTED) * SITE < account["written"] < sum(taken[name] for name in sparse) + 2 * OVERLAY
    assert 0 <= _du(STATE / "masters") - account["masters"] < MIB  # the folders, and who locked them
    assert account["taken"] == account["masters"] + account["allocated"]
    assert 0 <= _du(STATE) - account["taken"] < 32 * MIB
    (master,) = shown("master", "list")
    assert account["full_copies"] == 40 * master["tree"] + account["written"]


def _taken(name: str) -> int:
    (machine,) = shown("show", name)
    return _du(STATE / "instances" / machine["uuid"] / "overlay.img")


def _du(place: Path) -> int:
    """As du counts it: in blocks, each file once."""
    found = {path.lstat().st_ino: path.lstat().st_blocks for path in (place, *place.rglob("*"))}
    return 512 * sum(found.values())
