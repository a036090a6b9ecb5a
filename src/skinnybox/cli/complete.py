"""Shell completion: a static script, and the few names it has to ask for."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

_ASK = {
    "bash": """
_skinnybox_machines() { compgen -W "$(skinnybox __complete machines 2>/dev/null)" -- "$1"; }
_skinnybox_masters() { compgen -W "$(skinnybox __complete masters 2>/dev/null)" -- "$1"; }
_skinnybox_layers() { compgen -W "$(skinnybox __complete layers 2>/dev/null)" -- "$1"; }
_skinnybox_labels() { compgen -W "$(skinnybox __complete labels 2>/dev/null)" -- "$1"; }
_skinnybox_tokens() { compgen -W "$(skinnybox __complete tokens 2>/dev/null)" -- "$1"; }
""",
    "zsh": """
_skinnybox_machines() { compadd -- ${(f)"$(skinnybox __complete machines 2>/dev/null)"} }
_skinnybox_masters() { compadd -- ${(f)"$(skinnybox __complete masters 2>/dev/null)"} }
_skinnybox_layers() { compadd -- ${(f)"$(skinnybox __complete layers 2>/dev/null)"} }
_skinnybox_labels() { compadd -- ${(f)"$(skinnybox __complete labels 2>/dev/null)"} }
_skinnybox_tokens() { compadd -- ${(f)"$(skinnybox __complete tokens 2>/dev/null)"} }
""",
}
SHELLS = tuple(_ASK)


def script(parser: "argparse.ArgumentParser", shell: str) -> str:
    """The completion script of this shell, to be sourced or put where the shell looks for such."""
    import shtab

    for action in _actions(parser):
        if getattr(action.type, "__name__", "") == "path":
            action.complete = shtab.DIRECTORY if action.metavar == "FOLDER" else shtab.FILE  # type: ignore[attr-defined]
    return str(shtab.complete(parser, shell=shell, preamble=_ASK[shell]))


def _actions(parser: "argparse.ArgumentParser") -> "Iterator[argparse.Action]":
    """All there are, also of commands below."""
    import argparse

    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _actions(below)


def ask_for(action: "argparse.Action", what: str) -> None:
    """Let the shell complete this argument with `machines`, `masters`, `layers`, `tokens`, or `labels` of
    snapshots."""
    action.complete = dict.fromkeys(SHELLS, f"_skinnybox_{what}")  # type: ignore[attr-defined]


def candidates(words: Sequence[str]) -> list[str]:
    """Names to complete with. Quick rather than thorough, and silent: nobody wants an error at a Tab."""
    import os

    from skinnybox.errors import SkinnyboxError
    from skinnybox.fleet.catalog import completion
    from skinnybox.fleet.paths import state_folder

    try:
        state = state_folder(os.environ)
        asked = {
            "masters": completion.master_references,
            "layers": completion.layer_references,
            "labels": completion.snapshot_labels,
            "tokens": completion.token_ids,
        }
        return asked.get("".join(words), completion.machine_names)(state)
    except (SkinnyboxError, OSError):
        return []
