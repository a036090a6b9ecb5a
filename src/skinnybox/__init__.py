"""Thin provisioning of virtual machines: one sealed master, one small overlay each."""

__version__ = "0.1.0"
