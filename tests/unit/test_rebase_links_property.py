"""Files with several names, anywhere in a machine, whose numbers move outside of what container engines keep:
what stands at each name afterwards does not depend on which others there are."""

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skinnybox import run
from skinnybox.delta.rebase.containers import is_containers
from skinnybox.ext4 import open_volume
from tests.unit.rebased import Thing, a_system, f, l
from tests.unit.rebased_disk import ORIGIN, Rebase, cache, overlay, shown, without_confinement

__all__ = ["cache"]

FOLDERS = (b"srv", b"opt/a", b"var/lib/docker", b"var/lib/docker/overlay2/1/diff", b"home/u/.local/share")
PLACES = tuple(folder + b"/" + name for folder in FOLDERS for name in (b"1", b"2", b"3"))
MOVES = {0: 0, 101: 102, 102: 101}
SYSTEMS = tuple(a_system(manager=None, users={"x": x, "y": y}) for x, y in ((101, 102), (102, 101)))
FILES = st.one_of(
    st.builds(f, st.sampled_from(("", "1", "2" * 9000)), uid=st.sampled_from(tuple(MOVES))),
    st.builds(f, st.just("o"), uid=st.sampled_from(tuple(MOVES)), xattrs=st.just(ORIGIN)),
    st.builds(l, st.sampled_from(("x", "y" * 200)), uid=st.sampled_from(tuple(MOVES))),
    st.builds(Thing, type=st.just("p"), uid=st.sampled_from(tuple(MOVES))),
)
CASES = st.lists(st.tuples(FILES, st.sets(st.sampled_from(PLACES), min_size=1, max_size=5)), max_size=5)


@pytest.mark.parametrize("examples", [4, pytest.param(300, marks=pytest.mark.full)])
def test_each_name_of_a_file_has_the_owner_that_it_has_there(examples: int, cache: Path) -> None:
    @settings(max_examples=examples, suppress_health_check=list(HealthCheck), deadline=None)
    @given(case=CASES)
    def holds(case: list[tuple[Thing, set[bytes]]]) -> None:
        with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as monkeypatch:
            without_confinement(monkeypatch)
            _rebased(Path(name), cache, case, monkeypatch)

    holds()


def _rebased(
    folder: Path, cache: Path, case: list[tuple[Thing, set[bytes]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: set[bytes] = set()
    files = []
    for each, places in case:
        if here := sorted(places - taken):
            files.append((each, here))
            taken |= places
    disk = overlay(folder / "old.img", cache, {places[0]: each for each, places in files})
    links = [f'ln "upper/{p[0].decode()}" "upper/{o.decode()}"\n' for _, p in files for o in p[1:]]
    made = {b"/".join(o.split(b"/")[:n]) for o in taken for n in range(1, o.count(b"/") + 1)}
    (folder / "links").write_text("".join([*(f"mkdir upper/{m.decode()}\n" for m in sorted(made)), *links]))
    run.run(["debugfs", "-w", "-f", folder / "links", disk])
    run.run(["e2fsck", "-fy", disk], ok=(0, 1))
    after, told = Rebase(folder, monkeypatch, systems=(SYSTEMS[0], SYSTEMS[1])).of(disk, {}, {})
    assert len(told) == 3, told
    wanted = {
        place: replace(each, uid=each.uid if is_containers(place) else MOVES[each.uid], xattrs={})
        for each, places in files
        for place in places
    }
    assert {path: t for path, t in shown(after).items() if not path.startswith(b"var/lib/skinny")} == wanted
    with open_volume(folder / "new.img") as volume:
        for _, names in files:
            outside = [name for name in names if not is_containers(name)]
            assert len({volume.lookup(b"upper/" + name).inode for name in outside or names}) == 1
