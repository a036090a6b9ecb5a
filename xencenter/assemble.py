"""The last step of `build`: assemblies without what differs from one run to the next, the descriptor with the
console's address, the folder and its zip. Needs nothing but Python."""

import hashlib
import os
import shutil
import sys
import time
import zipfile
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

HERE = Path(__file__).parent
INSIDE = Path("Plugins", "Skinnybox", "Skinnybox")
DESCRIPTOR = "Skinnybox.xcplugin.xml"
PLACE = "@CONSOLE@"
_SCHEMA = "http://www.citrix.com/XenCenter/Plugins/schema"


def settled(assembly: bytes) -> bytes:
    """Without its time, and with a module id made of the content: the compiler takes a random one (ECMA-335,
    II.24.2 and II.25.2.2)."""
    stamp = int.from_bytes(assembly[0x3C:0x40], "little") + 8
    assembly = assembly[:stamp] + bytes(4) + assembly[stamp + 4 :]
    root = assembly.index(b"BSJB")
    header = assembly.index(b"#GUID\0", root) - 8
    place = root + int.from_bytes(assembly[header : header + 4], "little")
    blank = assembly[:place] + bytes(16) + assembly[place + 16 :]
    return blank[:place] + hashlib.sha256(blank).digest()[:16] + blank[place + 16 :]


def descriptor(text: str, console: str) -> str:
    """With the tabs at that address, or without any. ValueError for what is no address of a console."""
    if console:
        return text.replace(PLACE, escape(address(console), {'"': "&quot;"}))
    ElementTree.register_namespace("", _SCHEMA)
    tree = ElementTree.fromstring(text)
    for child in list(tree):
        if child.tag in (f"{{{_SCHEMA}}}TabPage", f"{{{_SCHEMA}}}Search"):
            tree.remove(child)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(tree, encoding="unicode")}\n'


def address(console: str) -> str:
    """Without a slash at its end."""
    parts = urlsplit(console)
    plain = not (parts.query or parts.fragment or parts.username or parts.password)
    printable = all("!" <= each <= "~" and each not in "\"'<>{}\\" for each in console)
    if parts.scheme not in ("http", "https") or not parts.hostname or not plain or not printable:
        raise ValueError("no address of a web console, such as https://skinnybox.example:8443")
    return console.rstrip("/")


def packed(folder: Path, target: Path) -> None:
    """Names in order, one time and one mode: the same files give the same bytes."""
    moment = time.gmtime(max(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), 315532800))[:6]
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            entry = zipfile.ZipInfo(str(Path("Plugins") / path.relative_to(folder)), moment)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, path.read_bytes())


def main(scratch: Path, out: Path, console: str) -> None:
    text = descriptor((HERE / DESCRIPTOR).read_text(), console)
    plugins = out / INSIDE.parts[0]
    shutil.rmtree(plugins, ignore_errors=True)
    folder = out / INSIDE
    folder.mkdir(parents=True)
    (folder / DESCRIPTOR).write_text(text)
    for name in ("Skinnybox.exe", "Skinnybox.resources.dll"):
        (folder / name).write_bytes(settled((scratch / name).read_bytes()))
    for name in ("Skinnybox.exe.config", "LICENSE"):
        shutil.copyfile(scratch / name, folder / name)
    packed(plugins, out / "skinnybox-xencenter.zip")
    print(out / "skinnybox-xencenter.zip")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
    except ValueError as error:
        sys.exit(f"build: {sys.argv[3]!r}: {error}")
