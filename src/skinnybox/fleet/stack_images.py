"""Where the images lie that a machine boots from."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from skinnybox.fleet.context import Context
from skinnybox.model import Instance


@contextmanager
def kept(context: Context, instance: Instance) -> Iterator[tuple[Path, ...]]:
    """Their files, the topmost first; nobody removes them meanwhile. Of an image that is there no more in its
    own form another form of the same tree. NotFound."""
    stack = instance.stack
    with context.masters.kept(stack.master.removeprefix("sha256:")) as master:
        images = (master.image(digest) for digest in stack.images)
        image = next((image for image in images if image is not None), master.images[0])
        yield (context.masters.folder(master) / image.file,)
