"""The masters of a fleet: made, looked at, verified, and never removed while a machine needs them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from skinnybox import run
from skinnybox.errors import Blocked
from skinnybox.fleet.state import State
from skinnybox.hosts.base import Host
from skinnybox.masters import catalogue
from skinnybox.model import Master, Progress, parse_reference, silent


class Masters:
    """Use cases on masters; `fleet.masters` of a Fleet."""

    def __init__(self, store: Path, host: Host, state: State) -> None:
        self._store = store
        self._host = host
        self._state = state

    def as_namespace_root(self, command: Sequence[str]) -> int | None:
        """Run a command again as root of a user namespace, when an ordinary user makes a master; its exit
        code. None when there is no need to, or no way: then the operation itself says what is missing."""
        from skinnybox.masters import namespace

        if not namespace.needed() or namespace.why_not():
            return None
        return run.interactive([*namespace.argv_prefix(), *command])

    def build(
        self,
        reference: str,
        recipe_file: Path | None = None,
        *,
        suite: str | None = None,
        packages: tuple[str, ...] = (),
        progress: Progress = silent,
    ) -> Master:
        """Build and seal, from a recipe or from this machine's own distribution. `suite` and `packages` are
        said beside the recipe and win over it, or add to it."""
        from skinnybox.masters import build, recipe, seal

        name, version = parse_reference(reference)
        chosen = recipe.load(recipe_file) if recipe_file else recipe.Recipe()
        return build.build(
            replace(chosen, suite=suite or chosen.suite, packages=(*chosen.packages, *packages)),
            store=self._store,
            name=name,
            version=version or seal.default_version(self._store, name),
            progress=progress,
        )

    def import_tree(
        self,
        source: Path,
        reference: str,
        *,
        as_is: bool,
        kernel: Path | None = None,
        initrd: Path | None = None,
        progress: Progress = silent,
    ) -> Master:
        """Seal a directory or a tar; `as_is` untouched, otherwise with the guest part put in."""
        from skinnybox.masters import imports, seal

        name, version = parse_reference(reference)
        return imports.import_tree(
            source,
            store=self._store,
            name=name,
            version=version or seal.default_version(self._store, name),
            as_is=as_is,
            kernel=kernel,
            initrd=initrd,
            progress=progress,
        )

    def all(self) -> list[Master]:
        return catalogue.masters(self._store)

    def find(self, reference: str) -> Master:
        return catalogue.find(self._store, reference)

    def dependants(self, master: Master) -> list[str]:
        """Names of the machines that cannot be without it."""
        return self._state.dependants(master.id)

    def verify(self, reference: str, progress: Progress = silent) -> Master:
        """Read every byte of it. Raises Corrupt naming the file that is not what was sealed."""
        master = self.find(reference)
        catalogue.verify(self._store, master, progress)
        return master

    def remove(self, reference: str) -> Master:
        """Blocked while a machine depends on it."""
        with catalogue.locked(self._store, exclusive=True):
            master = self.find(reference)
            names = self.dependants(master)
            if names:
                more = f" and {len(names) - 5} more" if len(names) > 5 else ""
                raise Blocked(
                    f"{master.reference} is what {', '.join(names[:5])}{more} boot from",
                    hint="delete those machines first",
                )
            self._host.remove_master(master)
            catalogue.remove(self._store, master)
        return master

    @contextmanager
    def kept(self, reference: str) -> Iterator[Master]:
        """A master that nobody can remove during the block."""
        with catalogue.locked(self._store, exclusive=False):
            yield self.find(reference)

    def folder(self, master: Master) -> Path:
        return catalogue.folder(self._store, master)

    def by_id(self, identity: str) -> Master:
        return catalogue.find(self._store, identity.removeprefix("sha256:"))
