"""A web server with its database, exported and restored: its guest finds each file as it left it, and the
database finds itself whole."""

from collections.abc import Callable
from pathlib import Path

import pytest

from skinnybox.fleet.exporting import Export, Exported
from skinnybox.fleet.restoring import Restore
from skinnybox.fleet.service import Fleet
from skinnybox.model import Consistency
from skinnybox.sizes import MIB
from tests.boot import lamp, year
from tests.boot.served import walks
from tests.boot.served.conftest import ROWS, SHOWN, started, stopped, told
from tests.image.debs import deb

pytestmark = [pytest.mark.full, pytest.mark.timeout(5400)]

DATABASE = "/var/lib/mysql"
MORE = """
mariadb shop -e "insert into posts (text) select concat('later ', seq) from seq_1_to_500;
    update posts set text = 'other' where id % 7 = 0; delete from posts where id % 11 = 0"
dpkg -i /root/*.deb
apt-get purge -y at
echo more >>/srv/www/page.html; sync
"""
SUM = "mariadb -N -e 'checksum table shop.t, shop.posts; select count(*) from shop.posts'"
WRITING = """
systemd-run --quiet --unit writing sh -c 'n=0; while :; do n=$((n + 1))
    mariadb shop -e "insert into posts (text) values (concat($n, repeat(char(120), 90)))"; done'
"""


def whole(fleet: Fleet, name: str) -> None:
    """It serves, the database's own check is content, and so is the package manager's."""
    told(fleet, name, "systemctl is-system-running --wait || { systemctl --failed; exit 1; }")
    assert told(fleet, name, "curl -fsS http://127.0.0.1/").encode() == SHOWN
    checked = told(fleet, name, "mariadb-check --all-databases --extended")
    wrong = [line for line in checked.splitlines() if not line.endswith(" OK")]
    assert (wrong, "shop.posts" in checked) == ([], True), checked
    tables = told(fleet, name, "mariadb -N -e 'check table shop.t, shop.posts extended'").splitlines()
    assert [line.split("\t")[-1] for line in tables] == ["OK", "OK"]
    found = year.blocks(told(fleet, name, lamp.WHOLE))
    assert (found["audit"], found["check"], found["failed"]) == ("", "", "")


def exported(fleet: Fleet, name: str, file: Path, *, data: bool, since: Path | None = None) -> Exported:
    done = fleet.deltas.export(name, Export(file=file, data=data, since=since))
    print(f"{file.name}: {done.size} bytes, {done.members} members, {done.consistency}")
    return done


@pytest.mark.parametrize("data", [False, True], ids=["overlay-alone", "with-data-disk"])
def test_a_chain_of_archives_is_the_machine(
    fleet: Fleet, copied: Callable[[str], str], tmp_path: Path, data: bool
) -> None:
    name, whole_one, increment = copied("web"), tmp_path / "1.tar.zst", tmp_path / "2.tar.zst"
    if data:
        (given,) = fleet.overlays.give_data([name], 384 * MIB, [DATABASE])
        assert given.error is None, given.error
        started(fleet, name)
        stopped(fleet, name)
    full = exported(fleet, name, whole_one, data=data)
    started(fleet, name)
    fleet.remote.send(name, [deb(tmp_path, "own-tool", "1", {"usr/bin/own-tool": "#!/bin/sh\n"})], "/root/")
    told(fleet, name, MORE)
    rows, looked = told(fleet, name, SUM), year.blocks(told(fleet, name, lamp.LOOK))
    assert int(rows.split()[-1]) > ROWS
    before, noise = walks.walked(fleet, name)
    stopped(fleet, name)
    part = exported(fleet, name, increment, data=data, since=whole_one)
    assert part.members < full.members / 3
    machine = fleet.machine(name).instance
    assert fleet.delete([name])[0].ok

    assert fleet.deltas.restore(name, Restore(sources=(whole_one, increment))) == machine
    started(fleet, name)
    after, _ = walks.walked(fleet, name)
    assert told(fleet, name, SUM) == rows
    whole(fleet, name)
    assert year.blocks(told(fleet, name, lamp.LOOK)) == looked
    assert told(fleet, name, "dpkg -s own-tool | grep ^Status; command -v at || echo no at") == (
        "Status: install ok installed\nno at\n"
    )
    walks.compare(before, after)
    print(f"{len(before)} paths are as they were, but for {noise} lines of what each start writes")


def test_an_archive_of_a_machine_that_writes_is_as_after_a_power_cut(
    fleet: Fleet, copied: Callable[[str], str], tmp_path: Path
) -> None:
    name, file, again = copied("web"), tmp_path / "web.tar.zst", "web-again"
    started(fleet, name)
    told(fleet, name, WRITING + "sleep 5")
    committed = int(told(fleet, name, "mariadb -N -e 'select max(id) from shop.posts'"))
    done = exported(fleet, name, file, data=False)
    assert done.consistency is Consistency.CRASH
    told(fleet, name, "systemctl is-active writing; systemctl stop writing")
    latest = int(told(fleet, name, "mariadb -N -e 'select max(id) from shop.posts'"))
    whole(fleet, name)
    fleet.deltas.restore(again, Restore(sources=(file,), new_identity=True))
    started(fleet, again)
    assert "Starting crash recovery" in told(fleet, again, "journalctl -b -u mariadb --no-pager")
    whole(fleet, again)
    found = told(fleet, again, "mariadb -N -e 'select max(id), count(*) from shop.posts'").split()
    assert committed <= int(found[0]) == int(found[1]) <= latest
    print(f"{committed} rows before, {found[0]} in the archive, {latest} after")
    assert told(fleet, again, "hostname") == f"{again}\n"
    machines = [fleet.machine(each) for each in (name, again)]
    assert len({each.host_keys for each in machines}) == len({each.instance.mac for each in machines}) == 2
