"""Public ssh host keys as guests report them: checked, since a guest may say anything."""

import base64
import re

_TYPE = r"[a-z0-9@.-]{3,64}"


def checked(text: str) -> str:
    """`TYPE BASE64`, where the type is also the first string inside the key (RFC 4253, 6.6). ValueError."""
    kind, encoded = text.split(" ")
    blob = base64.b64decode(encoded, validate=True)
    inner = len(kind).to_bytes(4, "big") + kind.encode()
    if not re.fullmatch(_TYPE, kind) or not blob.startswith(inner) or len(blob) <= len(inner):
        raise ValueError(f"an ssh host key is not one: {text[:60]!r}")
    return text
