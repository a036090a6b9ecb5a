"""The little language of ssh's options (ssh_config(5)): the one place that writes paths in it, and that says
which of its options somebody else may give.

An option that takes files takes several, so words end at blanks and `#` begins a comment; `"` and `'` quote,
with a backslash before what is meant itself. In each word `%` begins a token (`%h` is the host, `%%` itself),
and `${NAME}` is a variable of the environment, which nothing can quote. A relative path counts from ssh's
folder and `~` is somebody's home, so paths are made absolute.
"""

import re
from pathlib import Path

from skinnybox.errors import UsageError

_THEIRS = (
    "AddressFamily", "BindAddress", "BindInterface", "Ciphers", "ClearAllForwardings", "Compression",
    "ConnectTimeout", "ConnectionAttempts", "DynamicForward", "EnableEscapeCommandline", "EscapeChar",
    "ExitOnForwardFailure", "ForkAfterAuthentication", "GatewayPorts", "HostKeyAlgorithms", "IPQoS",
    "KexAlgorithms", "LocalForward", "LogLevel", "MACs", "NumberOfPasswordPrompts",
    "PasswordAuthentication", "PermitRemoteOpen", "PreferredAuthentications", "PubkeyAcceptedAlgorithms",
    "PubkeyAuthentication", "RekeyLimit", "RemoteForward", "RequestTTY", "ServerAliveCountMax",
    "ServerAliveInterval", "SessionType", "SetEnv", "StdinNull", "StreamLocalBindMask",
    "StreamLocalBindUnlink", "TCPKeepAlive",
)  # fmt: skip
"""Of the words of ssh_config(5) those that say nothing of whom we talk to, how we know that it is that one,
or what else is read or run for it. Whatever comes new into ssh is not among them until it was looked at."""
_KNOWN = {word.lower(): word for word in _THEIRS}
_OPTION = r"([A-Za-z0-9]{1,60})(?: *= *| +)([^\x00-\x1f\x7f]{1,4000})"
_PLAIN = "[A-Za-z0-9_@+=:,./-]+"


def quoted(path: Path) -> str:
    """The path as one word of an option whose value ssh expands: IdentityFile, UserKnownHostsFile. UsageError
    when ssh has no way to write it."""
    text = str(path.absolute())
    if "${" in text:
        raise UsageError(
            f"{text}: ssh takes '${{' in the path of a file for a variable",
            hint="use a folder of another name",
        )
    if re.fullmatch(_PLAIN, text):
        return text
    within = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{within}"'


def option(text: str) -> list[str]:
    """`KEY=VALUE` or `KEY VALUE` of ssh_config(5), as words of ssh's. UsageError for what is none, or not
    somebody else's to say."""
    found = re.fullmatch(_OPTION, text)
    if not found:
        raise UsageError(f"{text!r:.60} is not OPTION=VALUE of ssh", hint="-o ServerAliveInterval=30")
    if found[1].lower() not in _KNOWN:
        raise UsageError(
            f"-o {found[1]}: which machine ssh talks to, and how it is known again, stays as it is",
            hint=f"these may be given: {', '.join(_THEIRS)}",
        )
    return ["-o", f"{_KNOWN[found[1].lower()]}={found[2]}"]


def forwarding(letter: str, text: str) -> list[str]:
    """The value of one of -L, -R and -D. ssh itself says what is wrong with it."""
    if not text or not text.isprintable():
        raise UsageError(
            f"-{letter} {text!r:.60} is nothing that ssh can forward", hint="-L 8080:localhost:80"
        )
    return [f"-{letter}", text]
