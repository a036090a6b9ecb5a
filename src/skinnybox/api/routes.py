"""All routes of the API, by subject. What says a word of its own in the place of a name stands before that
name's routes."""

from fastapi import APIRouter

from skinnybox.api import (
    about,
    actions,
    building,
    creating,
    duplicates,
    events,
    exports,
    fleet_files,
    giving_back,
    inside,
    jobs,
    layers,
    machines,
    masters,
    promotions,
    rebase,
    system,
    tokens,
)
from skinnybox.api.document import PROBLEMS
from skinnybox.api.known import KNOWN_ONLY

router = APIRouter(prefix="/api/v1", responses=PROBLEMS, dependencies=[KNOWN_ONLY])
for subject in (
    about, creating, machines, duplicates, promotions, exports, inside, giving_back, actions, rebase,
    building, masters, layers, fleet_files, jobs, events, tokens, system,
):  # fmt: skip
    router.include_router(subject.router)
