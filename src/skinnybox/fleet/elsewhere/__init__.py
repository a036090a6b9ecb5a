"""Machines moved to another computer by ssh: who sends them, and who receives them there."""
