"""Layers: a tree looked through, fitted to its master, sealed, catalogued; and what a stack of them shows."""
