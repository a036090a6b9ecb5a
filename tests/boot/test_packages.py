"""Thirty packages upgraded, installed, removed and purged in a thin machine and on an ordinary disk, which is
the same machine flattened: both end the same, in what apt says, what dpkg knows and what lies there."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from skinnybox.fleet.flatten import FlatDisk
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import MachineView
from skinnybox.masters import efi
from skinnybox.model import Allocation, Overlay
from skinnybox.sizes import GIB, MIB
from tests.boot import ordinary, packages
from tests.boot.conftest import CACHE, RESULTS, Create

pytestmark = [
    pytest.mark.full,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(bool(efi.missing()), reason=f"not installed: {' '.join(efi.missing())}"),
]

Up = Callable[[str], MachineView]
Down = Callable[[str], None]
Sh = Callable[[str, str], str]
Line = Callable[[str], str]

NEWER = (
    "base-files", "bash", "coreutils", "dash", "login", "openssh-client", "openssh-server",
    "openssh-sftp-server", "passwd", "sed", "tzdata",
)  # fmt: skip
"""Of the master: with settings, set-user-id, a diversion, a service, and one that everything runs by."""
KEPT = (
    "at", "bc", "bzip2", "chrony", "dc", "fping", "gawk", "less", "logrotate", "man-db", "psmisc", "ssl-cert",
    "sudo", "tzdata", "uuid-runtime",
)  # fmt: skip
"""Removed, and purged afterwards; one of them the master has."""
PURGED = (
    "bubblewrap", "cron", "dma", "ed", "file", "lighttpd", "memcached", "molly-guard", "mtr-tiny", "nano",
    "netcat-openbsd", "rsyslog", "tcpdump", "vim-tiny", "zip",
)  # fmt: skip
"""With alternatives, diversions, services, users, set-user-id and capabilities, triggers, hard links."""
HERE = "/srv/repository"
APT = "apt-get -y -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold --no-install-recommends"

STEPS = f"""
== ready
: >/root/begun
sleep 1
systemctl mask --now apt-daily.timer apt-daily-upgrade.timer
rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/*
echo 'deb [trusted=yes] file:{HERE} ./' >/etc/apt/sources.list.d/here.list
apt-get update
echo '# mine' >>/etc/bash.bashrc
== upgrade
{APT} upgrade
== install
{APT} install {" ".join(KEPT + PURGED)}
== change
echo '# mine' >>/etc/lighttpd/lighttpd.conf
rm /etc/logrotate.conf /etc/rsyslog.conf
adduser --disabled-password --gecos '' somebody
update-alternatives --set editor /bin/ed
dpkg-divert --divert /usr/bin/less.kept --rename /usr/bin/less
cp /bin/true /usr/bin/less
dpkg-statoverride --update --add root adm 0750 /usr/bin/tcpdump
mv /usr/share/doc/zip /usr/share/doc/moved
== refused
{APT} remove sudo
== remove
{APT} remove {" ".join(KEPT).replace("sudo ", "")}
== again
{APT} install less chrony
== purge
{APT} purge {" ".join(PURGED)}
== all
SUDO_FORCE_REMOVE=yes {APT} purge {" ".join(KEPT)}
{APT} autoremove --purge
"""
REFUSED = ("refused",)
"""sudo is not removed where root has no password. All other steps end with 0."""
SETTINGS = "export LC_ALL=C.UTF-8 SYSTEMD_BUS_TIMEOUT=300"
"""Where much else runs, systemd answers an emulated machine's systemctl later than within its 25 seconds."""
LOOKED = ("install", "remove", "all")
COST = "{ date +%s; grep ' vd[ab] ' /proc/diskstats; }"
"""The time, and what the disks did so far: it stands above what apt said of a step, and is not compared."""

KNOWN = r"""
== packages
dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Version}\n'
== audit
dpkg --audit
== verify
dpkg --verify
== diversions
dpkg-divert --list
== overrides
dpkg-statoverride --list
== alternatives
update-alternatives --get-selections
for each in /var/lib/dpkg/alternatives/*; do echo "$each"; cat "$each"; done
== users
cat /etc/passwd /etc/group
cut -d: -f 1,2 /etc/shadow /etc/gshadow
== units
systemctl list-unit-files --no-legend --plain | awk '{ print $1, $2 }'
== failed
systemctl --failed --no-legend --plain
== capabilities
find /usr -xdev -type f -perm /111 -print0 | xargs -0 getfattr -h -n security.capability 2>/dev/null |
    awk '/^# file: / { path = $0 } /^security/ { print path, $0 }'
== apt
apt-mark showmanual
apt-mark showauto
== files
find / -xdev \( -path /boot -o -path /media -o -path /srv/repository -o -path /usr/lib/modules -o -path /tmp \
    -o -path /run -o -path /dev -o -path /proc -o -path /sys \) -prune \
    -o -type f ! -newer /root/begun -printf '%p|f %m %u %g %n %s %T@\n' \
    -o -type f -printf '%p|f %m %u %g %n %s\n' -o -printf '%p|%y %m %u %g %l\n'
== contents
find /etc /var/lib /usr/local /root -xdev -type f -print0 | xargs -0 sha256sum
"""
"""Times only of the files that packages brought, as what their scripts make is made now; the content of what
no package vouches for, as the rest dpkg has verified."""

OF_THE_KIND = re.compile(
    r".*skinnybox.*|/etc/fstab|/etc/kernel/preinst\.d|/boot.*|/lost\+found"
    r"|(?:-|boot-efi|boot)\.mount generated"
    r"|(?:/etc/systemd/.*/)?(?:e2scrub_(?:all|reap)|systemd-(?:pstore|fsck-root)|modprobe@\w+)"
    r"\.(?:timer|service)(?: .*)?"
    r"|/etc/initramfs-tools/update-initramfs\.conf"
)
"""What makes a machine a thin one, or an ordinary one: docs/explanation/different.md says all of it."""
OF_THE_HOUR = re.compile(
    r"/var/lib/systemd/(?:random-seed|timers/.*|timesync/.*|catalog/.*)|/var/(?:log|tmp)/.*|/root/(?:[a-z]+\.(?:log|cost)|begun)"
    r"|/var/cache/(?:ldconfig/aux-cache|man/.*|apt/.*|debconf/.*)"
    r"|/etc/(?:aliases\.db|ssh/ssh_host_.*|ssl/private/.*|ssl/certs/ssl-cert-snakeoil\.pem|g?shadow-?)"
)
"""What differs from one hour to the next on any disk: keys, logs, caches that know when they were made."""


