"""A master from a tree that somebody else made."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from skinnybox.errors import NotFound, SkinnyboxError, Unsupported, UsageError
from skinnybox.masters import guest_part, lineage, numbers
from skinnybox.masters.archives.bring import brought, is_tree
from skinnybox.masters.catalogue import deleting
from skinnybox.masters.clean import clean
from skinnybox.masters.fitting import dpkg
from skinnybox.masters.fitting.fit import fit
from skinnybox.masters.initramfs import programs
from skinnybox.masters.kernel import find_kernel
from skinnybox.masters.mount_points import settled
from skinnybox.masters.mounts import Brought
from skinnybox.masters.seal import seal
from skinnybox.masters.uncopied import Unfit, uncopied
from skinnybox.masters.workspace import workspace
from skinnybox.model import GUEST_PROTOCOL, OLDEST_GUEST_PROTOCOL, ImageFormat, Master
from skinnybox.operation import Operation


def import_tree(
    source: Path, *, store: Path, name: str, version: str, as_is: bool, kernel: Path | None,
    initrd: Path | None, operation: Operation, allow_foreign: bool = False, dax: bool = False,
    image_format: ImageFormat = ImageFormat.AUTO, format: str | None = None, partition: int | None = None,
    leave_out: Sequence[str] = (), after: str | None = None, unrelated: bool = False,
) -> Master:  # fmt: skip
    """Seal what somebody has (see archives.bring): untouched when `as_is`, else cleaned, with the guest part.

    `kernel` is found in the tree, and `initrd` made for it, unless given. An as-is tree needs a guest part
    that speaks our protocol; `allow_foreign` seals one that cannot boot thin. The source is only read.
    `format` and `partition` are a disk image's (see disk_image). What its fstab mounts besides the root is in
    the tree then, or one of `leave_out`, places or devices; else Unsupported names it (see mounts). Its
    accounts get the numbers of the master it follows (see lineage); with `as_is`, Conflict where they differ.
    """
    _check_given(kernel, initrd)
    before = lineage.predecessor(store, name, version, after=after, unrelated=unrelated)

    def sealed(tree: Path, parts: Brought, unread: AbstractContextManager[None]) -> Master:
        _make_fit(tree, before, operation, as_is=as_is, allow_foreign=allow_foreign)
        return seal(
            tree, store=store, name=name, version=version, kernel=kernel or find_kernel(tree), initrd=initrd,
            operation=operation, dax=dax, image_format=image_format, brought=parts, unread=unread,
        )  # fmt: skip

    with workspace(store, "work") as work:
        if is_tree(source, format, partition):
            with suppress(Unfit):
                return _uncopied(source, work, leave_out, sealed, operation)
        tree, parts = brought(
            source, work, operation, format=format, partition=partition, devices=as_is, leave_out=leave_out
        )
        return sealed(tree, parts, deleting(tree))


_Seal = Callable[[Path, Brought, AbstractContextManager[None]], Master]


def _uncopied(
    source: Path, work: Path, leave_out: Sequence[str], sealed: _Seal, operation: Operation
) -> Master:
    def act(tree: Path, unread: AbstractContextManager[None]) -> Master:
        return sealed(tree, settled(tree, leave_out, str(source)), unread)

    return uncopied(source, work, act, operation)


def _check_given(kernel: Path | None, initrd: Path | None) -> None:
    if initrd is not None and kernel is None:
        raise UsageError("an initrd is made for one kernel", hint="give that with --kernel")
    for given in (kernel, initrd):
        if given is not None and not given.is_file():
            raise NotFound(f"{given} is not a file")
    if initrd is None:
        programs.require()


def _make_fit(
    tree: Path, before: lineage.Predecessor | None, operation: Operation, *, as_is: bool, allow_foreign: bool
) -> None:
    """Have the accounts in it that its predecessor has, and a guest part that we can speak with."""
    if not as_is:
        lineage.follow(tree, before, operation)
        numbers.leave_to_machines(tree)
        prepare(tree, operation)
        return
    lineage.refuse_moved(tree, before, operation)
    if not allow_foreign:
        _check_guest_part(tree)


def prepare(tree: Path, operation: Operation) -> None:
    """Put the guest part into a private tree and clean it up. No program of the tree is run."""
    operation.step(task="guest", detail="installing the guest part")
    fit(tree)
    clean(tree, operation)


def _check_guest_part(tree: Path) -> None:
    if not guest_part.has_guest_part(tree):
        raise _unfit("has no guest part", "import it without --as-is: that installs it")
    if dpkg.is_free(tree, guest_part.PACKAGE):  # whoever makes a tree fit holds it
        raise _unfit(
            f"has the package {guest_part.PACKAGE}, and was not made fit by an import",
            "import it without --as-is: that takes its keys, logs and lines of the fstab out",
        )
    protocol = guest_part.protocol_version(tree)
    if protocol is None or not OLDEST_GUEST_PROTOCOL <= protocol <= GUEST_PROTOCOL:
        raise _unfit(
            f"has a guest part of protocol {protocol}, this is {GUEST_PROTOCOL}", "import it without --as-is"
        )


def _unfit(what: str, hint: str) -> SkinnyboxError:
    return Unsupported(f"the tree {what}: it cannot boot thin", hint=hint)
