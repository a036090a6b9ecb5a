"""The generic names of alternatives, such as /usr/bin/editor: no package lists them, so no package's fate
says what becomes of them."""

from collections.abc import Iterator

from skinnybox.delta.rebase.packages import Settled
from skinnybox.delta.rebase.records.alternative_merge import Facts
from skinnybox.delta.rebase.records.sides import Made, Sides
from skinnybox.delta.rebase.special import of_info, special
from skinnybox.delta.rebase.values import Fate
from skinnybox.masters.system.places import Places
from skinnybox.masters.system.source import Source, bytes_of


class Tree:
    """What is where afterwards, as far as it can be told from the sides."""

    def __init__(self, sides: Sides) -> None:
        self._sides = sides
        self._places = Places(sides.machine)
        self._names: dict[tuple[int, str], frozenset[str]] = {}
        self._links: dict[tuple[int, str], dict[str, str]] = {}
        self.facts = Facts(package=self._package, there=self.there)

    def _path(self, path: str) -> str:
        return self._places.of(path.strip("/"))

    def _package(self, path: str) -> Settled | None:
        owned = self._sides.owners.get(bytes_of(self._path(path)))
        return None if owned is None else owned.package

    def there(self, path: str) -> bool:
        """What the machine has nothing of its own at is there as the new master has it."""
        place = self._path(path)
        owned = self._sides.owners.get(bytes_of(place))
        if owned is not None and owned.package.fate is not Fate.HIDE:
            return owned.new if owned.package.fate is Fate.TAKE else owned.machine
        side = self._sides.new if self._sides.machine.untouched(place) else self._sides.machine
        return self._has(side, place)

    def generic(self, link: str, says: str, *, wanted: bool, gone: bool) -> Iterator[Made]:
        """What there is to do about one, where its path's own decision would not. `gone`: the machine had
        nothing of the whole group. Somebody's own at such a name stays, and what is no matter of links."""
        path = self._path(link)
        if not path or special(bytes_of(path)) is not None or of_info(bytes_of(path)) is not None:
            return
        new, machine = (self._target(side, path) for side in (self._sides.new, self._sides.machine))
        untouched = self._sides.machine.untouched(path)
        if not wanted:
            if says in (new, machine):
                yield Made(path=path, hidden=new is not None)
        elif machine == says or untouched or (gone and machine is None):
            if new == says:
                yield from () if untouched else [Made(path=path)]
            elif new is None and not self._has(self._sides.new, path) and self._is_folder(path):
                yield Made(path=path, target=says)

    def _is_folder(self, path: str) -> bool:
        return bool(self._in(self._sides.new, path.rpartition("/")[0]))

    def _has(self, side: Source, path: str) -> bool:
        folder, _, name = path.rpartition("/")
        return name in self._in(side, folder)

    def _in(self, side: Source, folder: str) -> frozenset[str]:
        key = (id(side), folder)
        if key not in self._names:
            self._names[key] = frozenset(side.names(folder))
        return self._names[key]

    def _target(self, side: Source, path: str) -> str | None:
        folder, _, name = path.rpartition("/")
        key = (id(side), folder)
        if key not in self._links:
            self._links[key] = side.links(folder)
        return self._links[key].get(name)
