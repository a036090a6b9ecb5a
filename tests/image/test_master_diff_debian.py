"""`master diff` between two releases of Debian, against what their own databases say of them.

Requirements: root, mmdebstrap, a mirror, mkfs.erofs, dpkg-query. Some minutes.
"""

import os
import subprocess
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.settings import Settings
from skinnybox.masters import sources
from skinnybox.masters.namespace import needed
from tests.samples import seal

pytestmark = [
    pytest.mark.image,
    pytest.mark.full,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(needed(), reason="needs root"),
]
RELEASES = ("bookworm", "trixie")
_FORM = "--showformat=${Package}\t${Architecture}\t${Version}\t${db:Status-Status}\n"


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A minbase of each, from this machine's mirror, named as tests.samples.seal finds them."""
    if sources.release().id != "debian":
        pytest.skip("this machine's mirror has no Debian")
    folder = tmp_path_factory.mktemp("releases")
    mirror = sources.own_sources("bookworm")[0].uris[0]
    made = {}
    for release in RELEASES:
        made[release] = folder / f"tree-debian-{release}"
        argv: run.Argv = ["mmdebstrap", "--variant=minbase", release, made[release], mirror]
        run.run(argv, keep=run.FETCHING)
    return made


def _dpkg_says(tree: Path) -> dict[str, str]:
    """Versions by name, of what is installed, from dpkg-query over the tree's own database."""
    asked = ["dpkg-query", f"--admindir={tree}/var/lib/dpkg", "--show", _FORM]
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    rows = [line.split("\t") for line in said.splitlines()]
    return {name: version for name, _, version, state in rows if state == "installed"}


def _numbers(tree: Path, file: str) -> dict[str, str]:
    rows = [line.split(":") for line in (tree / "etc" / file).read_text().splitlines()]
    return {row[0]: row[2] for row in rows}


def test_it_says_what_dpkg_says_in_both_directions(trees: dict[str, Path], tmp_path: Path) -> None:
    one, other = (_dpkg_says(trees[release]) for release in RELEASES)
    state = tmp_path / "state"
    for release in RELEASES:
        seal(state, trees[release].parent, "debian", release)
    with open_fleet(Settings(state=state, host="fake")) as fleet:
        found = fleet.masters.differences("debian:bookworm", "debian:trixie")
        back = fleet.masters.differences("debian:trixie", "debian:bookworm")
    packages = {d.name: (d.before, d.after) for d in found if d.what == "package"}
    wanted = {n: (one.get(n), other.get(n)) for n in one.keys() | other.keys() if one.get(n) != other.get(n)}
    assert {name: pair for name, pair in packages.items() if name in wanted} == wanted
    for difference in (d for d in found if d.what == "package" and d.name in wanted):
        before, after = wanted[difference.name]
        if before and after:
            asked = ["dpkg", "--compare-versions", after, "gt", before]
            later = subprocess.run(asked, check=False).returncode == 0
            assert difference.change == ("upgraded" if later else "downgraded"), difference
    for what, file in (("user", "passwd"), ("group", "group")):
        old, new = (_numbers(trees[release], file) for release in RELEASES)
        told = {d.name: (d.before, d.after) for d in found if d.what == what and d.change != "changed"}
        assert told == {n: (old.get(n), new.get(n)) for n in old | new if old.get(n) != new.get(n)}
    assert {d.name: (d.after, d.before) for d in back if d.what == "package"} == packages
    assert any(d.what == "release" and d.after == "trixie" for d in found)


def test_every_file_of_a_package_is_where_it_is_said(trees: dict[str, Path]) -> None:
    """Through the symlinks and diversions of each release: what dpkg unpacked is there under that name, but
    for what a minbase leaves out or a package removed itself."""
    from skinnybox.masters.system.gather import gather
    from skinnybox.masters.system.source import Tree

    for release in RELEASES:
        system, files = gather(Tree(trees[release]))
        assert not system.trouble
        paths = [path for each in files.values() for path in each]
        there = sum(os.path.lexists(trees[release] / path) for path in paths)
        assert there > 0.99 * len(paths) > 3000
        real = {path.rpartition("/")[0] for path in paths}
        assert all((trees[release] / folder).resolve() == trees[release] / folder for folder in real)
