"""Which system calls a confined process may not make any more. In the child only.

A list of what is denied, not of what is allowed. The programs are a distribution's own (e2fsck, resize2fs,
qemu-img, Python), on whatever libc it has, and which calls those make changes with every release of a libc:
an allow-list for today's is a broken `grow` after an upgrade, at somebody else's. That a list like this one
forgets what is to come is met otherwise: every call newer than Linux 6.1 does not exist here (ENOSYS), which
a libc takes as an older kernel and asks in the old way. Files are Landlock's, or the empty root's, business;
here is what those do not know (modes, owners and times of files by path, signals, other processes, sockets
of every kind, shared memory), and what has served to break out of kernels. Sockets are more than `socket`:
each end of a socketpair of datagrams sends to whoever listens at a path, as the system's log does.
"""

import errno
import os
import struct

from skinnybox.sandbox import libc
from skinnybox.sandbox.sockets import INTERNET, LISTENING, NO_SOCKETS

_NEWEST = 450
"""Of Linux 6.1; from 424 on the numbers are the same everywhere."""

# Numbers of x86_64, and of what has the kernel's common table: aarch64, riscv64 and loongarch64.
_DENIED = """
    socket 41 198   socketpair 53 199   connect 42 203   ptrace 101 117
    process_vm_readv 310 270   process_vm_writev 311 271   kcmp 312 272
    process_madvise 440 440   process_mrelease 448 448   pidfd_open 434 434   pidfd_getfd 438 438
    pidfd_send_signal 424 424   tkill 200 130   rt_sigqueueinfo 129 138   rt_tgsigqueueinfo 297 240
    perf_event_open 298 241   setpriority 141 140   ioprio_set 251 30   sched_setparam 142 118
    sched_setscheduler 144 119   sched_setaffinity 203 122   sched_setattr 314 274   migrate_pages 256 238
    move_pages 279 239   fork 57 -   vfork 58 -   unshare 272 97   setns 308 268   personality 135 92
    mount 165 40   umount2 166 39   pivot_root 155 41   chroot 161 51   open_tree 428 428
    move_mount 429 429   fsopen 430 430   fsconfig 431 431   fsmount 432 432   fspick 433 433
    mount_setattr 442 442   io_uring_setup 425 425   io_uring_enter 426 426   io_uring_register 427 427
    bpf 321 280   userfaultfd 323 282   keyctl 250 219   add_key 248 217   request_key 249 218
    memfd_create 319 279   memfd_secret 447 447   vmsplice 278 75   modify_ldt 154 -   uselib 134 -
    lookup_dcookie 212 18   nfsservctl 180 42   kexec_load 246 104   kexec_file_load 320 294
    reboot 169 142   init_module 175 105   finit_module 313 273   delete_module 176 106   acct 163 89
    swapon 167 224   swapoff 168 225   quotactl 179 60   quotactl_fd 443 443   iopl 172 -   ioperm 173 -
    syslog 103 116   vhangup 153 58   sethostname 170 161   setdomainname 171 162   settimeofday 164 170
    clock_settime 227 112   clock_adjtime 305 266   adjtimex 159 171   name_to_handle_at 303 264
    open_by_handle_at 304 265   truncate 76 45   chmod 90 -   fchmod 91 52   fchmodat 268 53   chown 92 -
    lchown 94 -   fchown 93 55   fchownat 260 54   utime 132 -   utimes 235 -   futimesat 261 -
    utimensat 280 88   setxattr 188 5   lsetxattr 189 6   fsetxattr 190 7   removexattr 197 14
    lremovexattr 198 15   fremovexattr 199 16   inotify_init 253 -   inotify_init1 294 26
    fanotify_init 300 262   shmget 29 194   shmat 30 196   shmctl 31 195   semget 64 190   semop 65 193
    semctl 66 191   semtimedop 220 192   msgget 68 186   msgsnd 69 189   msgrcv 70 188   msgctl 71 187
    mq_open 240 180   mq_unlink 241 181   mq_timedsend 242 182   mq_timedreceive 243 183   mq_notify 244 184
    mq_getsetattr 245 185   setrlimit 160 164
"""
_CLONE, _CLONE3 = (56, 220), 435
_TO_ITSELF_ONLY = ((62, 129), (234, 131))
"""kill, tgkill: abort() needs one of them."""
_OF_ITSELF_ONLY = (302, 261)
"""prlimit64, also of 0, which is itself: it may ask what its limits are, and change none. That of a QEMU's
files is below what it could be raised to, for who makes its disks larger while it runs."""
_FCNTL, _IOCTL = (72, 25), (16, 29)
_OWNER_COMMANDS = (8, 10, 15)
"""F_SETOWN, F_SETSIG, F_SETOWN_EX: a pipe that is written to signals whoever was named."""
_CONTROLS = (0x40086602, 0x40046602, 0x401C5820, 0x40806685, 0x40087602, 0x40047602, 0x5412, 0x541C)
"""What changes a file that is open to read only (its flags, twice, its project, fs-verity, which is for good,
its generation, twice), or types into a terminal."""
_SOCKET = (41, 198)
_SENDS = (((44, 206), 3), ((46, 211), 2), ((307, 269), 3))
"""sendto, sendmsg, sendmmsg, and which of their arguments are flags."""
_CONNECTS = 0x20000000
"""MSG_FASTOPEN: to send is to connect."""
_IPV4, _IPV6, _STREAM, _TCP = 2, 10, 1, 6
_NEW_NAMESPACES = 0x7E020000
_THREAD = 0x00010000

