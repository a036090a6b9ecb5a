"""Packages of a release, fetched by this computer's own apt for machines that have no way out.

What to trust says the master: its sources and its keys, as they lie in its image. What a machine asks for are
names and nothing else.
"""
