"""The rows of fields.py for a machine's disks."""

from functools import partial

from skinnybox.model import kinds
from skinnybox.model.forms import Field, Form, Transition
from skinnybox.model.machines import DataDisk, Overlay

_overlay = partial(Field, of=Overlay)
OVERLAY = Form(
    Overlay,
    (
        _overlay(
            name="size",
            kind=kinds.SIZE,
            change=Transition.GROW,
            key="overlay",
            told="overlay",
            shown="overlay",
            what="Size of the overlay disk.",
            said="Size of each overlay disk (1G). May grow later, never shrink.",
        ),
        _overlay(
            name="allocation",
            kind=kinds.ALLOCATION,
            change=Transition.RECREATE,
            key="sparse",
            told="allocation",
            shown="allocation",
            what="Whether its space is reserved or only promised.",
            said="Promise the overlay's space without reserving it (false; on a pool as its storage does).",
        ),
    ),
)

_data = partial(Field, of=DataDisk)
DATA = Form(
    DataDisk,
    (
        _data(
            name="size",
            kind=kinds.SIZE,
            change=Transition.GROW,
            key="data",
            told="data",
            shown="data",
            what="Size of the data disk.",
            said="Size of a second disk that no reset and no restored system touches (none), or"
            " {size: SIZE, folders: [/var/lib/mysql, ...]} with the folders that lie on it (/data). May be"
            " added and grow later, and get more folders; never fewer.",
        ),
        _data(
            name="folders",
            kind=kinds.TEXTS,
            change=Transition.SEED,
            told="data-folders",
            shown="data_folders",
            word="data",
            protocol=3,
            what="The guest's folders that lie on it.",
        ),
        _data(
            name="allocation",
            kind=kinds.ALLOCATION,
            change=Transition.RECREATE,
            shown="data_allocation",
            what="Whether its space is reserved or only promised.",
        ),
    ),
)
