"""Where our own files lie in a tree, and where they come from."""

from skinnybox.masters.guest_part import guest_folder

HOME = "usr/lib/skinnybox"
_SOURCES = {"settle": "systemd/shutdown"}
"""systemd's word for it is a program in a folder of its own; it does the same under any init."""


def source(name: str) -> bytes:
    """What is put into trees whose init is not systemd."""
    return (guest_folder() / _SOURCES.get(name, f"inits/{name}")).read_bytes()
