"""What engines keep of their containers: numbers of files in there are of other systems' accounts, whatever
this one calls them, and stay. On an overlay and on a data disk alike; the guest is told these folders with
each move (moves.py).

Not what an ordinary user's engine keeps in that user's home: numbers there are this system's, the user's own
and those of /etc/subuid.
"""

FOLDERS = (
    "/var/lib/containerd", "/var/lib/containers", "/var/lib/docker", "/var/lib/incus", "/var/lib/kubelet",
    "/var/lib/lxc", "/var/lib/lxd", "/var/lib/machines", "/var/lib/rancher", "/var/snap/docker",
    "/var/snap/lxd",
)  # fmt: skip
_BELOW = tuple(f"{folder[1:]}/".encode() for folder in FOLDERS)


def is_containers(path: bytes) -> bool:
    """Of a path without a leading slash."""
    return path.startswith((b"var/lib/", b"var/snap/")) and (path + b"/").startswith(_BELOW)
