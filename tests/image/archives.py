"""What people bring, made of one tree or one disk: for tests of what is imported."""

import hashlib
import io
import json
import lzma
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

from skinnybox import run

MIB = 1 << 20


def tar_of(file: Path, tree: Path, *options: str) -> Path:
    run.run(["tar", "--xattrs", "--acls", "--numeric-owner", *options, "-cf", file, "-C", tree, "."])
    return file


def tar_with(file: Path, members: dict[str, bytes | Path]) -> Path:
    with tarfile.open(file, "w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in members.items():
            if isinstance(content, Path):
                archive.add(content, name)
            else:
                made = tarfile.TarInfo(name)
                made.size = len(content)
                archive.addfile(made, io.BytesIO(content))
    return file


def squashfs_of(file: Path, tree: Path) -> Path:
    with tar_of(file.with_name("for-squashfs"), tree).open("rb") as source:
        run.run(["tar2sqfs", "-q", file], stdin=source)
    return file


def packed(file: Path, program: str) -> Path:
    made = file.with_name(f"{file.name}.{program}")
    with file.open("rb") as source, made.open("wb") as target:
        run.run([program, "-c", "-1"], stdin=source, stdout=target)
    return made


def ova_of(file: Path, disk: Path) -> Path:
    vmdk = file.with_name("box-disk1.vmdk")
    run.run(["qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", disk, vmdk])
    made = tar_with(file, {"box.ovf": b"<Envelope/>", "box.mf": b"SHA256(x)= 0\n", "box-disk1.vmdk": vmdk})
    vmdk.unlink()
    return made


def xva_of(file: Path, disk: Path, *, checksums: str = ".checksum") -> Path:
    """As a pool exports it, beside a second disk that is not the first of its devices."""
    raw = disk.read_bytes()
    size = -(-len(raw) // MIB) * MIB
    members: dict[str, bytes | Path] = {
        "ova.xml": _ova_xml({"Ref:7": ("0", size), "Ref:9": ("1", MIB)}).encode()
    }
    for name, content in (("Ref:9", b"second".ljust(MIB, b"\0")), ("Ref:7", raw.ljust(size, b"\0"))):
        last = len(content) // MIB - 1
        for number in range(last + 1):
            block = content[number * MIB : (number + 1) * MIB]
            if any(block) or number in (0, last):
                members[f"{name}/{number:08}"] = block
                if checksums:
                    said = hashlib.sha1(block).hexdigest() if checksums == ".checksum" else "0" * 16
                    members[f"{name}/{number:08}{checksums}"] = said.encode()
    return tar_with(file, members)


def _ova_xml(disks: dict[str, tuple[str, int]]) -> str:
    def struct_of(**fields: str) -> str:
        rows = "".join(
            f"<member><name>{key}</name><value>{value}</value></member>" for key, value in fields.items()
        )
        return f"<struct>{rows}</struct>"

    objects = [struct_of(**{"class": "VM", "id": "Ref:0", "snapshot": struct_of(name_label="box")})]
    for number, (name, (device, size)) in enumerate(disks.items()):
        drive = struct_of(userdevice=device, type="Disk", VDI=name)
        objects.append(struct_of(**{"class": "VBD", "id": f"Ref:{100 + number}", "snapshot": drive}))
        objects.append(
            struct_of(**{"class": "VDI", "id": name, "snapshot": struct_of(virtual_size=str(size))})
        )
    data = "".join(f"<value>{entry}</value>" for entry in objects)
    version = struct_of(xapi_major="1")
    return f"<value>{struct_of(version=version, objects=f'<array><data>{data}</data></array>')}</value>"


def layer_of(folder: Path, name: str, tree: Path, *more: tuple[str, bytes | None]) -> Path:
    """A layer as a builder writes it; `more` are names with content, or links as "name>target"."""
    file = folder / name
    with tarfile.open(file, "w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(tree.rglob("*")) if tree.is_dir() else []:
            archive.add(path, str(path.relative_to(tree)), recursive=False)
        for word, content in more:
            path_name, _, target = word.partition(">")
            made = tarfile.TarInfo(path_name)
            if target:
                made.type, made.linkname = tarfile.LNKTYPE, target
            elif content is None:
                made.type, made.mode = tarfile.DIRTYPE, 0o755
            else:
                made.size = len(content)
            archive.addfile(made, None if target or content is None else io.BytesIO(content))
    return file


def oci_of(folder: Path, layers: list[Path], pack: Callable[[bytes], bytes]) -> Path:
    """An image layout in a folder."""
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)

    def blob(content: bytes) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"digest": f"sha256:{digest}", "size": len(content)}

    manifest = {"schemaVersion": 2, "layers": [blob(pack(layer.read_bytes())) for layer in layers]}
    index = {"schemaVersion": 2, "manifests": [blob(json.dumps(manifest).encode())]}
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return folder


def docker_of(file: Path, layers: list[Path]) -> Path:
    """What `docker save` wrote before it wrote layouts: its description comes last, and a layer that was
    there before is a link to that."""
    members: dict[str, bytes | Path] = {}
    for number, layer in enumerate(layers):
        name = f"{hashlib.sha256(bytes([number])).hexdigest()}/layer.tar"
        before = next((other for other, path in members.items() if path == layer), None)
        members[name] = layer if before is None else file.with_name(f"link-{number}")
        if before:
            file.with_name(f"link-{number}").symlink_to(f"../{before}")
    described = json.dumps([{"Config": "x.json", "RepoTags": ["box:1"], "Layers": list(members)}]).encode()
    return tar_with(file, {**members, "manifest.json": described})


def bomb(file: Path, size: int) -> Path:
    """Bytes of zeros, of which xz makes next to nothing, by repeating one stream."""
    one = lzma.compress(bytes(64 * MIB), preset=1)
    with file.open("wb") as out:
        for _ in range(size // (64 * MIB)):
            out.write(one)
    return file


def with_size(header: bytes, size: int) -> bytes:
    """The header of a tar's member, with another size and a checksum that fits."""
    raw = header[:124] + b"%011o\0" % size + header[136:148] + b" " * 8 + header[156:]
    return raw[:148] + struct.pack("8s", b"%06o\0 " % sum(raw)) + raw[156:]
