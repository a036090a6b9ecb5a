"""A new master under machines: what it would mean for each, who wins where both changed something, and doing
it. One form goes through all of it, so that it works without scripts."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from skinnybox.errors import SkinnyboxError, UsageError
from skinnybox.fleet import present_rebase
from skinnybox.fleet.batch import Outcome
from skinnybox.fleet.present import Record
from skinnybox.gate import limits, reach, rebasing
from skinnybox.gate.principal import Operator, Principal
from skinnybox.gate.served import fleet_of
from skinnybox.web import render
from skinnybox.web.doing import chosen
from skinnybox.web.forms import Posted, text
from skinnybox.web.rebase_form import CHOICES, Asked, asked

router = APIRouter(max_body_size=limits.DOCUMENT_BODY)
PAGE = "rebase.html"
SHOWN, DISPUTED = 500, 300
"""Decisions of one machine, and paths to choose for, that a page shows. A form has a thousand fields."""
_COLUMNS = (
    "name",
    "master",
    "onto",
    "verdict",
    "conflicts",
    "blocked",
    "packages",
    "accounts",
    "files",
    "services",
)
_DECISIONS = ("standing", "what", "name", "class", "fate", "detail", "owner")


@router.get("/rebase")
def ask(request: Request, who: Operator) -> Response:
    """Of the machines in the address."""
    names = reach.names(fleet_of(request), who, request.query_params.getlist("names"))
    return _page(request, asked(request.query_params, names))


@router.post("/rebase")
def go_on(request: Request, who: Operator, form: Posted) -> Response:
    """The machines are chosen; with `do` it is planned, told as a file, or done."""
    said, what = asked(form, chosen(request, who, form)), text(form, "do")
    try:
        if what in ("plan", "csv", "json"):
            plans = _planned(request, who, said)
            return _page(request, said, plans) if what == "plan" else _file(what, plans)
        if what == "rebase":
            return _begun(request, who, said)
    except SkinnyboxError as error:
        return _page(request, said, wrong=error)
    return _page(request, said)


def _planned(request: Request, who: Principal, said: Asked) -> list[Record]:
    """One by one of each; of one machine alone with all that is decided."""
    fleet, wishes = fleet_of(request), said.wishes
    if len(said.names) == 1:
        summary, decisions = rebasing.plan(fleet, who, said.names[0], _onto(said), wishes, said.check or None)
        return [{**present_rebase.summary(summary, decisions), "refusal": None}]
    found = rebasing.plans(fleet, who, said.names, _onto(said), wishes, said.check or None)
    return [_record(outcome, said.onto) for outcome in found]


def _onto(said: Asked) -> str:
    if not said.onto:
        raise UsageError("no master is chosen", hint="choose the one that they are to boot from")
    return said.onto


def _record(outcome: Outcome[Any], onto: str) -> Record:
    if outcome.value is not None:
        return {**present_rebase.summary(outcome.value), "refusal": None}
    nothing: Record = {key: {} for key in ("packages", "accounts", "files", "services")}
    return {
        "name": outcome.name, "master": None, "onto": onto, "verdict": "refused", "conflicts": 0,
        "blocked": 0, **nothing, "renumbered": 0, "told": [], "decisions": None,
        "refusal": outcome.error.message if outcome.error else None,
    }  # fmt: skip


def _begun(request: Request, who: Principal, said: Asked) -> Response:
    fleet, onto, wishes, how = fleet_of(request), _onto(said), said.wishes, said.rollout
    wishes.policy()
    fleet.masters.find(onto)
    number, _ = reach.begin(
        fleet, who, "rebase", said.names,
        lambda names, operation: rebasing.done(fleet, names, onto, wishes, how, operation),
    )  # fmt: skip
    return render.moved(request, f"/jobs/{number}")


def _page(
    request: Request,
    said: Asked,
    plans: Sequence[Record] | None = None,
    *,
    wrong: SkinnyboxError | None = None,
) -> Response:
    masters = sorted(fleet_of(request).masters.all(), key=lambda each: each.created, reverse=True)
    disputed = [] if plans is None else list(_disputed(plans, said))
    return render.page(
        request, PAGE, status=wrong.http_status if wrong else 200, asked=said, plans=plans, wrong=wrong,
        masters=[each.reference for each in masters], choices=CHOICES, disputed=disputed[:DISPUTED],
        more=max(0, len(disputed) - DISPUTED), decisions=SHOWN, one=_one(plans), told=_told,
        verdicts=_counted(plans or ()), path="/machines",
    )  # fmt: skip


def _one(plans: Sequence[Record] | None) -> Record | None:
    return plans[0] if plans and len(plans) == 1 and plans[0]["decisions"] is not None else None


def _counted(plans: Sequence[Record]) -> dict[str, int]:
    return {
        key: sum(plan["verdict"] == key for plan in plans)
        for key in ("clean", "there", "conflicts", "blocked", "refused")
    }


def _disputed(plans: Sequence[Record], said: Asked) -> Iterator[Record]:
    """Paths in dispute, each once, with the machines they are so of; and those that were chosen for."""
    found: dict[str, Record] = {}
    for plan in plans:
        for each in plan["decisions"] or plan["told"]:
            if each["what"] == "file" and each["standing"] != "clean":
                row = found.setdefault(each["name"], {**each, "machines": []})
                row["machines"].append(plan["name"])
    settled = (path for path in said.choices if path not in found)
    yield from found.values()
    yield from (
        {"name": path, "standing": "clean", "class": None, "detail": None, "machines": []} for path in settled
    )


def _told(numbers: dict[str, int]) -> str:
    return ", ".join(f"{count} {word}" for word, count in numbers.items()) or "–"


_MEDIA = {"csv": "text/csv; charset=utf-8", "json": "application/json"}


def _file(kind: str, plans: list[Record]) -> Response:
    content = json.dumps(plans, indent=1) + "\n" if kind == "json" else _as_csv(plans)
    headers = {**render.HEADERS, "content-disposition": f'attachment; filename="rebase-plan.{kind}"'}
    return Response(content.encode("utf-8", "replace"), media_type=_MEDIA[kind], headers=headers)


def _as_csv(plans: list[Record]) -> str:
    found, alone = io.StringIO(), _one(plans)
    rows, columns = (alone["decisions"], _DECISIONS) if alone else (plans, _COLUMNS)
    writer = csv.writer(found)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row[column]) for column in columns])
    return found.getvalue()


def _cell(value: object) -> str:
    """What a spreadsheet would take for a formula is told as a text: guests name files."""
    text = _told(value) if isinstance(value, dict) else "" if value is None else str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
