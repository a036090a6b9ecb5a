"""A tree that upstart starts: Ubuntu before 15.04."""

from pathlib import Path

from skinnybox.masters import inside
from skinnybox.masters.fitting import rc
from skinnybox.masters.fitting.own import source

_JOB = "etc/init/skinnybox.conf"


def is_there(tree: Path, init: str) -> bool:
    folders = ("sbin", "usr/sbin")
    return init == "upstart" or (
        init == "init"
        and inside.is_folder(tree, "etc/init")
        and any(inside.exists(tree, f"{folder}/initctl") for folder in folders)
    )


def fit(tree: Path) -> None:
    """It powers off by the scripts of sysvinit."""
    inside.put(tree, _JOB, source("upstart.conf"))
    rc.fit(tree)


def remove(tree: Path) -> None:
    """What it shares with sysvinit is that one's to remove."""
    inside.remove(tree, _JOB)
