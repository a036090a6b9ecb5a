"""All pages, by subject."""

from fastapi import APIRouter, Depends

from skinnybox.web import (
    changes,
    console,
    doing,
    forms,
    jobs_strip,
    machine,
    machines,
    overview,
    settings,
    sign_in,
    snapshots,
    static_files,
    theme,
)

SUBJECTS = (
    static_files, theme, sign_in, jobs_strip, overview, doing, machines, machine, changes, settings,
    snapshots, console,
)  # fmt: skip
router = APIRouter(include_in_schema=False)
for subject in SUBJECTS:
    router.include_router(subject.router, dependencies=[Depends(forms.posted)])
router.include_router(console.sockets)
