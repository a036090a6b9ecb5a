"""Making masters: from packages and from what lies on the server. For admins alone: recipes run as root in
what is built, and name files of the server, as an import does."""

from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field

from skinnybox.api.forms import Begun, Given, MasterReference, Reference, Text, begun
from skinnybox.errors import UsageError
from skinnybox.fleet.editing import specification_of
from skinnybox.gate import limits
from skinnybox.gate.principal import WholeAdmin
from skinnybox.gate.served import fleet_of
from skinnybox.model import ImageFormat, ranges

router = APIRouter(tags=["masters"], max_body_size=limits.DOCUMENT_BODY)

ServerPath = Annotated[str, Field(pattern=r"^/[^\x00]*$", max_length=4000)]
"""An absolute path of the server."""


class Sealing(Given):
    """How a master is sealed, whatever it is made of."""

    reference: Reference
    """NAME or NAME:VERSION; the version is today's date otherwise."""
    dax: bool = False
    image_format: ImageFormat = ImageFormat.AUTO
    after: Reference | None = None
    """Keep the numbers of users and groups of this one, instead of the newest of the same name."""
    unrelated: bool = False
    """Keep no other master's numbers."""


class Build(Sealing):
    recipe: Text | None = None
    """YAML, as of a recipe's file; relative paths count from `/`. null: the server's own distribution."""
    suite: Annotated[str, Field(max_length=64)] | None = None
    packages: Annotated[
        list[Annotated[str, Field(max_length=200)]], Field(max_length=1000, default_factory=list)
    ]


class Import(Sealing):
    source: ServerPath
    """A folder, an archive or a disk image."""
    as_is: bool = False
    kernel: ServerPath | None = None
    initrd: ServerPath | None = None
    format: Literal["qcow2", "raw", "vdi", "vhd", "vhdx", "vmdk"] | None = None
    partition: Annotated[int, Field(ge=0, le=128)] | None = None
    leave_out: Annotated[
        list[Annotated[str, Field(max_length=4000)]], Field(max_length=100, default_factory=list)
    ]


class Edit(Given):
    new: Reference
    """What it becomes: NAME or NAME:VERSION; the version is today's date otherwise."""
    script: Annotated[Text, Field(min_length=1)]
    """Run as root in a machine that is made of the master; a shell's, unless it begins with `#!`."""
    overlay: Annotated[int, Field(ge=ranges.OVERLAY.least, le=ranges.OVERLAY.most)] | None = None
    """Bytes that may be written there; null: 4 GiB."""
    memory: Annotated[int, Field(ge=ranges.MEMORY.least, le=ranges.MEMORY.most)] | None = None
    """null: 1 GiB."""
    keep: bool = False
    """The machine stays, whatever becomes of it."""


def _lineage(body: Sealing) -> None:
    if body.after is not None and body.unrelated:
        raise UsageError("a master is unrelated to others or follows one: `after` or `unrelated`")


@router.post("/builds", status_code=202, response_model=Begun)
def build_master(request: Request, response: Response, who: WholeAdmin, body: Build) -> Any:
    """Build one from packages. The job's log tells how far it is."""
    _lineage(body)
    masters = fleet_of(request).masters
    job = fleet_of(request).background.begin(
        who.actor, "master build", [body.reference],
        lambda op: masters.build(
            body.reference, None, text=body.recipe, suite=body.suite, packages=tuple(body.packages),
            dax=body.dax, image_format=body.image_format, after=body.after, unrelated=body.unrelated,
            operation=op,
        ),
    )  # fmt: skip
    return begun(response, job, "master build", [body.reference])


@router.post("/imports", status_code=202, response_model=Begun)
def import_master(request: Request, response: Response, who: WholeAdmin, body: Import) -> Any:
    """Seal what lies on the server: a folder, an archive, a disk image."""
    _lineage(body)
    masters = fleet_of(request).masters
    kernel, initrd = (path and Path(path) for path in (body.kernel, body.initrd))
    job = fleet_of(request).background.begin(
        who.actor, "master import", [body.reference],
        lambda op: masters.import_tree(
            Path(body.source), body.reference, as_is=body.as_is, kernel=kernel or None,
            initrd=initrd or None, dax=body.dax, image_format=body.image_format, format=body.format,
            partition=body.partition, leave_out=tuple(body.leave_out), after=body.after,
            unrelated=body.unrelated, operation=op,
        ),
    )  # fmt: skip
    return begun(response, job, "master import", [body.reference])


@router.post("/masters/{reference}/edits", status_code=202, response_model=Begun)
def edit_master(
    request: Request, response: Response, who: WholeAdmin, reference: MasterReference, body: Edit
) -> Any:
    """Run a script in a machine that is made of a master, and seal that as another. One that fails seals
    nothing."""
    fleet = fleet_of(request)
    specification = specification_of(body.overlay, body.memory)
    job = fleet.background.begin(
        who.actor, "master edit", [body.new],
        lambda op: fleet.master_edits.run(
            reference, body.new, body.script, specification, op, keep=body.keep
        ),
    )  # fmt: skip
    return begun(response, job, "master edit", [body.new])
