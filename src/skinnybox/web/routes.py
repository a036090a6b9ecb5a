"""All pages, by subject."""

from fastapi import APIRouter, Depends

from skinnybox.web import (
    changes,
    doing,
    forms,
    jobs_strip,
    machine,
    machines,
    overview,
    sign_in,
    static_files,
    theme,
)

router = APIRouter(include_in_schema=False, dependencies=[Depends(forms.posted)])
for subject in (static_files, theme, sign_in, jobs_strip, overview, doing, machines, machine, changes):
    router.include_router(subject.router)
