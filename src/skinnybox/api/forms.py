"""Forms that several subjects of the API share: pages of lists, jobs that were begun, names and sizes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Path, Query, Request, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from skinnybox.gate import limits
from skinnybox.printable import printable

T = TypeVar("T")
_LABEL = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
_SNAPSHOT = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
_REFERENCE = r"^(sha256:)?[a-z0-9][a-z0-9._-]{0,63}(:[A-Za-z0-9][A-Za-z0-9._-]{0,63})?$"
MOST_OFFSET = 10_000_000

MachineName = Annotated[str, Path(pattern=_LABEL, description="The machine's name, in full.")]
Reference = Annotated[str, Field(pattern=_REFERENCE, max_length=140)]
MasterReference = Annotated[str, Path(pattern=_REFERENCE, max_length=140)]
"""NAME, NAME:VERSION or an id."""
SnapshotLabel = Annotated[str, Field(pattern=_SNAPSHOT)]
FleetName = Annotated[str, Field(pattern=_LABEL)]
Pattern = Annotated[str, Field(min_length=1, max_length=1000)]
"""A name, `web-{01..40}`, or a glob such as `web-*`."""
Patterns = Annotated[list[Pattern], Field(min_length=1, max_length=1000)]
Globs = Annotated[list[Annotated[str, Field(max_length=200)]], Query(max_length=100, default_factory=list)]
Filters = Annotated[list[Annotated[str, Field(max_length=300)]], Field(max_length=20)]
"""As `--filter` has them: KEY=VALUE, KEY!=VALUE, KEY, !KEY."""
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Parallel = Annotated[int, Field(ge=1, le=1000)]


class Given(BaseModel):
    """What is sent: no key is passed over in silence."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Told(BaseModel):
    """What is answered: keys are only ever added."""

    model_config = ConfigDict(use_attribute_docstrings=True, json_schema_serialization_defaults_required=True)


class Page(Told, Generic[T]):
    """A part of a list. The header Link leads to the next and the one before (RFC 8288)."""

    items: list[T]
    total: int
    """Of the whole list, as it is filtered."""


class Begun(Told):
    """A job goes on; the header Location says where it is told how far it is."""

    job: int
    verb: str
    subjects: list[str]


class Problem(Told):
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    hint: str | None
    errors: list[dict[str, Any]] | None = None
    """Where there are several: `where` each is, and `what`."""


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of a list is asked for."""

    request: Request
    response: Response
    limit: Annotated[int, Query(ge=1, le=limits.MOST_PAGE)] = limits.PAGE
    offset: Annotated[int, Query(ge=0, le=MOST_OFFSET)] = 0

    def page(self, found: Sequence[T], form: Callable[[T], Any]) -> dict[str, Any]:
        """The rows in it, in their form, and where the others are."""
        rows = [form(row) for row in found[self.offset : self.offset + self.limit]]
        return self.part(rows, len(found))

    def part(self, rows: Sequence[Any], total: int) -> dict[str, Any]:
        """The same of rows that are this part already."""
        end = self.offset + self.limit
        links = {}
        if end < total:
            links["next"] = end
        if self.offset:
            links["prev"] = max(0, self.offset - self.limit)
        if links:
            told = (f'<{self._at(offset)}>; rel="{name}"' for name, offset in links.items())
            self.response.headers["link"] = ", ".join(told)
        return {"items": list(rows), "total": total}

    def _at(self, offset: int) -> str:
        """Without the name of the server, which is whatever it was asked by."""
        url = self.request.url.include_query_params(limit=self.limit, offset=offset)
        return f"{url.path}?{url.query}"


Paged = Annotated[Window, Depends()]


def _no_halves(value: Any) -> Any:
    """Half of a pair of UTF-16 is a text for JSON, and for nothing that a text is written to."""
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ValueError("half of a pair of UTF-16") from error
    return value


Text = Annotated[str, BeforeValidator(_no_halves), Field(max_length=1 << 20)]


def begun(response: Response, job: int, verb: str, subjects: Sequence[str]) -> Begun:
    response.headers["location"] = f"/api/v1/jobs/{job}"
    return Begun(job=job, verb=verb, subjects=[printable(subject) for subject in subjects])
