"""A pytest plugin: which lines of the source each test executes, and how long it takes.

    MUTATION_MAP=FILE python -m pytest -p tests.mutation.mapping ...

Only what runs in this process is seen: not the confined readers, nor commands that tests start.
"""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import coverage
import pytest

SOURCE = Path("src/skinnybox").absolute()


class Mapping:
    def __init__(self, target: Path) -> None:
        self._target = target
        self._seconds: dict[str, float] = {}
        self._failed: set[str] = set()
        self._coverage = coverage.Coverage(data_file=None, source=[str(SOURCE)], config_file=False)
        self._coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._coverage.switch_context(item.nodeid)
        begun = time.monotonic()
        try:
            return (yield)
        finally:
            self._seconds[item.nodeid] = round(time.monotonic() - begun, 3)
            self._coverage.switch_context("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed or report.skipped:
            self._failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        self._coverage.stop()
        data = self._coverage.get_data()
        good = {test: taken for test, taken in self._seconds.items() if test not in self._failed}
        numbers = {test: number for number, test in enumerate(good)}
        lines = {
            str(Path(file).relative_to(SOURCE.parents[1])): {
                line: sorted({numbers[test] for test in contexts if test in numbers})
                for line, contexts in data.contexts_by_lineno(file).items()
            }
            for file in sorted(data.measured_files())
        }
        self._target.write_text(json.dumps({"seconds": good, "lines": lines}))


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Mapping(Path(os.environ["MUTATION_MAP"])), "mutation-map")
