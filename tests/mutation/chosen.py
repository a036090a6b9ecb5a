"""A pytest plugin: only the tests listed in a file, in its order. Their names may hold anything.

MUTATION_TESTS=FILE python -m pytest -p tests.mutation.chosen FILES...
"""

import os
from pathlib import Path

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    wanted = Path(os.environ["MUTATION_TESTS"]).read_text().split("\0")
    places = {test: number for number, test in enumerate(wanted)}
    items[:] = sorted((item for item in items if item.nodeid in places), key=lambda item: places[item.nodeid])
