"""`promote` on the fake host: what becomes a master and what does not."""

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox.errors import Conflict
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.specification import Specification
from skinnybox.masters import catalogue
from skinnybox.masters.index import Entry, read_index
from skinnybox.masters.system import image as sealed_image
from skinnybox.model import Instance, SeedFile, SeedUser, StaticNetwork, ThrowAway, Thrown
from skinnybox.model.datadisk import data_disk
from skinnybox.sizes import MIB
from tests.fleet.conftest import SPARSE, open_fake, said
from tests.fleet.promotable import a_master, wrote
from tests.fleet.test_disks import image
from tests.layered import planted
from tests.unit.rebased import WHITEOUT, Thing, d, f, l

Said = pytest.CaptureFixture[str]
SECRET = "hunter2"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7VkkD2cBlTT1BzBlqF2nS5nC1m1lYr4hKJ0S9cVdkA"
ROOTS, DEPLOYS, OWN = (f"$6${SECRET}${name}" for name in ("root", "deploy", "typed"))
BY_US = "# Written from the seed by skinnybox.\n"
BLOCK = f"# skinnybox: from the seed\n{KEY} {SECRET}\n\n# skinnybox: end\n"
SEEDED = replace(
    SPARSE,
    authorized_keys=(f"{KEY} {SECRET}",),
    files=(SeedFile(path="/etc/site.key", content=SECRET.encode(), mode=0o600),),
    users=(
        SeedUser(name="root", password_hash=ROOTS),
        SeedUser(name="deploy", password_hash=DEPLOYS, authorized_keys=(KEY,), sudo=True),
    ),
    static_network=StaticNetwork(address="10.0.0.77/24"),
)
PLANTED = {
    # who it is
    "etc/hostname": f("web\n"),
    "etc/machine-id": f(f"{SECRET}\n", mode=0o444),
    "var/lib/dbus/machine-id": f(f"{SECRET}\n"),
    "etc/ssh/ssh_host_ed25519_key": f(SECRET, mode=0o600),
    "etc/ssh/ssh_host_rsa_key": f(SECRET, mode=0o600),
    "etc/salt/minion_id": f(SECRET),
    "var/lib/zerotier-one/identity.secret": f(SECRET),
    "etc/udev/rules.d/70-persistent-net.rules": f(SECRET),
    # what only one may have, and makes for itself
    "var/lib/systemd/random-seed": f(SECRET),
    "var/lib/systemd/credential.secret": f(SECRET),
    "var/lib/dhcp/dhclient.eth0.leases": f(SECRET),
    "var/lib/NetworkManager/internal-x.lease": f(SECRET),
    "var/lib/misc/dnsmasq.leases": f(SECRET),
    "var/lib/puppet/ssl/private_keys/web.pem": f(SECRET),
    "etc/puppetlabs/puppet/ssl/private_keys/web.pem": f(SECRET),
    "var/lib/puppet/state/last_run_report.yaml": f(SECRET),
    "var/cache/puppet/client_data/catalog/web.json": f(SECRET),
    "var/lib/cloud/instances/i-1/user-data.txt": f(SECRET),
    "var/lib/cloud/instance": l(f"/var/lib/cloud/instances/{SECRET}"),
    # what its seed brought
    "etc/site.key": f(SECRET, mode=0o600),
    "etc/network/interfaces": f(f"{BY_US}iface eth0 inet static\n    address 10.0.0.77/24 {SECRET}\n"),
    "etc/systemd/network/10-skinnybox.network": f(f"{BY_US}Address={SECRET}\n"),
    "etc/sudoers.d/skinnybox": f(f"{BY_US}deploy ALL=(ALL:ALL) ALL {SECRET}\n", mode=0o440),
    "etc/resolv.conf": f(f"nameserver 10.0.2.3 {SECRET}\n"),
    "root/.ssh/authorized_keys": f(BLOCK, mode=0o600),
    "root/.ssh": d(0o700),
    "home/deploy/.ssh/authorized_keys": f(f"{BLOCK}ssh-rsa typed\n", mode=0o600, uid=1000, gid=1000),
    "home/deploy": d(uid=1000, gid=1000),
    "var/lib/skinnybox/seed-applied": f(f"1 {SECRET}\n"),
    "var/lib/skinnybox/run-once.ran": f(SECRET),
    "etc/systemd/system/multi-user.target.wants/skinnybox-run-once.service": l("/usr/lib/x"),
    # what it left behind
    "root/.bash_history": f(SECRET),
    "home/deploy/.mysql_history": f(SECRET, uid=1000, gid=1000),
    "root/.cache/pip/x": f(SECRET),
    "var/log/auth.log": f(SECRET),
    "var/log/auth.log.1": f(SECRET),
    "var/log/journal/0123/system.journal": f(SECRET),
    "var/cache/apt/archives/web.deb": f(SECRET),
    "var/lib/apt/lists/deb_dists_Packages": f(SECRET),
    "var/backups/shadow.bak": f(SECRET),
    "etc/shadow-": f(SECRET),
    "tmp/x": f(SECRET),
    "swapfile": f(SECRET),
}
SHADOW = f"""\
root:{ROOTS}:19000:0:99999:7:::
sshd:!:19000::::::
deploy:{DEPLOYS}:20000::::::
anna:{OWN}:20000::::::
"""
TYPED = {
    "etc/hosts": f("127.0.0.1 localhost\n127.0.1.1\tweb\n10.0.0.9 db\n"),
    "etc/shadow": f(SHADOW, mode=0o640),
    "etc/passwd": f("root:x:0:0::/root:/bin/sh\nsshd:x:101:101::/:/bin/false\nredis:x:401:401::/:/bin/false\n"
                    "deploy:x:1000:1000::/home/deploy:/bin/sh\nanna:x:1001:1001::/home/anna:/bin/sh\n"),
    "etc/group": f("root:x:0:\nsshd:x:101:\nredis:x:401:\ndeploy:x:1000:\nanna:x:1001:\n"),
    "srv/site": f("typed", uid=401, gid=401),
    "etc/web.conf": f("Port 8080\n"),
    "root/.bashrc": f("typed"),
    "usr/bin/web": WHITEOUT,
    "etc/resolv.conf.d": l("../run/resolv"),
}  # fmt: skip


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    around = tmp_path_factory.mktemp("lamp")
    a_master(around / "state", around)
    return around / "state"


