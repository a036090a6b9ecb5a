"""A site as a layer under several web servers; one of them as an ordinary disk, one on the next master."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox.fleet.rebase_rollout import Rollout
from skinnybox.fleet.rebases import Wishes
from skinnybox.fleet.service import Fleet
from skinnybox.operation import Operation, Step
from tests.boot import ordinary, packages
from tests.boot.served.conftest import (
    STATE,
    WANTED,
    known_masters,
    of_the_guest,
    started,
    stopped,
    told,
)  # fmt: skip
from tests.boot.served.test_archive import SUM, whole
from tests.image.debs import deb
from tests.pace import within

pytestmark = [pytest.mark.full, pytest.mark.timeout(5400)]

FIRST, SECOND, SITE = of_the_guest("lamp"), f"{of_the_guest('lamp')}-next", of_the_guest("site")
NEWER = ("cron", "curl", "libcurl4")
PICTURES = 24
PATHS = (
    "/srv/site", "/etc/apache2/sites-available/site.conf", "/etc/apache2/sites-enabled/site.conf",
    "/var/lib/apache2/site/enabled_by_admin/site",
)  # fmt: skip
# Debian's MariaDB hangs for 15 minutes where it is stopped within seconds of its start.
MADE = f"""
systemctl is-system-running --wait
mkdir -p /srv/site/pictures
cat >/srv/site/index.php <<'END'
<?php
echo 'site of ' . count(glob('/srv/site/pictures/*')) . ' pictures, ' . (6 * 7) . "\\n";
END
for number in $(seq {PICTURES}); do head -c 1M /dev/urandom >/srv/site/pictures/$number.jpg; done
chown -R www-data: /srv/site; chmod 750 /srv/site
cat >/etc/apache2/sites-available/site.conf <<'END'
<VirtualHost *:80>
    ServerName site.example
    DocumentRoot /srv/site
    <Directory /srv/site>
        Require all granted
    </Directory>
</VirtualHost>
END
a2ensite site; systemctl reload apache2; sync
"""
ASKED = (
    "curl -fsS -H 'Host: site.example' http://127.0.0.1/; "
    "curl -fsS -H 'Host: site.example' http://127.0.0.1/pictures/7.jpg | sha256sum"
)


@pytest.fixture(scope="module")
def first(fleet: Fleet, source: str) -> str:
    """What the machine became as a master; kept."""
    if FIRST not in known_masters(fleet):
        fleet.deltas.promote(source, FIRST)
    return FIRST


@pytest.fixture(scope="module")
def second(fleet: Fleet, first: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same with security updates, by a `master edit`; kept."""
    if SECOND in known_masters(fleet):
        return SECOND
    folder = tmp_path_factory.mktemp("updates") / "updates"

    def upgraded(name: str) -> bool:
        status = told(fleet, name, "cat /var/lib/dpkg/status").encode()
        packages.repository(folder, status, (), NEWER)
        fleet.remote.send(name, [folder], "/root", recursive=True)
        told(fleet, name, "dpkg --force-confold -i /root/updates/*.deb; rm -r /root/updates; sync")
        return True

    assert fleet.master_edits.edit(first, SECOND, upgraded, WANTED) is not None
    return SECOND


@pytest.fixture(scope="module")
def site(fleet: Fleet, first: str) -> str:
    """The layer of a machine on which somebody made it; kept."""
    if SITE not in [each.reference for each in fleet.layers.all()]:
        fleet.create(["author"], first, WANTED)
        started(fleet, "author")
        told(fleet, "author", MADE)
        stopped(fleet, "author")
        layer = fleet.deltas.promote_layer("author", SITE, paths=PATHS)
        print(f"{layer.reference}: {sum(each.size for each in layer.images)} bytes")
        fleet.delete(["author"])
    return SITE


@pytest.fixture
def made(fleet: Fleet, first: str, site: str) -> Iterator[list[str]]:
    names = ["s-1", "s-2"]
    fleet.create(names, first, replace(WANTED, layers=(site,)))
    yield names
    fleet.delete([name for name in fleet.names() if name in names], force=True)


def test_each_of_several_serves_it_and_one_of_them_as_an_ordinary_disk(
    fleet: Fleet, made: list[str], tmp_path: Path
) -> None:
    said = set()
    for name in made:
        started(fleet, name)
        said.add(told(fleet, name, ASKED))
    assert len(said) == 1 and said.pop().startswith(f"site of {PICTURES} pictures, 42\n")
    written = sum(taken(fleet, name) for name in made)
    print(f"{len(made)} overlays of {written >> 20} MiB together, with a site of {PICTURES} MiB in each")
    name, *others = made
    whole(fleet, name)
    asked, rows = told(fleet, name, ASKED), told(fleet, name, SUM)
    # Its own hold goes: what is left of Skinnybox would be one.
    told(fleet, name, "rm /srv/site/pictures/9.jpg; echo mine >/srv/site/mine; apt-mark unhold bc; sync")
    for each in others:
        stopped(fleet, each)
    stopped(fleet, name)
    key, show = STATE / "ssh" / "id_ed25519", f"{ASKED}; {SUM}; cat /srv/site/mine"
    expected = asked.replace(f"of {PICTURES}", f"of {PICTURES - 1}") + rows + "mine\n"
    ordinary.boots_as_it_was(fleet, name, expected, f"set -e; {show}", key, tmp_path)


def taken(fleet: Fleet, name: str) -> int:
    place = STATE / "instances" / str(fleet.machine(name).instance.uuid) / "overlay.img"
    return 512 * place.stat().st_blocks


def test_it_stays_above_the_next_master(fleet: Fleet, made: list[str], second: str, tmp_path: Path) -> None:
    """Its gate asks dpkg in the appliance, with the layer in both views."""
    name = made[0]
    started(fleet, name)
    whole(fleet, name)
    tool = deb(tmp_path, "own-tool", "1", {"usr/bin/own-tool": "#!/bin/sh\necho tool\n"})
    fleet.remote.send(name, [tool], "/root/")
    told(fleet, name, "dpkg -i /root/*.deb; echo '# mine' >>/etc/crontab; rm /srv/site/pictures/9.jpg; sync")
    asked, rows = told(fleet, name, ASKED), told(fleet, name, SUM)
    assert asked.startswith(f"site of {PICTURES - 1} pictures")
    stopped(fleet, name)
    steps: list[Step] = []
    how = Rollout(timeout=within(900), stay_on=frozenset([name]))
    (done,) = fleet.rebases.run([name], second, Wishes(), how, Operation(steps.append))
    if done.error is not None:
        raise done.error
    assert {"libraries and owners", "dpkg --audit", "apt-get check"} <= {step.detail for step in steps}
    whole(fleet, name)
    assert (told(fleet, name, ASKED), told(fleet, name, SUM)) == (asked, rows)
    versions = told(fleet, name, f"dpkg-query -W -f '${{Version}}\\n' {' '.join(NEWER)}").split()
    assert all("+newer" in version for version in versions), versions
    assert told(fleet, name, "own-tool; tail -n 2 /etc/crontab; cat /usr/share/newer/curl")
    assert fleet.machine(name).instance.stack.layers == (SITE,)
    (back,) = fleet.rebases.rollback([name])
    assert back.error is None, back.error
    started(fleet, name)
    assert told(fleet, name, ASKED) == asked
    assert "+newer" not in told(fleet, name, "dpkg-query -W -f '${Version}' curl")
