"""All pages, by subject."""

from fastapi import APIRouter, Depends

from skinnybox.web import (
    audit,
    backups,
    changes,
    console,
    deploy,
    doing,
    duplicates,
    fleet_files,
    forms,
    giving_back,
    jobs,
    jobs_strip,
    layers,
    machine,
    machines,
    masters,
    overview,
    promotions,
    rebase,
    settings,
    sign_in,
    snapshots,
    static_files,
    theme,
    tokens,
)

SUBJECTS = (
    static_files, theme, sign_in, jobs_strip, overview, doing, machines, machine, changes, giving_back,
    settings, duplicates, promotions, backups, snapshots, console, rebase, deploy, fleet_files, masters,
    layers, jobs, audit, tokens,
)  # fmt: skip
router = APIRouter(include_in_schema=False)
for subject in SUBJECTS:
    router.include_router(subject.router, dependencies=[Depends(forms.posted)])
router.include_router(backups.sending, dependencies=[Depends(forms.sent)])
router.include_router(console.sockets)
