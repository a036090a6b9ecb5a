"""An emulated pool of XenServer or XCP-ng hosts (xapi), for tests: see README.md beside this file."""

from tests.emulators.xapi.context import Xapi
from tests.emulators.xapi.pool import PASSWORD, EmulatedPool

__all__ = ["PASSWORD", "EmulatedPool", "Xapi"]
