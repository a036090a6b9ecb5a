"""All pages, by subject."""

from fastapi import APIRouter

router = APIRouter(include_in_schema=False)
