"""A machine's delta as a file of its own: written, and made a machine's again."""
