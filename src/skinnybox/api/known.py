"""No word of a query is passed over in silence: a filter that is misspelt, or the first of two, would be one
that lets all through."""

from typing import Any, get_origin

from fastapi import Depends, Request

from skinnybox.errors import UsageError
from skinnybox.fleet.names import near
from skinnybox.printable import quoted


def _words(dependant: Any) -> dict[str, bool]:
    """Of a route, and of all that it depends on; whether each may be said more than once."""
    found = {
        str(each.alias): get_origin(each.field_info.annotation) in (list, tuple)
        for each in dependant.query_params
    }
    for inner in dependant.dependencies:
        found |= _words(inner)
    return found


def _check(request: Request) -> None:
    known = _words(request.scope["route"].dependant)
    for word in request.query_params:
        if word not in known:
            said = f"there are {', '.join(sorted(known))}" if known else "there is none here"
            raise UsageError(f"{quoted(word)} is no word of this query", hint=near(word[:100], known, said))
        if not known[word] and len(request.query_params.getlist(word)) > 1:
            raise UsageError(f"{word} is said once")


KNOWN_ONLY = Depends(_check)
