"""What a process that decodes gives up before it reads anything: memory, processor time, files, network, programs.

Everything here can only be tightened, never loosened again by the process itself, except the seconds of the processor,
which count a task at a time. Where a system lacks a means, it is left out: resource limits exist on Linux and macOS
(which does not enforce the one on memory), the filter of system calls and Landlock on Linux only.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from contextlib import suppress

_CALLS = {  # socket socketpair connect bind listen execve execveat ptrace process_vm_readv/writev kill tkill
    "x86_64": (0xC000003E, (41, 53, 42, 49, 50, 59, 322, 101, 310, 311, 62, 200)),
    "aarch64": (0xC00000B7, (198, 199, 203, 200, 201, 221, 281, 117, 270, 271, 129, 130)),
}
"""Machine -> its AUDIT_ARCH and the numbers of the calls that are refused; linux/audit.h, asm/unistd.h."""
_EVERYWHERE = (424, 425, 426, 427)  # pidfd_send_signal, io_uring_setup/enter/register: the same on every machine
_X32 = 0x40000000  # calls of the x32 ABI have this bit

_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # BPF opcodes, linux/bpf_common.h
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM  # linux/seccomp.h
_NO_NEW_PRIVS, _SET_SECCOMP, _FILTER_MODE = 38, 22, 2  # linux/prctl.h

_LANDLOCK_CREATE, _LANDLOCK_RESTRICT = 444, 446
_LANDLOCK_WRITES = 0b1_1111_1111_0010  # all rights of ABI 1 but executing and reading; linux/landlock.h


def confine(memory_bytes: int, open_files: int) -> None:
    """Give up everything that decoding does not need. Call it once, before any foreign byte is read.

    Args:
        memory_bytes: address space beyond what the process has mapped now.
        open_files: file descriptors that it may have at once.
    """
    with suppress(ImportError):  # Windows
        import resource

        _lower(resource.RLIMIT_AS, _mapped_bytes() + memory_bytes)
        _lower(resource.RLIMIT_NOFILE, open_files)
        _lower(resource.RLIMIT_CORE, 0)
    if sys.platform == "linux" and platform.machine() in _CALLS:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
        _refuse_writes(libc)
        _refuse_calls(libc, *_CALLS[platform.machine()])


def allow_cpu(seconds: float) -> None:
    """Let the process compute for so many seconds from now; SIGXCPU ends it after them."""
    with suppress(ImportError):
        import resource

        spent = resource.getrusage(resource.RUSAGE_SELF)
        until = round(spent.ru_utime + spent.ru_stime + seconds + 0.5)
        resource.setrlimit(resource.RLIMIT_CPU, (until, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _lower(kind: int, value: int) -> None:
    import resource

    hard = resource.getrlimit(kind)[1]
    limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
    with suppress(ValueError, OSError):  # macOS refuses some
        resource.setrlimit(kind, (limit, limit))


def _mapped_bytes() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 1 << 30


def _refuse_writes(libc: ctypes.CDLL) -> None:
    """Landlock: no file is written, made, renamed or removed; from Linux 5.13 on."""
    handled = ctypes.c_uint64(_LANDLOCK_WRITES)
    ruleset = libc.syscall(_LANDLOCK_CREATE, ctypes.byref(handled), ctypes.sizeof(handled), 0)
    if ruleset >= 0:
        libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0)
        os.close(ruleset)


def _refuse_calls(libc: ctypes.CDLL, machine: int, numbers: tuple[int, ...]) -> None:
    """Seccomp: no network, no other program, no look into other processes. A refused call fails with EPERM."""
    refused = numbers + _EVERYWHERE
    rules = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, machine), (_RETURN, 0, 0, _REFUSE)]
    rules += [(_LOAD, 0, 0, 0), (_AT_LEAST, len(refused) + 1, 0, _X32)]
    rules += [(_EQUAL, len(refused) - i, 0, number) for i, number in enumerate(refused)]
    rules += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *rule) for rule in rules))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(rules), ctypes.addressof(code)))
    libc.prctl(_SET_SECCOMP, _FILTER_MODE, program, 0, 0)
