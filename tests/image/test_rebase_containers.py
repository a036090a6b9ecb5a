"""What container engines leave in a machine, written through the kernel's own overlayfs, and a rebase of it:
files of several names, attributes of overlays inside it, whiteouts that are one inode."""

from skinnybox.ext4 import Volume, open_volume
from tests.image import test_rebase_do as carried
from tests.image.overlaid import Machine
from tests.image.test_rebase_do import Build
from tests.image.test_rebase_plan import live
from tests.unit.rebased_disk import thing

pytestmark = carried.pytestmark
state, two, machine = carried.state, carried.two, carried.machine
build, after = carried.build, carried.after

STORAGE = "var/lib/containers/storage"
ENGINE = f"""
layer = "{STORAGE}/overlay/1/diff"
os.makedirs(layer + "/usr/bin"); os.makedirs(layer + "/etc"); os.makedirs("srv/own")
write(layer + "/usr/bin/program", "p"); os.chown(layer + "/usr/bin/program", 101, 101)
os.link(layer + "/usr/bin/program", layer + "/usr/bin/again")
os.link(layer + "/usr/bin/program", layer + "/etc/program")
os.setxattr(layer + "/usr", "user.overlay.opaque", b"y")
os.setxattr(layer + "/etc/program", "user.overlay.origin", b"o")
try:
    os.setxattr(layer + "/etc", "trusted.overlay.opaque", b"y")  # kept under another name
except OSError:
    pass  # refused before Linux 6.7
write("srv/own/s", "s"); os.chown("srv/own/s", 101, 101)
for name in ("{STORAGE}/1", "{STORAGE}/2", "srv/own/t"):
    os.link("srv/own/s", name)
os.symlink("s", "srv/own/l"); os.chown("srv/own/l", 101, 101, follow_symlinks=False)
os.link("srv/own/l", "{STORAGE}/l", follow_symlinks=False)
os.unlink("usr/bin/held"); os.unlink("usr/share/app/b")
"""


def _names(volume: Volume, *names: str) -> list[tuple[int, int, int]]:
    """Of each: the first of them that is the same file, how many names it has, and whose it is."""
    nodes = [volume.lookup(b"upper/" + name.encode()) for name in names]
    numbers = [node.inode for node in nodes]
    return [(numbers.index(node.inode), node.links, node.uid) for node in nodes]


def test_a_name_in_an_engines_storage_keeps_its_number_and_one_outside_moves(
    build: Build, machine: Machine, after: Machine
) -> None:
    """They were one file: whichever number it got, it was not what one of them was to be."""
    live(machine, ENGINE)
    build()
    inside, outside = [f"{STORAGE}/{name}" for name in "12l"], [f"srv/own/{name}" for name in "stl"]
    layer = [
        f"{STORAGE}/overlay/1/diff/{name}" for name in ("usr/bin/program", "usr/bin/again", "etc/program")
    ]
    with open_volume(after.image) as volume:
        assert _names(volume, *inside) == [(0, 1, 101), (1, 1, 101), (2, 1, 101)]
        assert _names(volume, *outside) == [(0, 2, 102), (0, 2, 102), (2, 1, 102)]
        assert _names(volume, *layer) == [(0, 3, 101)] * 3
        found = [thing(volume, volume.lookup(f"upper/{name}".encode())) for name in (*inside, *outside)]
    assert [each.content for each in found] == [b"s", b"s", b"s"] * 2
    assert [each.type for each in found] == ["-", "-", "l"] * 2


def test_attributes_of_overlays_inside_it_stay(build: Build, machine: Machine, after: Machine) -> None:
    live(machine, ENGINE)
    before = _attributes(machine)
    build()
    assert _attributes(after) == before
    assert not carried.look(after, "find usr/bin/held usr/share/app/b 2>/dev/null || true")


def _attributes(machine: Machine) -> list[dict[str, bytes]]:
    layer = f"upper/{STORAGE}/overlay/1/diff/".encode()
    with open_volume(machine.image) as volume:
        return [volume.xattrs(volume.lookup(layer + name)) for name in (b"usr", b"etc", b"etc/program")]