@pytest.fixture
def fleet(state: Path, sealed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    monkeypatch.setenv("SKINNYBOX_STATE", str(state))
    monkeypatch.setenv("SKINNYBOX_HOST", "fake")
    shutil.copytree(sealed, state)
    with open_fake(state) as opened:
        yield opened


def a_machine(
    fleet: Fleet, state: Path, upper: Mapping[str, Thing], specification: Specification = SPARSE
) -> Instance:
    [instance] = fleet.create(["web"], "lamp:1", specification)
    wrote(image(state, instance), upper)
    return instance


def entries(state: Path, reference: str) -> dict[str, Entry]:
    with open_fake(state) as fleet:
        folder = catalogue.folder(state / "masters", fleet.masters.find(reference))
    return {entry.path.decode(): entry for entry in read_index(folder / catalogue.INDEX)}


def content(state: Path, reference: str, path: str) -> str | None:
    with open_fake(state) as fleet:
        master = fleet.masters.find(reference)
    with (catalogue.folder(state / "masters", master) / master.images[0].file).open("rb") as file:
        found = sealed_image.opened(file.fileno()).read(path, MIB)
    return None if found is None else found.decode()


def everything(state: Path, reference: str) -> str:
    """All that its files and links say, and what they are called."""
    found = entries(state, reference)
    texts = [content(state, reference, path) or "" for path, entry in found.items() if entry.type == "-"]
    return "\n".join([*found, *texts, *((entry.target or b"").decode() for entry in found.values())])


def listed(capsys: Said, *words: str) -> dict[str, tuple[str, str, int]]:
    ended = said(capsys, "promote", "web", "lamp:2", "--dry-run", "--format", "json", *words)
    assert ended.code == 0, ended
    return {each["path"]: (each["reason"], each["what"], each["files"]) for each in json.loads(ended.out)}


def test_no_secret_of_its_source_is_in_a_master_and_all_that_was_typed_is(
    fleet: Fleet, state: Path, capsys: Said
) -> None:
    a_machine(fleet, state, {**PLANTED, **TYPED}, SEEDED)
    rows = listed(capsys)
    places = {path.split("/.ssh")[0] for path in rows}
    missing = [path for path in PLANTED if not any(f"/{path}".startswith(place) for place in places)]
    assert missing == [], rows
    assert rows["/etc/shadow"] == ("seed", "in part", 1) and rows["/etc/hosts"] == ("identity", "in part", 1)
    ended = said(capsys, "promote", "web", "lamp:2", "--yes")
    assert ended.code == 0 and ended.out.startswith("lamp:2: sealed, "), ended
    whole = everything(state, "lamp:2")
    kept = f"anna:{OWN}:"
    assert SECRET not in whole.replace(kept, "") and kept in whole and "10.0.0.77" not in whole
    assert content(state, "lamp:2", "etc/shadow") == (
        f"root:*:19000:0:99999:7:::\nsshd:!:19000::::::\ndeploy:*:20000::::::\nanna:{OWN}:20000::::::\n"
    )
    assert content(state, "lamp:2", "etc/hosts") == "127.0.0.1 localhost\n10.0.0.9 db\n"
    assert content(state, "lamp:2", "home/deploy/.ssh/authorized_keys") == "ssh-rsa typed\n"
    after = entries(state, "lamp:2")
    for path, thing in TYPED.items():
        assert (path in after) is (thing != WHITEOUT), path
    assert after["srv/site"].uid == after["srv/site"].gid == 100, "a number of a master, not of a machine"
    assert "redis:x:100:100:" in (content(state, "lamp:2", "etc/passwd") or "")
    assert "root/.ssh" not in after, "which the guest part made for the key"
    assert after["var/log/auth.log"].size == 0 and "var/log/auth.log.1" not in after


def test_the_same_disk_gives_the_same_master(fleet: Fleet, state: Path) -> None:
    a_machine(fleet, state, {"srv/site": f("mine"), "etc/hostname": f("web\n"), "etc": d()})
    first = fleet.deltas.promote("web", "lamp:2")
    fleet.masters.remove("lamp:2")
    again = fleet.deltas.promote("web", "lamp:3")
    assert fleet.masters.find("lamp:3").made_from == "lamp:1"
    assert (again.id, again.images) == (first.id, first.images)
    before, after = entries(state, "lamp:1"), entries(state, "lamp:3")
    assert {path for path in after if after[path] != before.get(path)} == {"", "srv", "srv/site"}


def linked(folder: Path, content: str, *names: str) -> Path:
    """One file of all these names, which was in no master."""
    first = (
        planted(folder, {names[0]: content, "srv/both": content, "etc/web.conf": "of a layer\n"}) / names[0]
    )
    for name in names[1:]:
        (folder / name).hardlink_to(first)
    return folder


def test_a_master_of_a_machine_has_what_its_layers_show(fleet: Fleet, state: Path, tmp_path: Path) -> None:
    low = linked(tmp_path / "low", "low", "srv/one", "srv/two", "srv/gone", "srv/mine")
    top = linked(tmp_path / "top", "top", "srv/one", "srv/three")
    for tree in (low, top):
        fleet.layers.import_tree(tree, f"{tree.name}:1", above="lamp")
    upper = {
        "srv/gone": WHITEOUT,
        "srv/mine": f("mine"),
        "etc/hostname": f("web\n"),
        "etc/web.conf": WHITEOUT,
    }
    a_machine(fleet, state, upper, replace(SPARSE, layers=("low", "top")))
    fleet.deltas.promote("web", "lamp:2")
    found = {path: content(state, "lamp:2", path) for path in entries(state, "lamp:2") if path[:4] == "srv/"}
    assert found == {
        "srv/one": "top",
        "srv/two": "low",
        "srv/three": "top",
        "srv/both": "top",
        "srv/mine": "mine",
    }
    links = {path: entry.link for path, entry in entries(state, "lamp:2").items() if path in found}
    assert {path: link for path, link in links.items() if link} == {
        "srv/one": b"srv/one",
        "srv/three": b"srv/one",
    }
    assert content(state, "lamp:2", "etc/web.conf") is None


@pytest.mark.full
def test_what_is_sealed_already_is_said(fleet: Fleet, state: Path) -> None:
    instance = a_machine(fleet, state, {"srv/site": f("mine")})
    first = fleet.deltas.promote("web", "lamp:3")
    assert fleet.deltas.promote("web", "lamp:3") == first
    with pytest.raises(Conflict, match="lamp:1 is sealed already"):
        fleet.deltas.promote("web", "lamp:1")
    wrote(image(state, instance), {"srv/more": f("other")})
    with pytest.raises(Conflict, match="lamp:3 is sealed already, with other content"):
        fleet.deltas.promote("web", "lamp:3")
    fleet.overlays.reset(["web"])
    with pytest.raises(Conflict, match="this very content is sealed as lamp:1"):
        fleet.deltas.promote("web", "lamp:4")


REFUSED = [
    (("promote", "web", "lamp:2", "-y"), "start web", 5, "is ready: a master of it would have"),
    (("promote", "nobody", "lamp:2", "-y"), None, 3, "nobody"),
    (("promote", "web", "Lamp:2", "-y"), None, 2, "Lamp:2"),
    (("promote", "web", "lamp:2", "-y", "--keep", "srv"), None, 2, "is no path in a machine"),
    (("promote", "web", "lamp:2", "-y", "--leave-out", "/"), None, 2, "reset"),
    (("promote", "web", "lamp:2"), None, 2, "not done without a yes: seal web as lamp:2"),
]


def test_what_is_refused_makes_nothing(fleet: Fleet, state: Path, capsys: Said) -> None:
    a_machine(fleet, state, {"srv/site": f("mine")})
    for words, before, code, why in REFUSED:
        if before:
            assert said(capsys, *before.split()).code == 0
        ended = said(capsys, *words)
        assert (ended.code, ended.out) == (code, "") and why in ended.err, ended
        if before:
            assert said(capsys, "stop", "web").code == 0
    assert [master.reference for master in fleet.masters.all()] == ["lamp:1"]
    leftovers = {path.name for path in (state / "masters").iterdir() if path.name.startswith(".")}
    assert leftovers <= {".lock"}


@pytest.mark.full
def test_paths_are_kept_and_left_out_when_that_is_said(fleet: Fleet, state: Path, capsys: Said) -> None:
    upper = {"etc/site.key": f(SECRET, mode=0o600), "root/.bash_history": f("x"), "srv/own": f("x"),
             "srv/www/site": f("x"), "etc/machine-id": f("x")}  # fmt: skip
    a_machine(fleet, state, upper, SEEDED)
    assert listed(capsys).keys() == {"/etc/site.key", "/root/.bash_history", "/etc/machine-id"}
    words = ("--keep", "/etc", "--keep", "/root/.bash_history", "--leave-out", "/srv/www")
    assert listed(capsys, *words) == {
        "/srv/www": ("asked", "left out", 1),
        "/etc/machine-id": ("identity", "left out", 1),
        "/root/.bash_history": ("history", "left out", 1),
    }, "no master has the last two, whatever is said"
    assert listed(capsys, "--leave-out", "/srv")["/srv"] == ("asked", "left out", 2)


def test_with_a_seed_of_before_it_is_refused(fleet: Fleet, state: Path, capsys: Said) -> None:
    a_machine(fleet, state, {"var/lib/skinnybox/seed-applied": f("1 x\n")})
    assert listed(capsys).keys() == {"/var/lib/skinnybox"}
    assert said(capsys, "set", "web", "--swap", "16M").code == 0
    ended = said(capsys, "promote", "web", "lamp:2", "-y")
    assert ended.code == 5 and "has not been started since its seed was changed" in ended.err, ended


@pytest.mark.full
def test_of_one_that_runs_it_is_of_one_point_in_time(fleet: Fleet, state: Path, capsys: Said) -> None:
    a_machine(fleet, state, {"srv/site": f("mine")}, replace(SPARSE, data=data_disk(48 * MIB)))
    fleet.start(["web"])
    ended = said(capsys, "promote", "web", "lamp:2", "-y", "--live")
    assert ended.code == 0 and "crash-consistent" in ended.err and "its data disk" in ended.err, ended
    assert content(state, "lamp:2", "srv/site") == "mine"


@pytest.mark.full
def test_disks_that_cannot_be_read_are_refused(fleet: Fleet, state: Path, capsys: Said) -> None:
    in_memory = replace(SPARSE, throw_away=ThrowAway(kind=Thrown.MEMORY))
    fleet.create(["web"], "lamp:1", in_memory)
    ended = said(capsys, "promote", "web", "lamp:2", "-y")
    assert ended.code == 6 and "memory" in ended.err, ended
    [other] = fleet.create(["other"], "lamp:1", SPARSE)
    base = image(state, other).read_bytes().replace(other.stack.images[0].encode(), b"sha256:" + b"0" * 64)
    image(state, other).write_bytes(base)
    for words in (("--dry-run",), ("-y",)):
        ended = said(capsys, "promote", "other", "lamp:2", *words)
        assert ended.code == 5 and "belongs to other images" in ended.err, ended
