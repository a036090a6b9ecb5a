"""All routes of the API, by subject."""

from fastapi import APIRouter

from skinnybox.api import about

router = APIRouter(prefix="/api/v1")
for subject in (about,):
    router.include_router(subject.router)
