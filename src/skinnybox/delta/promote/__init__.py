"""A machine's stack and its own, merged into a tree that is sealed as a master."""
