"""Parts of a machine's own that go: paths given back to the master, and copies that say nothing."""
