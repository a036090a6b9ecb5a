"""What a file is, by its first bytes. Only in a confined process."""

from skinnybox.masters.archives.members import is_header

PACKED = ("gzip", "xz", "zstd", "bzip2", "squashfs")
"""What has to be unpacked first, each by a program of its own."""
HEAD = 64 << 10

_MAGIC = (
    ("gzip", b"\x1f\x8b"), ("xz", b"\xfd7zXZ\0"), ("zstd", b"\x28\xb5\x2f\xfd"), ("bzip2", b"BZh"),
    ("squashfs", b"hsqs"), ("zip", b"PK\x03\x04"), ("lz4", b"\x04\x22\x4d\x18"), ("lzip", b"LZIP"),
    ("7z", b"7z\xbc\xaf\x27\x1c"), ("rar", b"Rar!\x1a\x07"),
)  # fmt: skip
_ZSTD_SKIPPABLE = range(0x184D2A50, 0x184D2A60)
KINDS = frozenset({name for name, _ in _MAGIC} | {"tar", "disk"})


def kind_of(head: bytes) -> str:
    """One of KINDS; "disk" is what is nothing else."""
    for name, magic in _MAGIC:
        if head.startswith(magic):
            return name
    if len(head) >= 4 and int.from_bytes(head[:4], "little") in _ZSTD_SKIPPABLE:
        return "zstd"
    return "tar" if is_header(head) else "disk"
