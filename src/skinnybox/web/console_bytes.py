"""What a guest prints, as far as a person's browser is to obey it.

A terminal takes orders in what it shows: colours and places, and also to change the window's title, to fill
the clipboard, to show one address and lead to another. Those come as strings (ECMA-48: OSC, DCS, APC, PM,
SOS), of which no serial console of a machine needs one, so all of them go, wherever one begins or ends.
"""

import re

from skinnybox.printable import printable

_ESCAPE, _BELL, _CANCEL, _SUBSTITUTE, _DELETE = 0x1B, 0x07, 0x18, 0x1A, 0x7F
_STRINGS = frozenset(b"]PX^_")
_C1_LEAD = 0xC2
_C1_STRINGS, _C1_END = frozenset((0x90, 0x98, 0x9D, 0x9E, 0x9F)), 0x9C
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]?|[ -/]*[0-~]?)")
_OVERWRITTEN = re.compile(r"[^\n]*\r(?!\n)(?=[^\n])")


class Tame:
    """Of one stream: what is begun in one piece may end in another."""

    def __init__(self) -> None:
        self._state = self._ground
        self._out = bytearray()

    def __call__(self, piece: bytes) -> bytes:
        for byte in piece:
            self._state(byte)
        out = bytes(self._out)
        self._out.clear()
        return out

    def _ground(self, byte: int) -> None:
        if byte == _ESCAPE:
            self._state = self._escape
        elif byte == _C1_LEAD:
            self._state = self._c1
        else:
            self._out.append(byte)

    def _escape(self, byte: int) -> None:
        """A terminal obeys a control in the middle of a sequence, and then goes on with it: those are left
        out, so that nothing hides behind one."""
        if byte in (_ESCAPE, _DELETE) or (byte < 0x20 and byte not in (_CANCEL, _SUBSTITUTE)):
            return
        if byte in _STRINGS:
            self._state = self._string
            return
        self._state = self._ground
        if byte in (_CANCEL, _SUBSTITUTE):
            return
        if byte == _C1_LEAD:
            self._state = self._c1
            return
        self._out += bytes((_ESCAPE, byte))

    def _c1(self, byte: int) -> None:
        """The same orders as letters of UTF-8."""
        if byte in _C1_STRINGS:
            self._state = self._string
            return
        self._state = self._ground
        if byte == _ESCAPE:
            self._state = self._escape
        elif byte == _C1_LEAD:
            self._state = self._c1
        elif byte >= 0xA0 or byte < 0x80:
            self._out += bytes((_C1_LEAD, byte)) if byte >= 0xA0 else bytes((byte,))

    def _string(self, byte: int) -> None:
        if byte in (_BELL, _CANCEL, _SUBSTITUTE):
            self._state = self._ground
        elif byte == _ESCAPE:
            self._state = self._string_escape
        elif byte == _C1_LEAD:
            self._state = self._string_c1

    def _string_escape(self, byte: int) -> None:
        """Its end is `ESC \\`; any other sequence ends it as well, and begins itself."""
        if byte == 0x5C:
            self._state = self._ground
        else:
            self._escape(byte)
            if self._state == self._string_escape:
                self._state = self._escape

    def _string_c1(self, byte: int) -> None:
        if byte == _C1_END:
            self._state = self._ground
        elif byte == _ESCAPE:
            self._state = self._string_escape
        elif byte != _C1_LEAD:
            self._state = self._string


def as_text(log: bytes) -> str:
    """Without any order at all: what a page shows as text, its lines as they were overwritten last."""
    text = _SEQUENCE.sub("", Tame()(log).decode("utf-8", "replace"))
    text = _OVERWRITTEN.sub("", text.replace("\r\n", "\n"))
    return "\n".join(printable(line.replace("\t", "    ").strip("\r")) for line in text.split("\n"))
