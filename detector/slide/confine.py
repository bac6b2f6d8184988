"""Confinement of a process that reads a file which nobody has looked at yet.

What a decoder that was taken over can still do in preparing: read the libraries and the slide's own folder, and write
into that. Servers, which read what was prepared, are held to less (`confine_server`).
Memory, time and open files are bounded by resource limits; files and programs by Landlock, where the kernel has it
(Linux 5.13 and later); sockets of every kind, signals to others and what gets round them by a filter of system calls.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # system calls, of the same number on every architecture
_ASK_VERSION = 1
_PATH_BENEATH = 1
_PARENT_DEATH_SIGNAL, _NO_NEW_PRIVILEGES = 1, 38  # of prctl

# Bits of linux/landlock.h, by the version in which they came.
_EXECUTE, _READ_FILE, _READ_FOLDER = 1 << 0, 1 << 2, 1 << 3
_ALL_OVER_FILES = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_ALL_OVER_TCP = 0b11  # bind, connect
_LINKS_CAME, _TCP_CAME = 2, 4  # before, no file may be linked into another folder

_LIBRARIES = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache")
_MACHINE = ("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu")


# Of linux/seccomp.h and linux/filter.h: load a word, compare, return.
_SECCOMP_FILTER, _ALL_THREADS = 1, 1
_LOAD, _IS, _IS_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER, _ARCHITECTURE = 0, 4  # where a filter finds them
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
_OTHER_NUMBERS = 0x40000000  # from here on, those of x32
# By machine: its name for filters, the number of the call `seccomp`, and what is refused: socket, kill, tkill, tgkill,
# rt_sigqueueinfo, rt_tgsigqueueinfo, ptrace, process_vm_writev; and, of the same number everywhere, pidfd_send_signal,
# io_uring_setup, pidfd_open, pidfd_getfd.
_CALLS = {
    "x86_64": (0xC000003E, 317, (41, 62, 200, 234, 129, 297, 101, 311, 424, 425, 434, 438)),
    "aarch64": (0xC00000B7, 277, (198, 129, 130, 131, 138, 240, 117, 271, 424, 425, 434, 438)),
}


class _Instruction(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint16), ("yes", ctypes.c_uint8), ("no", ctypes.c_uint8), ("k", ctypes.c_uint32)]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint16), ("filter", ctypes.POINTER(_Instruction))]


class _Ruleset(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("tcp", ctypes.c_uint64)]


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("descriptor", ctypes.c_int32)]


def end_with_parent() -> None:
    """From here on this process is killed when the one that started it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)


def limit(*, memory_bytes: int, seconds: int) -> None:
    """Bound what this process may take: address space, processor time, open files; and leave no core file."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def confine(folder: Path) -> bool:
    """From here on this process reads libraries alone, writes below `folder` alone, starts nothing, connects nowhere.

    It also reads the files to which links below `folder`/original lead: those of a slide that is used in place.
    False where the kernel has no Landlock; the process then reads, writes and starts what it did before.
    """
    ours = Path(__file__).resolve().parents[1]  # not the folder above it: it may hold data, secrets and other slides
    used_in_place = (str(path.resolve()) for path in (folder / "original").rglob("*") if path.is_symlink())
    reads = {*_LIBRARIES, *_MACHINE, sys.prefix, sys.base_prefix, str(ours), *used_in_place}
    restricted = _restrict(reads=reads, writes={str(folder)}, tcp=False)
    return _refuse_calls() and restricted


def confine_server(*, writes: Iterable[Path], reads: Iterable[Path], programs: Iterable[Path] = ()) -> bool:
    """From here on this process writes below some folders and devices alone, reads below these and some others alone,
    and starts `programs` alone. It connects.

    For a server that opens files which others have sent: what takes it over changes no program, leaves nothing behind
    elsewhere, and does not see what is none of its business. False where the kernel has no Landlock; the process is
    then as free as before.
    """
    if _version() < _LINKS_CAME:
        return False
    both = {"/dev", *map(str, writes)}
    return _restrict(reads=map(str, reads), writes=both, starts=map(str, programs), tcp=True)


def _restrict(*, reads: Iterable[str], writes: Iterable[str], starts: Iterable[str] = (), tcp: bool) -> bool:
    """Restrict this process and what it starts to these paths; tcp: leave connections alone."""
    libc, version = ctypes.CDLL(None), _version()
    if version < 1:
        return False
    everything = _ALL_OVER_FILES[min(version, max(_ALL_OVER_FILES))]
    rules = _Ruleset(everything, 0 if tcp else _ALL_OVER_TCP)
    size = ctypes.sizeof(rules) if version >= _TCP_CAME else ctypes.sizeof(ctypes.c_uint64)
    ruleset = libc.syscall(_CREATE_RULESET, ctypes.byref(rules), size, 0)
    if ruleset < 0:
        return False
    for path in reads:
        _allow(libc, ruleset, path, _READ_FILE | _READ_FOLDER)
    for path in writes:
        _allow(libc, ruleset, path, everything & ~_EXECUTE)
    for path in starts:
        _allow(libc, ruleset, path, _EXECUTE)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    confined = libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0
    os.close(ruleset)
    return bool(confined)


def _refuse_calls() -> bool:
    """Refuse this process sockets and signals to others; True as well on machines whose calls are not known here."""
    if sys.platform != "linux" or platform.machine() not in _CALLS:
        return True
    architecture, seccomp, refused = _CALLS[platform.machine()]
    code = [(_LOAD, 0, 0, _ARCHITECTURE), (_IS, 0, len(refused) + 3, architecture), (_LOAD, 0, 0, _NUMBER)]
    code += [(_IS_AT_LEAST, len(refused) + 1, 0, _OTHER_NUMBERS)]
    code += [(_IS, len(refused) - at, 0, number) for at, number in enumerate(refused)]
    code += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)]
    program = _Program(len(code), (_Instruction * len(code))(*(_Instruction(*one) for one in code)))
    libc = ctypes.CDLL(None)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    return bool(libc.syscall(seccomp, _SECCOMP_FILTER, _ALL_THREADS, ctypes.byref(program)) == 0)


def _version() -> int:
    """Of the kernel's Landlock; 0 where it has none."""
    if sys.platform != "linux":
        return 0
    return max(0, int(ctypes.CDLL(None).syscall(_CREATE_RULESET, None, 0, _ASK_VERSION)))


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    if not Path(path).exists():
        return
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    rule = _Beneath(rights if Path(path).is_dir() else rights & (_READ_FILE | _EXECUTE), descriptor)
    libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
    os.close(descriptor)
