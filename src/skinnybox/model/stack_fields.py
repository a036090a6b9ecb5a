"""The rows of fields.py for what a machine boots from, and for a rebase that is not decided."""

from functools import partial

from skinnybox.model import kinds
from skinnybox.model.forms import Field, Form, Transition
from skinnybox.model.stack import Stack
from skinnybox.model.trial import Trial

_stack = partial(Field, of=Stack, change=Transition.RECREATE)
STACK = Form(
    Stack,
    (
        _stack(name="master", kind=kinds.TEXT, shown="master_id", what="The id of its master."),
        _stack(
            name="reference",
            kind=kinds.TEXT,
            key="master",
            told="master",
            shown="master",
            what="What its master was called when it was made.",
            said="NAME, NAME:VERSION or an id. Without a version new machines get the newest, and existing"
            " ones stay on the version they have. Must be said in the group or in `defaults`.",
        ),
        _stack(name="images", kind=kinds.TEXTS, what="Digests of the images, the master's first."),
        _stack(
            name="dax",
            kind=kinds.FLAG,
            later=True,
            given="dax",
            key="dax",
            told="dax",
            what="It maps the master from the host's memory.",
            said="Map the master from the host's memory (as the master was sealed).",
        ),
        _stack(
            name="layers",
            kind=kinds.TEXTS,
            later=True,
            given="layers",
            key="layers",
            told="layers",
            shown="layers",
            what="What its layers were called when it was made, the lowest first.",
            said="Layers between the master and each overlay, NAME or NAME:VERSION, the lowest first (none)."
            " Without a version new machines get the newest, and existing ones keep theirs.",
        ),
        _stack(
            name="layer_ids", kind=kinds.TEXTS, later=True, shown="layer_ids", what="The ids of its layers."
        ),
    ),
)

_trial = partial(Field, of=Trial, change=Transition.ITSELF)
TRIAL = Form(
    Trial,
    (
        _trial(name="before", kind=STACK.kind("stack"), what="What it booted from until then."),
        _trial(name="kept", kind=kinds.TEXT, what="The label of the snapshot of its overlay of then."),
        _trial(name="since", kind=kinds.TIME, what="When it was rebased, UTC."),
        _trial(
            name="phase",
            kind=kinds.TRIAL_PHASE,
            what="Built: its next start is the trial; running: that was made; passed: it was ready in time.",
        ),
        _trial(
            name="patience",
            kind=kinds.NUMBER,
            what="In how many seconds from its start on it has to be ready.",
        ),
        _trial(name="started", kind=kinds.TIME, optional=True, what="When the trial began, UTC."),
        _trial(
            name="identifier",
            kind=kinds.TEXT,
            what="Hex digits: what the guest calls the tasks of this rebase by.",
        ),
        _trial(
            name="keep_until",
            kind=kinds.TIME,
            optional=True,
            what="From when on the way back may be given up; null: only when it is committed.",
        ),
        _trial(
            name="aside",
            kind=kinds.TEXT,
            optional=True,
            what="It is being put back: the label of the snapshot of what it wrote meanwhile.",
        ),
        _trial(
            name="check",
            kind=kinds.TEXT,
            optional=True,
            later=True,
            what="The check that it was told by the rebase; null: none, or the one that it had.",
        ),
    ),
)
