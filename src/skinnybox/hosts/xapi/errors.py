"""What a pool refuses, as our errors: known codes with what to do about it, others shown whole."""

import re
from collections.abc import Sequence

from skinnybox.errors import (
    Blocked,
    Conflict,
    Corrupt,
    NoSpace,
    NotFound,
    SkinnyboxError,
    TimedOut,
    Unsupported,
    UsageError,
)

Kind = type[SkinnyboxError]


class Busy(Conflict):
    """The object does something else just now: nothing was done."""


class Booting(Conflict):
    """The host does not know yet who the master is."""


class Denied(Blocked):
    """The role of who is logged in does not have this right."""


class Taken(Conflict):
    """There is such a key already: nothing was done."""


_RETRY = "try again in a moment"
_SPACE = "`skinnybox capacity`; delete machines or snapshots, or choose another SR: sr=NAME"
_RIGHTS = "log in as a user with the role vm-admin or higher (vm-power-admin to change memory)"
_LOOK = "`skinnybox list` shows its condition"
_SR = "`skinnybox doctor`; in the pool: xe pbd-list, xe sr-list"
_VERSION = "this pool may be older than what Skinnybox needs: XenServer 8 or XCP-ng 8.3"
_BUG = "this is a bug of Skinnybox, or of the pool: please report it with this line"
_OURS = "Skinnybox blocks what would copy the master; use its own snapshot, flatten and create"

CODES: dict[str, tuple[Kind, str, str | None]] = {
    "SESSION_AUTHENTICATION_FAILED": (UsageError, "the pool does not accept this name and password", None),
    "SESSION_INVALID": (Conflict, "the pool ended the session", _RETRY),
    "HOST_IS_SLAVE": (Conflict, "this host is not the pool's master, which is at {0}", "use that address"),
    "HOST_STILL_BOOTING": (Booting, "the host is still booting", _RETRY),
    "HOST_OFFLINE": (Conflict, "the host {0} is offline", None),
    "HOST_DISABLED": (Conflict, "the host {0} is disabled", "xe host-enable"),
    "HANDLE_INVALID": (NotFound, "the {0} is no longer there ({1})", "somebody deleted it; `skinnybox list`"),
    "UUID_INVALID": (NotFound, "there is no {0} with the UUID {1}", None),
    "OTHER_OPERATION_IN_PROGRESS": (Busy, "the {0} {1} is busy: {2}", _RETRY),
    "OPERATION_NOT_ALLOWED": (Conflict, "the pool refuses it: {0}", None),
    "OPERATION_BLOCKED": (Blocked, "this operation is blocked: {1}", _OURS),
    "VM_BAD_POWER_STATE": (Conflict, "the machine is {2}; it had to be {1}", _LOOK),
    "VM_REQUIRES_SR": (Conflict, "no host sees the SR {1} that the machine needs", _SR),
    "VM_REQUIRES_NETWORK": (Conflict, "no host has the network {1} that the machine needs", "xe pif-list"),
    "VM_IS_TEMPLATE": (Conflict, "{0} is a template", None),
    "VM_HVM_REQUIRED": (Unsupported, "no host can run this machine: it needs HVM", None),
    "VM_LACKS_FEATURE": (Unsupported, "the guest cannot be asked to do that", "skinnybox kill"),
    "VM_SHUTDOWN_TIMEOUT": (TimedOut, "the guest did not power off", "skinnybox kill"),
    "VM_FAILED_SHUTDOWN_ACKNOWLEDGMENT": (TimedOut, "the guest does not hear us", "skinnybox kill"),
    "VM_DUPLICATE_VBD_DEVICE": (Conflict, "two disks have the place {2}", "`skinnybox doctor`"),
    "DEVICE_ALREADY_EXISTS": (Conflict, "the place {0} is taken", "another disk or card was added by hand"),
    "INVALID_DEVICE": (UsageError, "there is no place {0}", None),
    "MEMORY_CONSTRAINT_VIOLATION": (UsageError, "the pool refuses this memory size: {0}", None),
    "HOST_NOT_ENOUGH_FREE_MEMORY": (NoSpace, "no host has {0} bytes of memory free", "stop other machines"),
    "HOST_NOT_ENOUGH_PCPUS": (UsageError, "{0} processors are more than a host has ({1})", None),
    "NO_HOSTS_AVAILABLE": (Conflict, "no host can run the machine now", _SR),
    "HA_CONSTRAINT_VIOLATION_SR_NOT_SHARED": (Blocked, "HA protects it: its disks must be shared", "sr=NAME"),
    "HA_OPERATION_WOULD_BREAK_FAILOVER_PLAN": (Blocked, "HA could no longer keep its promise", None),
    "SR_FULL": (NoSpace, "the SR is full: {0} bytes wanted, {1} possible", _SPACE),
    "PROVISION_FAILED_OUT_OF_SPACE": (NoSpace, "the SR is full", _SPACE),
    "SR_NO_PBDS": (Conflict, "no host sees the SR {0}", _SR),
    "SR_OPERATION_NOT_SUPPORTED": (Unsupported, "this type of SR cannot do that", "another SR: sr=NAME"),
    "UNIMPLEMENTED_IN_SM_BACKEND": (Unsupported, "this type of SR cannot do that", "another SR: sr=NAME"),
    "VDI_IN_USE": (Conflict, "the disk {0} is in use", _LOOK),
    "VDI_READONLY": (Conflict, "the disk {0} is read-only", None),
    "VDI_MISSING": (NotFound, "the disk {1} is not on its SR", "xe sr-scan; `skinnybox repair`"),
    "VDI_NOT_MANAGED": (Conflict, "the disk {0} is not one that the pool manages", None),
    "VDI_INCOMPATIBLE_TYPE": (Conflict, "the disk {0} is of the type {1}", None),
    "VDI_TOO_LARGE": (UsageError, "the disk {0} is too large: at most {1} bytes", None),
    "VDI_TOO_SMALL": (UsageError, "the disk {0} is too small", None),
    "VDI_IS_SHARABLE": (Conflict, "the disk {0} is sharable", None),
    "VDI_IO_ERROR": (Corrupt, "the pool could not read or write the whole disk", "look at the SR, try again"),
    "VBD_CDS_MUST_BE_READONLY": (Conflict, "a CD drive is read-only", None),
    "DISK_VBD_MUST_BE_READWRITE_FOR_HVM": (Conflict, "a read-only disk needs it off", "stop it first"),
    "MAC_INVALID": (UsageError, "{0} is no MAC address", None),
    "MAP_DUPLICATE_KEY": (Taken, "{0}.{1} has {3} already", _RETRY),
    "RBAC_PERMISSION_DENIED": (Denied, "this user may not do that: {0}", _RIGHTS),
    "PERMISSION_DENIED": (Denied, "the pool does not permit it: {0}", _RIGHTS),
    "LICENCE_RESTRICTION": (Unsupported, "the pool's licence does not have it: {0}", None),
    "LICENSE_RESTRICTION": (Unsupported, "the pool's licence does not have it: {0}", None),
    "XENAPI_MISSING_PLUGIN": (NotFound, "the hosts lack the plugin {0}", "xenserver/skinnybox has it"),
    "XENAPI_PLUGIN_FAILURE": (SkinnyboxError, "the plugin failed: {0} {1} {2}", None),
    "MESSAGE_METHOD_UNKNOWN": (Unsupported, "the pool does not know the call {0}", _VERSION),
    "MESSAGE_REMOVED": (Unsupported, "the pool no longer has this call", _VERSION),
    "MESSAGE_PARAMETER_COUNT_MISMATCH": (Unsupported, "the pool knows {0} with other parameters", _VERSION),
    "FIELD_TYPE_ERROR": (SkinnyboxError, "the pool refuses the value of {0}", _BUG),
    "VALUE_NOT_SUPPORTED": (Unsupported, "{0} cannot be {1}: {2}", None),
    "INVALID_VALUE": (UsageError, "{0} cannot be {1}", None),
    "TASK_CANCELLED": (Conflict, "somebody cancelled it in the pool", "try again"),
    "NOT_SUPPORTED_DURING_UPGRADE": (Conflict, "the pool is being upgraded", "wait until it is done"),
}  # fmt: skip

