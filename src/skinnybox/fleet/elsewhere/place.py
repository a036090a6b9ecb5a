"""A state folder of another computer, as `ssh://[USER@]HOST[:PORT]/FOLDER` names it.

Nothing of it is a word of a shell that was not quoted, nor an option of ssh's. The folder is taken as it is
written: `%20` is no blank.
"""

import re
import shlex
from dataclasses import dataclass

from skinnybox.errors import UsageError

SCHEME = "ssh://"
_FORM = re.compile(
    r"ssh://(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9_.@+-]*)@)?"
    r"(?P<host>[A-Za-z0-9_][A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<folder>/.*)?",
    re.DOTALL,
)
_HINT = "ssh://[USER@]HOST[:PORT]/FOLDER; ssh://HOST/~/FOLDER counts from the home there"
_QUICK = (
    *("-T", "-x", "-a", "-S", "none"),  # neither a terminal nor its agent, and no connection of others
    *("-o", "BatchMode=yes"),
    *("-o", "ConnectTimeout=30"),
    *("-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4"),
    *("-o", "ClearAllForwardings=yes", "-o", "PermitLocalCommand=no", "-o", "RemoteCommand=none"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """`computer` as ssh takes it, with the user if one was named. `folder` None: the one that Skinnybox takes
    there by itself; it never begins with `-`. `host`: where machines of that folder run, None as it says."""

    computer: str
    port: int | None = None
    folder: str | None = None
    host: str | None = None

    @property
    def where(self) -> str:
        """As people read it."""
        folder = "" if self.folder is None else self.folder
        port = "" if self.port is None else f":{self.port}"
        user, at, host = self.computer.rpartition("@")
        computer = f"{user}{at}[{host}]" if ":" in host else self.computer
        return f"{SCHEME}{computer}{port}{'/~' + folder[1:] if folder.startswith('.') else folder}"

    @property
    def argv(self) -> list[str]:
        """The words of ssh's up to, and without, the command. Its user's configuration is what it is: which
        key, which way, and how its host key is known. Nobody is asked for a password."""
        port = [] if self.port is None else ["-p", str(self.port)]
        return ["ssh", *_QUICK, *port, "--", self.computer]

    @property
    def command(self) -> str:
        """What the shell there is to read."""
        words = ["skinnybox", "--quiet"]
        if self.folder is not None:
            words += ["--state", self.folder]
        if self.host is not None:
            words.append(f"--host={self.host}")
        return shlex.join([*words, "receive"])


def place_of(text: str, host: str | None = None) -> Place:
    """UsageError for what is none."""
    found = _FORM.fullmatch(text)
    port = int(found["port"]) if found and found["port"] else None
    if not found or (port is not None and not 0 < port < 1 << 16):
        raise UsageError(f"{text!r:.200} names no folder of another computer", hint=_HINT)
    computer = found["host"].strip("[]")
    user = f"{found['user']}@" if found["user"] else ""
    return Place(computer=f"{user}{computer}", port=port, folder=_folder(found["folder"] or ""), host=host)


def _folder(text: str) -> str | None:
    if not text.strip("/"):
        return None
    if not text.startswith("/~"):
        return text
    if text.startswith("/~/") and text[3:].strip("/"):
        return f"./{text[3:].lstrip('/')}"
    raise UsageError(f"{text!r:.200} names no folder in the home of who logs in there", hint=_HINT)
