"""The masters of a fleet: made, looked at, verified, and never removed while a machine needs them."""

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from skinnybox.errors import Blocked, SkinnyboxError, UsageError
from skinnybox.fleet.as_job import as_job
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.turns import Turns
from skinnybox.hosts.base import Host
from skinnybox.layout import LAYERS
from skinnybox.masters import catalogue
from skinnybox.model import INITRD_FILE, KERNEL_FILE, ImageFormat, Layer, Master, Stack
from skinnybox.operation import UNATTENDED, Operation

if TYPE_CHECKING:
    from skinnybox.fleet.making import OfMaster
    from skinnybox.masters.garbage import Garbage
    from skinnybox.masters.system.compare import Difference
    from skinnybox.masters.system.values import System

MADE_AT_ONCE = 1
"""In one process: the next one waits. Each fills processors and gigabytes of the disk by itself."""
_ANOTHER = "wait for another master"


class Masters:
    """Use cases on masters; `fleet.masters` of a Fleet."""

    def __init__(self, store: Path, host: Host, catalog: Catalog) -> None:
        self._store = store
        self._verified = store.parent / "verified"
        self._host = host
        self._catalog = catalog
        self.making = Turns(MADE_AT_ONCE)

    @as_job("master build")
    def build(
        self,
        reference: str,
        recipe_file: Path | None = None,
        *,
        text: str | None = None,
        suite: str | None = None,
        packages: tuple[str, ...] = (),
        dax: bool = False,
        image_format: ImageFormat = ImageFormat.AUTO,
        after: str | None = None,
        unrelated: bool = False,
        operation: Operation = UNATTENDED,
    ) -> Master:
        """Build and seal, from a recipe (a file, or its `text`) or from this machine's own distribution.
        `suite`, `packages`, `dax`, `image_format`, and whom it follows in its account numbers, are said
        beside the recipe and win over it, or add to it."""
        from skinnybox.fleet.making import Build

        order = Build(
            reference=reference, recipe_file=recipe_file, text=text, suite=suite, packages=packages, dax=dax,
            image_format=image_format, after=after, unrelated=unrelated,
        )  # fmt: skip
        return self.make(order, operation)

    @as_job("master import")
    def import_tree(
        self,
        source: Path,
        reference: str,
        *,
        as_is: bool,
        kernel: Path | None = None,
        initrd: Path | None = None,
        dax: bool = False,
        image_format: ImageFormat = ImageFormat.AUTO,
        format: str | None = None,
        partition: int | None = None,
        leave_out: Sequence[str] = (),
        after: str | None = None,
        unrelated: bool = False,
        operation: Operation = UNATTENDED,
    ) -> Master:
        """Seal a directory, a tar, or a disk image (of `format`, its root on `partition`: else found out);
        `as_is` untouched, otherwise with the guest part put in. Without what its fstab mounts at the places
        in `leave_out`. Accounts get the numbers of `after` (the newest of its name), unless `unrelated`."""
        from skinnybox.fleet.making import Import

        order = Import(
            source=source, reference=reference, as_is=as_is, kernel=kernel, initrd=initrd, dax=dax,
            image_format=image_format, format=format, partition=partition, leave_out=tuple(leave_out),
            after=after, unrelated=unrelated,
        )  # fmt: skip
        return self.make(order, operation)

    def make(self, order: "OfMaster", operation: Operation) -> Master:
        """One at a time. An ordinary user has it made by a child that is root of a namespace."""
        from skinnybox.fleet.making_apart import make

        with self.making.turn(operation, awaited=_ANOTHER):
            return make(self._store, order, operation)

    def all(self) -> list[Master]:
        return catalogue.masters(self._store)

    def unnamed(self) -> UsageError:
        """For who has to say which, and has not."""
        hint = f"--master NAME; {catalogue.there_are(self.all())}"
        return UsageError("no master is named", hint=hint)

    def find(self, reference: str) -> Master:
        return catalogue.find(self._store, reference)

    def heavy(self, master: Master) -> list[str]:
        """Lines about files that a machine, writing to one, would have in its overlay whole. None are told of
        a master whose index cannot be read: verify says that."""
        from skinnybox.masters import heavy

        with contextlib.suppress(SkinnyboxError, OSError):
            return heavy.told(heavy.recorded(self.folder(master) / catalogue.INDEX))
        return []

    def dependants(self, master: Master) -> list[str]:
        """Names of the machines that cannot be without it."""
        return self._catalog.dependants(master.id)

    @as_job("master verify")
    def verify(self, reference: str, operation: Operation = UNATTENDED) -> Master:
        """Read every byte of it; nobody removes it meanwhile. Raises Corrupt naming the file that is not what
        was sealed. What is derived of it is found out again, and put right where it is not the same."""
        from skinnybox.masters import checked
        from skinnybox.masters.system import kept as system

        with catalogue.locked(self._store, exclusive=False):
            master = self.find(reference)
            catalogue.verify(self._store, master, operation)
            checked.note(self._store, master, self._marks(master))
        if system.renew(self._store, master):
            operation.note(f"{master.reference}: what was derived of it was not right, and is made again")
        return master

    def system(self, reference: str) -> "System":
        """What it consists of: packages, accounts, units. Of a master that was sealed before that was written
        down it is found out first. Raises Corrupt, Unsupported."""
        from skinnybox.masters.system.kept import system_of

        return system_of(self._store, self.find(reference))

    def differences(
        self, one: str, other: str, *, paths: bool = False, operation: Operation = UNATTENDED
    ) -> "list[Difference]":
        """What `other` has otherwise than `one`; with `paths` each file as well. Raises as `system` does."""
        from skinnybox.masters.index import read_index
        from skinnybox.masters.system import compare, file_changes, kept

        first, second = self.find(one), self.find(other)
        if first == second:
            return []
        operation.step(task="compare", detail=first.reference)
        before, files = kept.with_files(self._store, first)
        operation.step(task="compare", detail=second.reference)
        after, more = kept.with_files(self._store, second)
        for master, system in ((first, before), (second, after)):
            for line in system.trouble:
                operation.note(f"{master.reference}: {line}")
        owners = file_changes.owners(files, more, compare.names(before, after))
        with catalogue.locked(self._store, exclusive=False):
            indexes = [read_index(self.folder(self.by_id(m.id)) / catalogue.INDEX) for m in (first, second)]
            changes = file_changes.changed(*indexes)
            found = compare.differences(before, after)
            return file_changes.with_files(found, changes, owners, paths=paths)

    def successors(self) -> dict[str, str]:
        """Of each master that has a newer one of its name: what the newest is called, by the id. Nothing
        where masters cannot be read: who lists machines is to see them all the same."""
        try:
            known = self.all()
        except SkinnyboxError:
            return {}
        newest = {master.name: master for master in known}
        return {m.id: newest[m.name].reference for m in known if newest[m.name].created > m.created}

    @as_job("master remove")
    def remove(self, reference: str) -> Master:
        """Blocked while a machine, or what is kept of one, needs it. What one that failed left goes too."""
        from skinnybox.fleet import masters_kept
        from skinnybox.masters import workspace

        if not self._store.is_dir():
            return self.find(reference)  # NotFound, and no folder is made for that
        workspace.sweep(self._store)
        with catalogue.locked(self._store, exclusive=True):
            master = self.find(reference)
            names = self.dependants(master)
            if names:
                more = f" and {len(names) - 5} more" if len(names) > 5 else ""
                raise Blocked(
                    f"{master.reference} is the master of {', '.join(names[:5])}{more}",
                    hint="delete those machines first",
                )
            masters_kept.refuse(master, masters_kept.needed(self._host, self._catalog))
            self._host.remove_master(master)
            catalogue.remove(self._store, master)
            self._marks(master).unlink(missing_ok=True)
        return master

    def garbage(self, *, keep: int = 1) -> "list[Garbage]":
        """Masters that neither machines nor what is kept of them need, but for the `keep` newest of each
        name, and dead work."""
        from skinnybox.fleet import masters_kept
        from skinnybox.masters import garbage

        with catalogue.locked(self._store, exclusive=False):
            kept = {each.master for each in masters_kept.needed(self._host, self._catalog)}
            return garbage.garbage(
                self._store, lambda master: master.id in kept or bool(self.dependants(master)), keep=keep
            )

    @as_job("master gc")
    def collect(self, found: "Sequence[Garbage]") -> "list[Garbage]":
        """Remove what `garbage` found, as far as it still is garbage; what was removed. What machines were
        before a rebase goes first, where it need not be kept any longer."""
        from skinnybox.errors import Conflict, NotFound
        from skinnybox.fleet.rebase_kept import expire
        from skinnybox.masters import garbage, workspace

        expire(self._host, self._catalog, [row.instance for row in self._catalog.rows()])
        gone = []
        for item in found:
            if item.master is None:
                continue
            try:
                self.remove(item.master.id)
            except (Conflict, NotFound):  # a machine needs it since then, or somebody was faster
                continue
            gone.append(item)
        workspace.sweep(self._store)
        left = {item.name for item in garbage.dead_work(self._store)}
        return gone + [item for item in found if item.master is None and item.name not in left]

    @contextmanager
    def kept(self, reference: str) -> Iterator[Master]:
        """A master that nobody can remove meanwhile. Unsupported when its guest part is not understood."""
        from skinnybox import formats

        with catalogue.locked(self._store, exclusive=False):
            master = self.find(reference)
            formats.check_protocol(master)
            yield master

    @as_job("master disk")
    def disk(self, reference: str, file: Path) -> Master:
        """Write a master as a disk that firmware boots, for hosts that Skinnybox does not drive."""
        from skinnybox.fleet.output_file import handed_out
        from skinnybox.masters import disk

        with self.kept(reference) as master, handed_out(file) as part:
            part.unlink()
            disk.make(part, master, disk.image_of(master), self.folder(master))
        return master

    def folder(self, master: Master) -> Path:
        return catalogue.folder(self._store, master)

    def bootable(self, stack: Stack) -> Master:
        """What such a machine starts from: verified when a file of it may have changed since the last good
        check. Raises NotFound, Unsupported, and Corrupt naming the file."""
        from skinnybox import formats
        from skinnybox.masters import checked

        master = self.by_id(stack.master)
        formats.check_protocol(master)
        images = [image.file for digest in stack.images if (image := master.image(digest))]
        checked.ensure(self._store, master, [KERNEL_FILE, INITRD_FILE, *images], self._marks(master))
        if stack.layers:
            self._ensure_layers(stack)
        return master

    def _ensure_layers(self, stack: Stack) -> None:
        from skinnybox.masters import checked
        from skinnybox.masters.layers.catalogue import layers_of

        store = self._store.with_name(LAYERS)
        for layer, image in layers_of(store, stack):
            checked.ensure(store, layer, [image.file], self._marks(layer))

    def _marks(self, sealed: Master | Layer) -> Path:
        return self._verified / f"{catalogue.hex_of(sealed)}.json"

    def by_id(self, identity: str) -> Master:
        return catalogue.find(self._store, identity.removeprefix("sha256:"))