_ARCHITECTURES = {
    "x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1), "riscv64": (0xC00000F3, 1),
    "loongarch64": (0xC0000102, 1),
}  # fmt: skip
_KILL, _ALLOW, _ERROR = 0x80000000, 0x7FFF0000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _ANY, _RETURN, _MASK = 0x20, 0x15, 0x35, 0x45, 0x06, 0x54
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND = 0, 4, 16, 24
_WIDE, _WHOLE, _KIND = 8, 0xFFFFFFFF, 0xF
_SECCOMP, _FILTER = 22, 2

Step = tuple[int, int, int, int]

_LEFT: dict[str, tuple[str, ...]] = {
    NO_SOCKETS: (), LISTENING: ("socket",), INTERNET: ("socket", "connect"),
}  # fmt: skip


def filtered(threads: int, *, sockets: str = NO_SOCKETS) -> None:
    """From now on, for good. This process may start threads if `threads` is above 1, and no process.

    Needs no_new_privs. Raises OSError.
    """
    steps = program(os.uname().machine, os.getpid(), threads, sockets=sockets)
    code = libc.buffer_of(b"".join(struct.pack("=HBBI", *step) for step in steps))
    # struct sock_fprog: a length, padding, a pointer.
    header = libc.buffer_of(struct.pack("@HP", len(steps), libc.address_of(code)))
    libc.control("the filter of system calls", _SECCOMP, _FILTER, libc.address_of(header))


def program(machine: str, own: int, threads: int, *, sockets: str = NO_SOCKETS) -> list[Step]:
    """For the kernel's packet filter. `own` is the pid that may be named. Raises OSError: no such numbers."""
    if machine not in _ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"the filter of system calls: none is known for {machine}")
    architecture, column = _ARCHITECTURES[machine]
    denied, missing = _ERROR | errno.EPERM, _ERROR | errno.ENOSYS
    steps = [
        # Calls in another way (32 bits) have other numbers.
        (_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER), (_AT_LEAST, 0, 1, _NEWEST + 1), (_RETURN, 0, 0, missing),
        # Its flags lie in memory, where no filter can look; without it a libc takes clone.
        *_when(_CLONE3, [(_RETURN, 0, 0, missing)]),
        *_when(_CLONE[column], _threads_only(threads, denied)),
    ]  # fmt: skip
    for name, number in numbers(column).items():
        if name not in _LEFT[sockets]:
            steps += _when(number, [(_RETURN, 0, 0, denied)])
    steps += _sockets(sockets, column, denied)
    for numbers_of in _TO_ITSELF_ONLY:
        steps += _when(numbers_of[column], _only(_FIRST, (own,), denied))
    steps += _when(_OF_ITSELF_ONLY[column], _asks_itself(own, denied))
    steps += _when(_FCNTL[column], _none_of(_SECOND, _OWNER_COMMANDS, denied))
    steps += _when(_IOCTL[column], _none_of(_SECOND, _CONTROLS, denied))
    return [*steps, (_RETURN, 0, 0, _ALLOW)]


