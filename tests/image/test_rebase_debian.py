"""A rebase between two real builds of Debian, done on a real disk, and judged by Debian's own programs: no
machine is booted, the result is a chroot.

Requirements: root, mmdebstrap, a mirror, mkfs.erofs. Some minutes.
"""

import os
import subprocess
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.delta.rebase import doing, masters, planning
from skinnybox.delta.rebase.rules import Choice, Policy, Rule
from skinnybox.masters import sources
from skinnybox.masters.namespace import needed
from skinnybox.model import Master
from skinnybox.operation import Operation
from tests.image.debs import deb
from tests.image.overlaid import Machine
from tests.samples import seal

pytestmark = [
    pytest.mark.image,
    pytest.mark.full,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(needed() or os.geteuid() != 0, reason="needs root"),
]
BASE, IMAGES = b"skinnybox-base 1\nimage sha256:1 2\nend\n", ["sha256:1"]
# The hold stays; text is merged as without a word.
POLICY = Policy(on_conflict=Choice.OURS, rules=(Rule(glob="/etc/**", choice=Choice.MERGE),))
RAN = 'echo "$DPKG_MAINTSCRIPT_PACKAGE $DPKG_MAINTSCRIPT_NAME $1 $2" >>/var/log/ran\n'
ASKED = """Template: told/word
Type: string
Default: word
Description: a word

"""
# With a link of its own, that no list names; in the second version there is another.
CHOSEN = "update-alternatives --install /usr/bin/chosen chosen /usr/bin/{0} {1}\n"
GROWN = "update-alternatives --install /usr/bin/grown-{0} grown-{0} /usr/lib/grew/0 1\n"


