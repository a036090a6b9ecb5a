"""Which kind of image a master gets: one that its kernel can mount."""

from pathlib import Path

from skinnybox.errors import Unsupported
from skinnybox.masters.initramfs.modules import lacks_erofs
from skinnybox.masters.kernel import maps_erofs, mounts_overlays, reads_erofs
from skinnybox.model import ImageFormat, ImageKind
from skinnybox.operation import Operation


def chosen(tree: Path, version: str, asked: ImageFormat, *, dax: bool, operation: Operation) -> ImageKind:
    """The image that is read as a disk: EROFS, compressed, for a kernel that has it (from Linux 5.4 on), and
    ext4 for others, which have that for the overlay anyway.

    Unsupported, before anything is made, when the tree's kernel of that `version` cannot mount overlays; when
    EROFS is asked for and it has none; or a second image, to be mapped (`dax`), which only EROFS can be, and
    from Linux 5.15 on.
    """
    if not mounts_overlays(version):
        raise Unsupported(
            f"the kernel {version} of the tree cannot mount a machine's overlay: Linux 4.4 is the first to",
            hint="install a newer kernel there, such as Ubuntu's for hardware that is newer than the release",
        )
    if dax and not maps_erofs(version):
        raise Unsupported(
            f"the master's kernel {version} cannot map an image (DAX): Linux 5.15 is the first that can",
            hint="seal it without --dax (`dax: false` in a recipe), or give it a newer kernel",
        )
    why_not = _why_not_erofs(tree, version)
    if asked is ImageFormat.EROFS and why_not:
        raise Unsupported(why_not, hint="ask for `ext4`, or for no format; or install a newer kernel there")
    if asked is ImageFormat.EXT4 or why_not:
        if dax:
            raise Unsupported(
                f"{why_not or 'an ext4 image was asked for'}: there is nothing to be mapped (DAX)",
                hint="seal it without --dax (`dax: false` in a recipe)",
            )
        if asked is not ImageFormat.EXT4:
            operation.note(f"{why_not}: its image is an ext4, which is not compressed")
        return ImageKind.EXT4
    return ImageKind.EROFS_LZ4HC


def _why_not_erofs(tree: Path, version: str) -> str | None:
    if not reads_erofs(version):
        return f"the kernel {version} of the tree has no EROFS: Linux 5.4 is the first that has"
    if lacks_erofs(tree, version):
        return f"the kernel {version} of the tree has no EROFS"
    return None
