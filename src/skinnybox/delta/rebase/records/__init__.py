"""What becomes of records when a machine gets a new master: dpkg's database, accounts, alternatives, answers
to debconf. Each is merged by what stands in it; pure functions of what the three sides say.

All of the machine's is a guest's: read within bounds, and Corrupt, with the path, for what cannot be read.
"""

from skinnybox.delta.rebase.records.every import made
from skinnybox.delta.rebase.records.sides import Made, Sides

__all__ = ["Made", "Sides", "made"]