STORAGE: dict[int, tuple[Kind, str, str | None]] = {
    24: (Conflict, "the disk is in use", _LOOK),
    38: (Unsupported, "this type of SR cannot do that", "another SR: sr=NAME"),
    43: (Conflict, "there is such a disk already", None),
    44: (NoSpace, "the SR is full", _SPACE),
    46: (Conflict, "the disk cannot be had just now", _SR),
    47: (Conflict, "the SR cannot be had just now", _SR),
    58: (Conflict, "only the pool's master may do that", "is the master up? `skinnybox doctor`"),
    66: (Unsupported, "this SR does not have that type of disk", None),
    78: (SkinnyboxError, "the SR could not make the disk", _SR),
    79: (UsageError, "the SR refuses a disk of that size", None),
    80: (SkinnyboxError, "the SR could not delete the disk", _SR),
    81: (SkinnyboxError, "the SR could not clone the disk", _SR),
    82: (SkinnyboxError, "the SR could not make the snapshot", _SR),
    109: (Conflict, "the disk has too many snapshots behind it", "wait until the pool has coalesced them"),
    180: (NoSpace, "the SR has no room to attach the disk for writing", _SPACE),
}
_STORAGE = re.compile("SR_BACKEND_FAILURE_([0-9]+)")


def translated(details: Sequence[object]) -> SkinnyboxError:
    """The error for what XenAPI.Failure carries: a code and its parameters, as many as the pool sent."""
    code, *params = [str(each) for each in details] or ["(nothing)"]
    found = _STORAGE.fullmatch(code)
    kind, text, hint = CODES.get(code, (SkinnyboxError, "", _BUG))
    if found:
        kind, text, hint = STORAGE.get(int(found[1]), (SkinnyboxError, "", _SR))
    said = text.format(*params, *[""] * 5)
    whole = " ".join([code, *filter(None, params)])
    return kind(f"{said} ({whole})" if found and said else said or f"the pool said: {whole}", hint=hint)
