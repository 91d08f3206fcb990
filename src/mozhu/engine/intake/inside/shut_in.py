"""Gives up everything that loading a file does not need: rights, network, processes, writing, memory without end.

``leave_network`` comes first, while there is one thread; ``shut`` after the libraries are loaded and before the
first byte of the file is read. Each returns what it reached; what the system does not offer is missing there.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import struct

_NEW_NET, _NEW_IPC, _NEW_USER = 0x40000000, 0x08000000, 0x10000000
_NOBODY = 65_534
_DUMPABLE, _NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 4, 38, 22, 2
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000 | 1, 0x80000000  # 1: EPERM

# Numbers of system calls that a loader never needs: sockets, programs, other processes, names on the disk, the kernel.
# fmt: off
_X86 = (
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 53, 54, 288, 299, 307,          # sockets
    56, 57, 58, 59, 322, 435, 62, 200, 234, 101, 310, 311, 424, 434, 438,   # clone, fork, exec, kill, ptrace, pidfd
    76, 82, 83, 84, 85, 86, 87, 88, 90, 92, 94, 133, 161, 165, 166, 155,    # names, owners, mounts
    258, 259, 260, 263, 264, 265, 266, 268, 316, 437, 428, 429, 430, 431, 432, 442,
    169, 175, 176, 246, 248, 249, 250, 272, 298, 308, 313, 320, 321, 323, 425, 426, 427,
    105, 106, 113, 114, 117, 119, 122, 123,                                 # users
)
_ARM = (
    198, 199, 200, 201, 202, 203, 206, 207, 208, 209, 210, 211, 212, 242, 243, 269,
    220, 221, 281, 435, 129, 130, 131, 117, 270, 271, 424, 434, 438,
    45, 38, 34, 35, 36, 37, 33, 52, 53, 54, 55, 51, 39, 40, 41, 276, 437, 428, 429, 430, 431, 432, 442,
    142, 105, 106, 104, 217, 218, 219, 97, 241, 268, 273, 294, 280, 282, 425, 426, 427,
    143, 144, 145, 146, 147, 149, 151, 152,
)
# fmt: on
# Machine -> (its number for seccomp, calls refused, (call that opens a file, which argument has the flags)).
_MACHINES = {
    "x86_64": (0xC000003E, _X86, ((257, 2), (2, 1))),
    "aarch64": (0xC00000B7, _ARM, ((56, 2),)),
}


def leave_network() -> list[str]:
    """A network of its own, without even a loopback."""
    libc = ctypes.CDLL(None, use_errno=True)
    for flags in (_NEW_NET | _NEW_IPC, _NEW_USER | _NEW_NET | _NEW_IPC):
        if libc.unshare(flags) == 0:
            return ["network"]
    return []


def shut(limits: dict[str, int]) -> list[str]:
    """Another user where this one is root, limits, and no system call that a loader does not need."""
    reached = []
    libc = ctypes.CDLL(None, use_errno=True)
    if os.getuid() == 0 and _become_nobody():
        reached.append("user")
        libc.prctl(_DUMPABLE, 1, 0, 0, 0)  # so that it may still name its own open files
    _limit(limits)
    reached.append("limits")
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0:
        reached.append("privileges")
        if _filter_calls(libc):
            reached.append("calls")
    return reached


def _become_nobody() -> bool:
    try:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    except OSError:
        return False
    return os.getuid() == _NOBODY


def _limit(limits: dict[str, int]) -> None:
    """No core file, a few open files, one process, and what is given of memory, seconds and written bytes."""
    used = int(_status("VmSize") or 0) * 1024
    wanted = {
        resource.RLIMIT_AS: used + limits["memory_bytes"],
        resource.RLIMIT_CPU: limits["cpu_seconds"],
        resource.RLIMIT_FSIZE: limits["written_bytes"],
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NPROC: 0,
    }
    for kind, value in wanted.items():
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))


def _status(name: str) -> str | None:
    try:
        with open("/proc/self/status", encoding="utf-8") as file:
            return next((line.split()[1] for line in file if line.startswith(f"{name}:")), None)
    except OSError:
        return None


def _filter_calls(libc: ctypes.CDLL) -> bool:
    """A seccomp filter: the calls above fail with EPERM, and so does opening a file to write."""
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        return False
    number, refused, opening = machine
    code = [_load(4), _jump(0x15, number, 1, 0), _return(_KILL), _load(0)]
    code += [_jump(0x35, 0x40000000, 0, 1), _return(_REFUSE)]  # x32 calls have other numbers
    for call in refused:
        code += [_jump(0x15, call, 0, 1), _return(_REFUSE)]
    for call, argument in opening:
        code += [_jump(0x15, call, 0, 4), _load(16 + 8 * argument)]
        code += [_jump(0x45, _WRITING, 0, 1), _return(_REFUSE), _return(_ALLOW)]
    code.append(_return(_ALLOW))
    lines = ctypes.create_string_buffer(b"".join(code))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(code), ctypes.addressof(lines)))
    return bool(libc.prctl(_SECCOMP, _FILTER, program, 0, 0) == 0)


def _load(offset: int) -> bytes:
    return struct.pack("=HBBI", 0x20, 0, 0, offset)


def _jump(kind: int, value: int, yes: int, no: int) -> bytes:
    return struct.pack("=HBBI", kind, yes, no, value)


def _return(value: int) -> bytes:
    return struct.pack("=HBBI", 0x06, 0, 0, value)
