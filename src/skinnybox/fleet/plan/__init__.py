"""What a fleet file would change, as a pure plan, and doing it."""
