"""The OpenAPI document is one, and the server does what it says: requests made of it, good ones and bad ones,
never find a bug of ours."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, assume, given, settings
from openapi_spec_validator import validate
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks

from skinnybox.api.document import openapi
from skinnybox.errors import Unsupported, UsageError
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.tokens import Role
from skinnybox.gate.rates import Failures
from skinnybox.gate.served import Served
from skinnybox.serve.app import create_app
from tests.api.routes import STREAMS
from tests.fleet.conftest import SPARSE, open_fake
from tests.samples import seal

ROOT = Path(__file__).parents[2]
CORE, FULL = 3, 100
"""Requests of each kind, made of each operation."""
_CONFIG = schemathesis.Config.from_dict(
    {
        "checks": {
            # What a schema cannot say is refused as a mistake, and not only what it says.
            "positive_data_acceptance": {
                "expected-statuses": ["2xx", "400", "403", "404", "409", "412", "413", "422", "501", "507"]
            },
            "negative_data_rejection": {
                "expected-statuses": ["400", "401", "403", "404", "405", "409", "413", "422"]
            },
        }
    }
)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("fuzzed")
    seal(folder / "state", folder, "tiny", "1")
    with open_fake(folder / "state") as opened:
        opened.create(["web-1"], "tiny", SPARSE)
        yield opened


@pytest.fixture(scope="module")
def app(fleet: Fleet) -> FastAPI:
    for part in ("background", "jobs", "tokens", "masters", "overlays", "files", "upkeep", "once"):
        getattr(fleet, part)
    return create_app(Served(fleet=fleet, failures=Failures(most=1_000_000)))


def test_the_document_is_one(app: FastAPI) -> None:
    validate(openapi(app))


def test_the_reference_is_what_the_routes_say() -> None:
    done = subprocess.run([sys.executable, ROOT / "script" / "api-reference", "--check"], check=False)
    assert done.returncode == 0


def test_every_operation_says_what_it_is_for_and_what_an_error_is(app: FastAPI) -> None:
    for path, methods in openapi(app)["paths"].items():
        for method, operation in methods.items():
            assert operation.get("description"), (method, path)
            assert list(operation["responses"]["default"]["content"]) == ["application/problem+json"]
            assert "422" not in operation["responses"], (method, path)


def _not_here(*_: object, **__: object) -> None:
    raise Unsupported("not in this test")


def _refused(*_: object, **__: object) -> None:
    raise UsageError("not in this test")


def _fuzzed(app: FastAPI, fleet: Fleet, role: Role, examples: int) -> None:
    # Of whatever lies here, and from whatever is reached from here.
    makers = (fleet.masters, "build"), (fleet.masters, "import_tree"), (fleet.layers, "build")
    more = (fleet.layers, "import_tree"), (fleet.master_edits, "run"), (fleet.deltas, "export")
    for owner, making in (*makers, *more):
        setattr(owner, making, _not_here)
    answered = "would_build"  # and not told by a job
    setattr(fleet.layers, answered, _refused)
    headers = {"authorization": f"Bearer {fleet.tokens.create(str(role), role)[1]}"}
    schema = schemathesis.openapi.from_dict(openapi(app), config=_CONFIG)
    schema.app = app
    count = 0
    every: list[Any] = list(schema.get_all_operations())
    for operation in (found.ok() for found in every if found.ok().path not in STREAMS):

        def ask(case: Any) -> None:
            nonlocal count
            count += 1
            # An empty list is not sent, and of an object its keys are: as texts, which are no wrong type.
            assume(not any(value == [] or isinstance(value, dict) for value in (case.query or {}).values()))
            response = case.call(headers=headers, base_url="http://localhost")
            case.validate_response(response, excluded_checks=[checks.ignored_auth])  # test_authorisation.py

        how = settings(
            max_examples=examples, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            try:
                how(given(case=operation.as_strategy(generation_mode=mode))(ask))()
            except schemathesis.errors.SchemathesisError as error:  # nothing can be said wrong of it
                assert "negative" in str(error).lower() or "Unsatisfiable" in type(error).__name__, error
    fleet.background.end()
    assert count > 2 * examples * len(openapi(app)["paths"]) // 2


def test_it_does_what_the_document_says(app: FastAPI, fleet: Fleet) -> None:
    _fuzzed(app, fleet, Role.ADMIN, CORE)


@pytest.mark.full
@pytest.mark.parametrize("role", list(Role))
def test_it_does_so_for_long_and_for_every_role(role: Role, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("fuzzed-long")
    seal(folder / "state", folder, "tiny", "1")
    with open_fake(folder / "state") as fleet:
        fleet.create(["web-1"], "tiny", SPARSE)
        for part in ("background", "jobs", "tokens", "masters", "overlays", "files", "upkeep", "once"):
            getattr(fleet, part)
        app = create_app(Served(fleet=fleet, failures=Failures(most=1_000_000)))
        _fuzzed(app, fleet, role, FULL)