def numbers(column: int) -> dict[str, int]:
    """Of all that is denied whatever its arguments are, by name."""
    words = _DENIED.split()
    rows = zip(words[::3], words[1::3], words[2::3], strict=True)
    return {name: int(found[column]) for name, *found in rows if found[column] != "-"}


def _when(number: int, steps: list[Step]) -> list[Step]:
    """`steps` end in a return each, and may load what they like."""
    return [(_EQUAL, 0, len(steps), number), *steps]


def _threads_only(threads: int, denied: int) -> list[Step]:
    if threads <= 1:
        return [(_RETURN, 0, 0, denied)]
    return [
        (_LOAD, 0, 0, _FIRST), (_ANY, 2, 0, _NEW_NAMESPACES), (_ANY, 0, 1, _THREAD),
        (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, denied),
    ]  # fmt: skip


def _sockets(left: str, column: int, denied: int) -> list[Step]:
    if left == INTERNET:
        return _when(_SOCKET[column], _only(_FIRST, (_IPV4, _IPV6), denied))
    if left != LISTENING:
        return []
    # Of other protocols, to listen and to connect are not as clearly two things (SCTP connects by an option).
    tests = [
        *_one_of(_FIRST, _WHOLE, (_IPV4,), denied), *_one_of(_SECOND, _KIND, (_STREAM,), denied),
        *_one_of(_FIRST + 2 * _WIDE, _WHOLE, (0, _TCP), denied),
    ]  # fmt: skip
    steps = _when(_SOCKET[column], [*tests, (_RETURN, 0, 0, _ALLOW)])
    for numbers_of, flags in _SENDS:
        test: list[Step] = [(_LOAD, 0, 0, _FIRST + flags * _WIDE), (_ANY, 0, 1, _CONNECTS)]
        steps += _when(numbers_of[column], [*test, (_RETURN, 0, 0, denied), (_RETURN, 0, 0, _ALLOW)])
    return steps


def _only(argument: int, values: tuple[int, ...], denied: int) -> list[Step]:
    return [*_one_of(argument, _WHOLE, values, denied), (_RETURN, 0, 0, _ALLOW)]


def _asks_itself(own: int, denied: int) -> list[Step]:
    """Its third argument, new limits, is a pointer of 64 bits, and none."""
    new = _FIRST + 2 * _WIDE
    halves = [step for half in (new, new + 4) for step in _one_of(half, _WHOLE, (0,), denied)]
    return [*_one_of(_FIRST, _WHOLE, (0, own), denied), *halves, (_RETURN, 0, 0, _ALLOW)]


def _one_of(argument: int, mask: int, values: tuple[int, ...], denied: int) -> list[Step]:
    """Goes on behind them where it is."""
    tests = [(_EQUAL, len(values) - at, 0, value) for at, value in enumerate(values)]
    return [(_LOAD, 0, 0, argument), (_MASK, 0, 0, mask), *tests, (_RETURN, 0, 0, denied)]


def _none_of(argument: int, values: tuple[int, ...], denied: int) -> list[Step]:
    return [
        (_LOAD, 0, 0, argument),
        *[(_EQUAL, len(values) - at, 0, value) for at, value in enumerate(values)],
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, denied),
    ]
