"""The values everything speaks of: masters, instances, overlays, seeds, changes. No input or output here.

Sizes are bytes, times are aware UTC, digests are `sha256:<64 hex digits>`, paths inside a guest are bytes
without a leading slash (the root itself is b""). fields.py is the table of what is written down of a machine.
"""

from skinnybox.model.changes import Change, ChangeKind
from skinnybox.model.machines import (
    Acceleration,
    Allocation,
    DataDisk,
    DiskKind,
    Forward,
    Instance,
    Network,
    Overlay,
    Properties,
    Seed,
    SeedFile,
    Stack,
    StaticNetwork,
    Swap,
    SwapKind,
)
from skinnybox.model.masters import (
    GUEST_PROTOCOL,
    INITRD_FILE,
    KERNEL_FILE,
    OLDEST_GUEST_PROTOCOL,
    Image,
    ImageKind,
    Master,
    image_uuid,
)
from skinnybox.model.names import check_label, check_name, parse_reference
from skinnybox.model.observed import (
    Consistency,
    Power,
    Report,
    Snapshot,
    Space,
    Status,
    Storage,
    Trouble,
    Usage,
)

__all__ = [
    "GUEST_PROTOCOL",
    "INITRD_FILE",
    "KERNEL_FILE",
    "OLDEST_GUEST_PROTOCOL",
    "Acceleration",
    "Allocation",
    "Change",
    "ChangeKind",
    "Consistency",
    "DataDisk",
    "DiskKind",
    "Forward",
    "Image",
    "ImageKind",
    "Instance",
    "Master",
    "Network",
    "Overlay",
    "Power",
    "Properties",
    "Report",
    "Seed",
    "SeedFile",
    "Snapshot",
    "Space",
    "Stack",
    "StaticNetwork",
    "Status",
    "Storage",
    "Swap",
    "SwapKind",
    "Trouble",
    "Usage",
    "check_label",
    "check_name",
    "image_uuid",
    "parse_reference",
]