def _packages(folder: Path, version: str) -> dict[str, Path]:
    """As the masters have them, by name; some also as a machine gets them, by NAME_VERSION."""
    numbered = {
        name: deb(
            folder,
            name,
            version,
            {f"usr/bin/{name}": f"#!/bin/sh\necho {version}\n", f"usr/share/{name}/data": version},
            control={"postinst": RAN + CHOSEN.format(name, priority), "postrm": RAN},
        )
        for name, priority in (("same", 10), ("held", 20), ("upgraded", 30), ("later", 40), ("left", 5))
    }
    told = deb(
        folder,
        "told",
        version,
        {"etc/told.conf": f"[told]\nword = {version}\n\n\n\nlast = 1\n", "usr/bin/told": "#!/bin/sh\n"},
        control={
            "postinst": f". /usr/share/debconf/confmodule\n{RAN}",
            "config": ". /usr/share/debconf/confmodule\ndb_input low told/word || true\ndb_go || true\n",
            "templates": ASKED,
        },
        conffiles=("etc/told.conf",),
    )
    cache = deb(  # the same in both: nothing but its trigger makes it look again
        folder,
        "cache",
        "1",
        {"usr/share/cached/own": "", "usr/bin/cache": "#!/bin/sh\nls /usr/share/cached >/var/lib/cached\n"},
        control={"postinst": f"{RAN}/usr/bin/cache\n", "triggers": "interest-noawait /usr/share/cached\n"},
    )
    grew = deb(
        folder,
        "grew",
        version,
        {f"usr/lib/grew/{number}": "" for number in range(int(version))},
        control={
            "postinst": GROWN.format(version),
            "prerm": f"update-alternatives --remove grown-{version} /usr/lib/grew/0\n",
        },
    )
    return {**numbered, "told": told, "cache": cache, "grew": grew}


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One without updates, one with all that there are and with more accounts: below tree-web-1 and -2."""
    if sources.release().id != "debian":
        pytest.skip("this machine's mirror has no Debian")
    return built(tmp_path_factory.mktemp("trees"))


def built(folder: Path) -> Path:
    name = sources.release().codename
    every = sources.own_sources(name)
    first = replace(every[0], uris=every[0].uris[:1], suites=(name,))
    for version, wanted, accounts in (("1", [first], "sshd"), ("2", every, "redis sshd")):
        tree, listed = folder / f"tree-web-{version}", folder / f"{version}.sources"
        listed.write_text("\n".join(source.stanza() for source in wanted))
        argv: run.Argv = ["mmdebstrap", "--variant=apt", "--include=nano,ucf,debconf", name, tree, listed]
        run.run(argv, keep=run.FETCHING)
        packages = _packages(folder, version)
        adds = "".join(
            f"useradd -r -K SYS_UID_MIN=300 -K SYS_UID_MAX=399 {who}; " for who in accounts.split()
        )
        in_root(tree, adds + "dpkg -i /tmp/debs/*.deb; rm -f /var/log/ran", *packages.values())
        protocol = tree / "usr/lib/skinnybox/protocol"
        protocol.parent.mkdir()
        protocol.write_text("4\n")
    return folder


def in_root(tree: Path, script: str, *debs: Path) -> str:
    """With these packages in /tmp/debs."""
    place = tree / "tmp/debs"
    place.mkdir(parents=True)
    for file in debs:
        os.link(file, place / file.name)
    said = subprocess.run(
        ["chroot", tree, "sh", "-euc", f"export DEBIAN_FRONTEND=noninteractive LC_ALL=C\n{script}"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert said.returncode == 0, said.stdout + said.stderr
    subprocess.run(["rm", "-r", place], check=True)
    return said.stdout


@pytest.fixture(scope="module")
def two(trees: Path) -> tuple[Master, Master]:
    return tuple(seal(trees / "state", trees, "web", each, unrelated=True) for each in "12")  # type: ignore[return-value]


CHROOT = """
mount -t proc proc proc; mount --bind /dev dev; mount -t tmpfs tmpfs run; mkdir run/debs
cp {debs} run/debs/ 2>/dev/null || :
printf '%s' "$SCRIPT" >run/script
chroot . sh -eu /run/script
umount run dev proc
"""


def live(machine: Machine, script: str, debs: Path) -> str:
    head = (
        "export DEBIAN_FRONTEND=noninteractive LC_ALL=C PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
    )
    text = CHROOT.format(debs=debs / "*.deb")
    quoted = (head + script).replace("'", "'\\''")
    return machine.act("/bin/sh", "-euc", f"SCRIPT='{quoted}'\n{text}").decode()


YEAR = """
cd /run/debs
dpkg -i own_1.deb upgraded_3.deb later_1.5.deb
dpkg -P grew nano
dpkg -r left
echo held hold | dpkg --set-selections
sed -i 's/last = 1/last = 2/' /etc/told.conf
echo 'told told/word string mine' | debconf-set-selections
update-alternatives --set chosen /usr/bin/same
update-alternatives --install /usr/bin/mine mine /usr/bin/own 1
dpkg-divert --local --rename --add /usr/bin/told
useradd -r -K SYS_UID_MIN=400 -K SYS_UID_MAX=499 ownd
echo secret >/srv/sshd; chown sshd:sshd /srv/sshd
dpkg-statoverride --update --add ownd ownd 0700 /usr/share/own
echo x >/usr/share/cached/mine
"""
LOOKS = """
dpkg --audit
echo == status
dpkg-query --show --showformat '${Package} ${Version} ${Status}\\n'
echo == check
apt-get check -q
echo == configure
dpkg --configure -a --force-confold
dpkg --triggers-only -a
echo == audit
dpkg --audit
echo == left
dpkg -l | grep -E '^[a-z][a-zA-Z]' | grep -v '^ii' | awk '{print $1, $2, $3}'
echo == verify
dpkg -V || :
echo == chosen
update-alternatives --query chosen
echo == scripts
cat /var/log/ran
echo == files
cat /etc/told.conf /var/lib/cached
ls -l /usr/bin/mine /usr/bin/chosen /etc/alternatives/chosen
ls -d /usr/bin/grown-* /etc/alternatives/grown-* /usr/lib/grew /usr/bin/nano 2>/dev/null || :
ls -d /etc/alternatives/pico /usr/bin/pico 2>/dev/null || :
echo == more
dpkg-divert --list '/usr/bin/told*'
dpkg-statoverride --list /usr/share/own
stat -c '%U %n' /srv/sshd /usr/share/own
debconf-show told
cut -d: -f1 /etc/passwd | grep -E 'sshd|redis|ownd'
echo == versions
for each in held upgraded later same; do echo $each $($each); done
"""


def parts(said: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"": []}
    name = ""
    for line in said.splitlines():
        if line.startswith("== "):
            name = line[3:]
            found[name] = []
        else:
            found[name].append(line)
    return found


def test_what_debian_says_of_the_result(
    trees: Path, two: tuple[Master, Master], tmp_path: Path, cache: Path
) -> None:
    debs = tmp_path / "debs"
    debs.mkdir()
    deb(
        debs,
        "own",
        "1",
        {"usr/bin/own": "#!/bin/sh\n", "usr/share/own/data": "1"},
        control={"postinst": CHOSEN.format("own", 99)},
    )
    for name, version in (("upgraded", "3"), ("later", "1.5")):
        deb(
            debs,
            name,
            version,
            {f"usr/bin/{name}": f"#!/bin/sh\necho {version}\n"},
            control={"postinst": RAN + CHOSEN.format(name, 30)},
        )
    machine = _machine(tmp_path, cache, trees / "tree-web-1")
    live(machine, YEAR, debs)
    made = _rebased(machine, trees, two)
    after = _machine(tmp_path / "after", cache, trees / "tree-web-2")
    after.image = made
    said = parts(live(after, LOOKS, debs))
    status = dict(line.split(" ", 1) for line in said["status"])
    assert {
        name: status.get(name) for name in ("same", "later", "upgraded", "held", "left", "grew", "own")
    } == {
        "same": "2 install ok unpacked",
        "later": "2 install ok unpacked",
        "upgraded": "3 install ok installed",
        "held": "1 hold ok installed",
        "left": "1 deinstall ok config-files",
        "grew": None,
        "own": "1 install ok installed",
    }
    # T2: what dpkg says is what runs.
    assert said["versions"] == ["held 1", "upgraded 3", "later 2", "same 2"]
    assert said["audit"] == [] and said["left"] == ["hi held 1", "rc left 1"]
    assert said["verify"] == ["??5?????? c /etc/told.conf"]
    # T4: since the rebase the scripts ran with what was configured before, and only where that changed.
    ran = said["scripts"][said["scripts"].index("left postrm remove ") + 1 :]
    assert sorted(ran) == [
        "cache postinst triggered /usr/share/cached",
        "later postinst configure 1.5",
        "same postinst configure 1",
        "told postinst configure 1",
    ]
    # T8 and T9: nothing of what was removed came back, and what is made of others' files is made anew.
    assert "grown" not in (files := "\n".join(said["files"])) and "nano" not in files and "pico" not in files
    assert said["files"][:8] == ["[told]", "word = 2", "", "", "", "last = 2", "mine", "own"]
    assert "/usr/bin/mine -> /etc/alternatives/mine" in files
    assert said["chosen"][2:5] == ["Status: manual", "Best: /usr/bin/own", "Value: /usr/bin/same"]
    choices = zip(said["chosen"][6::3], said["chosen"][7::3], strict=True)
    assert {path.rpartition("/")[2]: int(priority.split()[1]) for path, priority in choices} == {
        "held": 20, "later": 40, "own": 99, "same": 10, "upgraded": 30,
    }  # fmt: skip
    assert said["more"] == [
        "local diversion of /usr/bin/told to /usr/bin/told.distrib",
        "ownd ownd 700 /usr/share/own",
        "sshd /srv/sshd",
        "ownd /usr/share/own",
        "* told/word: mine",
        "sshd",
        "ownd",
        "redis",
    ]


def _machine(folder: Path, cache: Path, lower: Path) -> Machine:
    (folder / "machine").mkdir(parents=True)
    made = Machine(folder / "machine", cache, BASE)
    made.lower.rmdir()
    made.lower = lower
    return made


def _rebased(machine: Machine, trees: Path, two: tuple[Master, Master]) -> Path:
    """What is in dispute is the hold alone."""
    new = machine.folder / "new.img"
    with new.open("wb") as file:
        file.truncate(machine.image.stat().st_size)
    state = trees / "state"
    with ExitStack() as held:
        files = [held.enter_context(masters.opened(state / "masters", each, state)) for each in two]
        with planning.planned(machine.image, files[0], files[1], Policy(), IMAGES) as found:
            disputed = [f"{each.name}: {each.detail}" for each in found if each.standing != "clean"]
        assert disputed == ["held: old 1, new 2, machine 1"]
        done = doing.build(
            machine.image,
            new,
            (files[0], files[1]),
            POLICY,
            (IMAGES, ["sha256:5"]),
            Operation(),
        )
    assert done.tasks == ("configure", "triggers")
    return new
