"""Random packages with random files, upgraded and removed by both sides: what is seen after the plan was done
is, for each package, all of one version and nothing of another."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from skinnybox.delta.rebase.owners import owners
from skinnybox.delta.rebase.packages import Settled, settled, versions
from skinnybox.delta.rebase.values import Decision, Fate, Standing
from tests.unit.rebased import WHITEOUT, Thing, a_system, d, decided, f, md5

NAMES = "pqr"
PLACES = ("usr/bin/{}", "usr/lib/{}/one", "usr/lib/{}/two", "usr/share/{}", "usr/lib/{}/data/x")
Side = dict[str, str]
SIDE = st.dictionaries(st.sampled_from(NAMES), st.sampled_from("123"), max_size=3)
# Which of the places a package has in each version; one that has none in a version is no package.
CONTENTS = st.dictionaries(
    st.tuples(st.sampled_from(NAMES), st.sampled_from("123")),
    st.sets(st.sampled_from(PLACES), min_size=1),
    max_size=9,
)
Contents = Mapping[tuple[str, str], set[str]]


def _files(name: str, version: str, contents: Contents) -> dict[str, Thing]:
    """Some are the same in all versions."""
    places = contents.get((name, version), {PLACES[0]})
    return {
        place.format(name): f("same" if "share" in place else f"{name} {version} {place}") for place in places
    }


def _tree(side: Side, contents: Contents) -> dict[str, Thing]:
    return {path: thing for name in side for path, thing in _files(name, side[name], contents).items()}


def _upper(old: Side, machine: Side, contents: Contents) -> dict[str, Thing]:
    """As dpkg leaves it: of a package that is in another version all files are written, what the version has
    no more is deleted, and with it folders in which nothing is left."""
    lower, view = _tree(old, contents), _tree(machine, contents)
    upper: dict[str, Thing] = {}
    for name in {*old, *machine}:
        if old.get(name) != machine.get(name):
            upper |= _files(name, machine[name], contents) if name in machine else {}
            before = _files(name, old[name], contents) if name in old else {}
            upper |= dict.fromkeys(before.keys() - view.keys(), WHITEOUT)
    for folder in sorted(_folders(lower) - _folders(view), key=len):
        if not any(_is_below(folder, path) for path, thing in upper.items() if thing == WHITEOUT):
            upper = {path: thing for path, thing in upper.items() if not _is_below(path, folder)}
            upper[folder] = WHITEOUT
    for folder in _folders(upper):
        upper.setdefault(folder, d())
    return upper


def _folders(tree: Mapping[str, Thing]) -> set[str]:
    found = set()
    for path in tree:
        while "/" in path:
            path = path.rpartition("/")[0]
            found.add(path)
    return found


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(f"{folder}/")


def _plan(
    old: Side, new: Side, machine: Side, contents: Contents
) -> tuple[dict[str, Settled], list[Decision]]:
    systems = [
        a_system(*(f"{name}={version}" for name, version in side.items())) for side in (old, new, machine)
    ]
    packages = {each.name: settled(each, Fate.KEEP) for each in versions(systems[0], systems[1], systems[2])}
    listed = [
        [(name, list(_files(name, side[name], contents))) for name in side] for side in (old, new, machine)
    ]

    def sums(name: str) -> dict[bytes, str]:
        return {path.encode(): md5(t.content) for path, t in _files(name, machine[name], contents).items()}

    owned = owners(packages, old=listed[0], new=listed[1], machine=listed[2], md5=sums)
    upper, lower, after = _upper(old, machine, contents), _tree(old, contents), _tree(new, contents)
    return packages, decided(upper, lower, after, packages=packages, owners=owned)


def _done(found: list[Decision], upper: Mapping[str, Thing], lower: Mapping[str, Thing]) -> dict[str, Thing]:
    left = dict(upper)
    for each in found:
        match each.fate:
            case Fate.TAKE:
                left.pop(each.name, None)
            case Fate.HIDE:
                left[each.name] = WHITEOUT
            case Fate.BRING:
                left[each.name] = lower[each.name]
    return left


def _seen(upper: Mapping[str, Thing], lower: Mapping[str, Thing]) -> dict[str, bytes]:
    hidden = [path for path, thing in upper.items() if thing == WHITEOUT]
    shown = {
        path: thing.content
        for path, thing in lower.items()
        if path not in upper and not any(_is_below(path, folder) for folder in hidden)
    }
    return shown | {path: thing.content for path, thing in upper.items() if thing.type == "-"}


@given(SIDE, SIDE, SIDE, CONTENTS)
def test_what_dpkg_says_is_what_is_there(old: Side, new: Side, machine: Side, contents: Contents) -> None:
    upper, lower, after = _upper(old, machine, contents), _tree(old, contents), _tree(new, contents)
    seen = {path: thing.content for path, thing in _tree(machine, contents).items()}
    assert _seen(upper, lower) == seen  # the model of a machine is one
    packages, found = _plan(old, new, machine, contents)
    assert [each for each in found if each.standing is not Standing.CLEAN] == []
    wanted: dict[str, bytes] = {}
    for name, each in packages.items():
        side = new if each.fate is Fate.TAKE else {} if each.fate is Fate.HIDE else machine
        if name in side:
            wanted |= {path: thing.content for path, thing in _files(name, side[name], contents).items()}
    assert _seen(_done(found, upper, lower), after) == wanted
