"""What one test may take, and how a run that goes wrong tells it.

A run that is cut off prints no report. So what fails is told when it fails; no test may take all of the time
(pyproject.toml: timeout) or of the memory; and a run that is ended says what was being tried. Registered by
tests/conftest.py, for all tests.
"""

import resource
import time

import pytest

MEMORY = 8 << 30
"""Bytes of its own that a process of the tests, or one that it starts, may have."""


def bound_memory() -> None:
    """For this process and its children. One test without measure took all that a host had, and the kernel,
    which ended it, names no test."""
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    bound = MEMORY if most == resource.RLIM_INFINITY else min(MEMORY, most)
    resource.setrlimit(resource.RLIMIT_DATA, (bound, most))


class Telling:
    """On the side that talks to the terminal: failures at once, and at the end what never ended."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._begun: dict[str, float] = {}

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._begun[nodeid] = time.monotonic()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._begun.pop(nodeid, None)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if report.failed and terminal is not None:
            terminal.write_line("")
            terminal.section(f"{report.nodeid} ({report.when})", "-", red=True)
            terminal.write_line(report.longreprtext)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for nodeid, begun in self._begun.items():
            seconds = time.monotonic() - begun
            terminalreporter.line(f"did not end, begun {seconds:.0f} s before: {nodeid}", red=True)


def pytest_configure(config: pytest.Config) -> None:
    """One process alone shows what failed soon enough."""
    bound_memory()
    if config.getoption("dist", "no") != "no" and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Telling(config), "telling")