@pytest.fixture
def both(
    fleet: Fleet, create: Create, up: Up, down: Down, sh: Sh, tmp_path: Path
) -> Iterator[tuple[Line, Line]]:
    """A line of shell in a thin machine, and in the ordinary one that was made of it before."""
    overlay = Overlay(size=1536 * MIB, allocation=Allocation.SPARSE)
    create("packages", overlay=overlay, memory=768 * MIB, cpus=2)
    up("packages")
    folder = tmp_path / "repository"
    status = sh("packages", "cat /var/lib/dpkg/status").encode()
    packages.repository(folder, status, KEPT + PURGED, NEWER)
    fleet.remote.send("packages", [folder], str(Path(HERE).parent), recursive=True)
    down("packages")
    disk = fleet.overlays.flatten(
        "packages", FlatDisk(file=tmp_path / "flat.qcow2", format="qcow2", size=4 * GIB)
    )
    machine, key = up("packages"), CACHE / "ssh" / "id_ed25519"
    with ordinary.booted(disk, machine.instance.mac, machine.host_keys, key, tmp_path, seconds=3000) as run:
        yield lambda line: sh("packages", line), run


def test_packages_end_as_on_an_ordinary_disk(both: tuple[Line, Line]) -> None:
    with ThreadPoolExecutor() as pool:
        thin, plain = pool.map(_told, both, ("thin", "ordinary"))
    assert thin.keys() == plain.keys()
    found = {what: _differences(thin[what], plain[what]) for what in thin}
    assert {what: lines for what, lines in found.items() if lines} == {}
    assert {step: code for step, (code,) in _codes(thin) if code != "0"} == dict.fromkeys(REFUSED, "100")
    _assert_it_looked(thin)


def _told(run: Line, name: str) -> dict[str, list[str]]:
    """By step and topic, what is known afterwards. Each call is a whole conversation of ssh, which takes an
    emulated machine seconds: one does a step, and one has all its topics."""
    folder = RESULTS / "packages" / name
    folder.mkdir(parents=True, exist_ok=True)
    told: dict[str, list[str]] = {}
    for step, lines in _blocks(STEPS):
        shell = f"(set -e; {SETTINGS} DEBIAN_FRONTEND=noninteractive\n{lines}\n)"
        log, cost = f"/root/{step}.log", f"/root/{step}.cost"
        code, _, said = run(
            f"set +e; {COST} >{cost}; {shell} >{log} 2>&1 </dev/null; code=$?; {COST} >>{cost}\n"
            f"echo $code; cat {cost} {log}"
        ).partition("\n")
        told[f"{step}: code"] = [code.strip()]
        (folder / f"{step}.log").write_text(said)
        for topic, known in _blocks(run(_look()) if step in LOOKED else ""):
            told[f"{step}: {topic}"] = sorted(known.splitlines())
            (folder / f"{step}-{topic}").write_text(known)
    return told


def _look() -> str:
    """A line of shell that says of each topic its name, and what is known."""
    topics = (f"echo '== {topic}'\n{{\n{lines}\n}} 2>&1\n" for topic, lines in _blocks(KNOWN))
    return f"set +e; {SETTINGS}\n{''.join(topics)}:"


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """Of text in which each begins with a line that says its name."""
    for block in f"\n{text.strip()}".split("\n== ")[1:]:
        name, _, lines = block.partition("\n")
        yield name, lines


def _codes(told: dict[str, list[str]]) -> Iterator[tuple[str, list[str]]]:
    return ((what.removesuffix(": code"), lines) for what, lines in told.items() if what.endswith(": code"))


def _differences(thin: list[str], plain: list[str]) -> list[str]:
    left, right = set(thin), set(plain)
    lines = [f"thin: {line}" for line in left - right] + [f"ordinary: {line}" for line in right - left]
    return sorted(line for line in lines if not _expected(line))


def _expected(line: str) -> bool:
    said = line.partition(": ")[2]
    path = re.search(r"/[^|]*", said)
    words = (said, path[0] if path else said)
    return any(each.fullmatch(word) for each in (OF_THE_KIND, OF_THE_HOUR) for word in words)


def _assert_it_looked(told: dict[str, list[str]]) -> None:
    """That what is the same is something, and not nothing on both sides, nor the same failure to look."""
    assert all(len(told[f"{step}: units"]) > 100 for step in LOOKED)
    statuses = {
        name: dict(line.split()[1::-1] for line in told[f"{step}: packages"])
        for name, step in (("installed", "install"), ("removed", "remove"), ("gone", "all"))
    }
    assert {statuses["installed"][package] for package in KEPT + PURGED} == {"ii"}
    assert {statuses["removed"].get(package, "gone") for package in ("at", "logrotate")} == {"rc"}
    assert set(KEPT + PURGED) & statuses["gone"].keys() == set()
