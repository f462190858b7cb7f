"""The worker: imports an environment's frameworks once and forks a process per stage of a job.

This file runs INSIDE environments (Python 3.7 to 3.13, stdlib and NumPy); its source travels to
``python -c BOOT`` when a worker is started, so no image contains it. The host imports the frame
and value functions from here. This docstring is protocol 1, in full.

A frame is a fixed prefix (big-endian: magic ``PLAB``, u16 protocol, u32 header length, u64 payload
length), a JSON object (the header) and raw bytes (the payload). Both lengths are checked against
caps before anything is allocated. There is no pickle, no NaN or Infinity, no duplicate key.

Start (on stdin): u32 length and this source, then a ``start`` frame: socket, folder, preload,
profile, device, uids (0, or this worker's number in its container), warmup (warmup.py; empty where
only one job will come), lasting (whether many jobs will), cage (empty, or a size; then the payload
is cage.py). After that stdin is the lifetime pipe: end of file on it (also when the host is killed)
ends the worker and everything it runs. Stdout carries one frame: ``ready`` (versions, threads,
import_ms) or ``failed`` (type, message, traceback).

Session (a connection to the Unix socket, a process of its own): the worker says ``hello`` (the
facts of ``ready``), then answers each ``job`` (id, file, source, still, stages, seed, profile,
seconds, memory_mb, gpu_mb, output_mb, file_mb, values; payload: the arrays) with one ``result``,
one job at a time; ``still`` is stillness.py. A hang-up, or anything sent while a job runs, kills
the job. A frame that is no job is answered by ``refused`` (why) and the end of the session.

A ``result`` has id, status (ok, error, timeout, killed, protocol), cause, peak_kb, wall_ms,
stdout, stderr. Its payload is one frame per finished stage, passed on unread: ``outputs``
(micros, values; payload: the arrays) or ``error`` (type, message, traceback, memory, micros).

A value descriptor is ``{name, kind, dtype, shape}``; the values' little-endian C-order bytes
follow each other in the payload. Kind ``array`` stands for itself, ``scalar`` (shape []) for a
Python bool, int (64 bits) or float, ``text`` (uint8) for a str in UTF-8.
"""

from __future__ import annotations

import ctypes
import gc
import glob
import importlib
import itertools
import json
import math
import os
import pathlib
import re
import resource
import select
import shutil
import signal
import socket
import struct
import sys
import tempfile
import time
import traceback
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache, partial
from typing import Any, BinaryIO, Callable, Dict, Iterable, Iterator, Mapping, Tuple

import numpy as np

PROTOCOL = 1
MAGIC = b"PLAB"
PREFIX = struct.Struct(">4sHIQ")
HEADER_CAP = 4 << 20
PAYLOAD_CAP = 1 << 30
VALUES_CAP = 1000  # and with names and shapes of any length they fit into a header
CAPTURE_CAP = 32 << 10  # of the head and again of the tail of each of stdout and stderr
KILL_SECONDS = 10.0  # then a process that the kernel cannot kill is given up
SPARE = 64 << 20  # memory beyond the limit in which a MemoryError is reported
PDEATHSIG, DUMPABLE, SUBREAPER, NO_NEW_PRIVS = 1, 4, 36, 38  # for prctl
NAME = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
STARVED = re.compile("can't allocate memory|CUDA out of memory|OUT_OF_MEMORY|_ALLOC_FAILED")
_KINDS = "bool uint8 int8 uint16 int16 uint32 int32 uint64 int64 float16 float32 float64"
DTYPES = {name: np.dtype(name).newbyteorder("<") for name in _KINDS.split()}

_LIBC = ctypes.CDLL(None)
Header = Dict[str, Any]
Read = Callable[[int], bytes]
Pipe = Tuple[BinaryIO, BinaryIO]


class MalformedError(ValueError):
    """The other side broke the protocol; the message says how."""


# ---- frames ---------------------------------------------------------------------------------
def pack(header: Mapping[str, Any], payload: bytes = b"", follows: int = 0) -> bytes:
    """Return a frame, but its last ``follows`` bytes; raises MalformedError by the header's cap."""
    text = json.dumps(header, allow_nan=False, separators=(",", ":")).encode()
    if len(text) > HEADER_CAP:
        raise MalformedError("the header has %d bytes, %d are allowed" % (len(text), HEADER_CAP))
    return PREFIX.pack(MAGIC, PROTOCOL, len(text), len(payload) + follows) + text + payload


def read_frame(read: Read, payload_cap: int = PAYLOAD_CAP) -> tuple[Header, bytes]:
    """Read one frame with ``read(size)``, which returns exactly that much or raises.

    Raises MalformedError for whatever is no frame, before its claimed lengths are allocated.
    """
    magic, protocol, header_size, payload_size = PREFIX.unpack(read(PREFIX.size))
    if magic != MAGIC:
        raise MalformedError("a frame starts with %r, not with %r" % (MAGIC, magic))
    if protocol != PROTOCOL:
        raise MalformedError("it speaks protocol %d, not %d" % (protocol, PROTOCOL))
    if header_size > HEADER_CAP:
        raise MalformedError("a header of %d bytes; %d are allowed" % (header_size, HEADER_CAP))
    if payload_size > payload_cap:
        raise MalformedError("a payload of %d bytes; %d are allowed" % (payload_size, payload_cap))
    header = _parse(read(header_size))
    return header, read(payload_size) if payload_size else b""


def _parse(text: bytes) -> Header:
    def number(literal: str) -> float:
        value = float(literal)
        if not math.isfinite(value):
            raise ValueError("it holds the number %.20s" % literal)
        return value

    def unique(pairs: list[tuple[str, Any]]) -> Header:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("it holds a key twice")
        return found

    try:
        header = json.loads(
            text.decode("utf-8"),
            parse_float=number, parse_constant=number, object_pairs_hook=unique,
        )  # fmt: skip
    except (ValueError, RecursionError, MemoryError) as fault:
        raise MalformedError("a header is no proper JSON: %.200s" % fault) from None
    if not isinstance(header, dict):
        raise MalformedError("a header is no JSON object")
    return header


def exactly(some: Read) -> Read:
    """Return a ``read`` of all it is asked for, by one that may give less; raises EOFError."""

    def read(size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            part = some(min(size - len(data), 1 << 20))
            if not part:
                raise EOFError
            data += part
        return bytes(data)

    return read


# ---- values ---------------------------------------------------------------------------------
def encode_values(values: Mapping[str, Any], what: str = "output") -> tuple[list[Header], bytes]:
    """Return descriptors and payload; raises TypeError or ValueError naming the bad value."""
    if len(values) > VALUES_CAP:
        raise ValueError("%d %ss; %d are allowed" % (len(values), what, VALUES_CAP))
    descriptors, chunks = [], []
    for name, value in values.items():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise TypeError("%s names are printable strings, not %.60r" % (what, name))
        descriptor, data = _encode(value, "%s `%s`" % (what, name))
        descriptors.append(dict(descriptor, name=name))
        chunks.append(data)
    return descriptors, b"".join(chunks)


def _encode(value: Any, label: str) -> tuple[Header, bytes]:
    kind, array = "array", value
    if isinstance(value, str):
        data = value.encode("utf-8", "ignore")
        if data.decode("utf-8") != value:
            raise ValueError("%s is text that UTF-8 cannot hold" % label)
        kind, array = "text", np.frombuffer(data, np.uint8)
    elif isinstance(value, (bool, int, float)) and not isinstance(value, np.generic):
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ValueError("%s is an int that 64 bits cannot hold" % label)
        kind, array = "scalar", np.array(value)
    elif not isinstance(value, (np.ndarray, np.generic)):
        allowed = "return NumPy arrays, bool, int, float or str"
        whose = type(value)
        raise TypeError("%s is a %s.%s; %s" % (label, whose.__module__, whose.__name__, allowed))
    dtype = array.dtype.name
    if dtype not in DTYPES:
        raise TypeError("%s has dtype %s; allowed: %s" % (label, dtype, ", ".join(DTYPES)))
    data = np.asarray(array).astype(DTYPES[dtype], copy=False).tobytes()
    return {"kind": kind, "dtype": dtype, "shape": list(array.shape)}, data


def decode_values(descriptors: Any, payload: bytes) -> dict[str, Any]:
    """Return the values; arrays are writable copies. Raises MalformedError for every violation."""
    if not isinstance(descriptors, list) or len(descriptors) > VALUES_CAP:
        raise MalformedError("values are no list of at most %d descriptors" % VALUES_CAP)
    values: dict[str, Any] = {}
    view, offset = memoryview(payload), 0
    for descriptor in descriptors:
        name = descriptor.get("name") if isinstance(descriptor, dict) else None
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise MalformedError("a value has no proper name")
        if name in values:
            raise MalformedError("the value `%.60s` comes twice" % name)
        if set(descriptor) != {"name", "kind", "dtype", "shape"}:
            raise MalformedError("the value `%.60s` has keys missing or too many" % name)
        array = _decode_array(descriptor, view[offset:])
        values[name], offset = _meant(descriptor["kind"], array, name), offset + array.nbytes
    if offset != len(view):
        raise MalformedError("%d bytes belong to no value" % (len(view) - offset))
    return values


def _decode_array(descriptor: Header, view: Any) -> Any:
    label, shape = "the array `%.60s`" % descriptor["name"], descriptor["shape"]
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise MalformedError("%s has no proper shape" % label)
    try:
        # NumPy holds the shape, however large, against the bytes there are before it allocates.
        array = np.ndarray(shape, DTYPES[descriptor["dtype"]], view).copy()
    except KeyError:
        raise MalformedError("%s has the dtype %.40r" % (label, descriptor["dtype"])) from None
    except (TypeError, ValueError, OverflowError) as fault:
        raise MalformedError("%s is broken: %.200s" % (label, fault)) from None
    if array.dtype == bool and array.size and array.view(np.uint8).max() > 1:
        raise MalformedError("%s holds bytes that are no booleans" % label)
    return array


def _meant(kind: Any, array: Any, name: str) -> Any:
    """Return what an array stands for."""
    if kind == "array":
        return array
    if kind == "scalar" and array.dtype.name in ("bool", "int64", "float64") and not array.shape:
        return array.item()
    if kind == "text" and array.dtype.name == "uint8":
        with suppress(UnicodeDecodeError):
            return array.tobytes().decode("utf-8")
    raise MalformedError("the value `%.60s` is no proper %.20r" % (name, kind))


# ---- processes ------------------------------------------------------------------------------
def _prctl(option: int, value: int) -> None:
    _LIBC.prctl(option, value, 0, 0, 0)


def _die_with(parent: int) -> None:
    """Have the kernel kill this process with its parent."""
    _prctl(PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def _descendants(root: int) -> set[int]:
    parents, fresh = {}, {root}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError, IndexError), open("/proc/%s/stat" % name, "rb") as file:
            # The command name, in brackets, may itself hold spaces and brackets.
            parents[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
    found: set[int] = set()
    while fresh:
        fresh = {pid for pid, parent in parents.items() if parent in fresh} - found
        found |= fresh
    return found


def kill_descendants(keep: Iterable[int] = ()) -> None:
    """Kill and reap all below this process, their subreaper, but ``keep`` and what is below it."""
    me, kept, limit = os.getpid(), set(keep), time.monotonic() + KILL_SECONDS
    # Without anything to keep, whoever has no children is done: the usual case, and cheap.
    while time.monotonic() < limit and (kept or _reap()):
        victims = _descendants(me) - kept.union(*map(_descendants, kept))
        if not victims:
            return
        for pid in victims:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
            _reap(pid)
        time.sleep(0.001)


def _wake_on_children() -> tuple[int, int]:
    """Return the ends of a pipe that becomes readable when a child ends."""
    ends = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(ends[1])
    return ends


def _reap(pid: int = -1) -> bool:
    """Reap what has ended; return False when there is no such child (any more)."""
    with suppress(ChildProcessError):
        while os.waitpid(pid, os.WNOHANG)[0]:
            pass
        return True
    return False


def _fork(child: Callable[[], object]) -> int:
    """Run ``child`` in a process that dies with this one; return its number.

    Its exit code is what ``child`` returns, or 70 for whatever else happens.
    """
    me, pid = os.getpid(), os.fork()
    if pid:
        return pid
    code: Any = 70
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _die_with(me)
        code = child() or 0
    finally:
        os._exit(code)


@contextmanager
def _acting_as(uid: int) -> Iterator[None]:
    """Have the rights of ``uid``, none of whose processes is alive; a fork for it costs 5 ms."""
    parent = os.getppid()
    os.setresuid(-1, uid, 0)
    try:
        yield
    finally:
        os.setresuid(-1, 0, 0)
        _die_with(parent)  # a change of uid forgets it


def _become(uid: int) -> None:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _fresh_uid(session: int, number: int) -> int:
    """Return a uid that none of the last 65,536 sessions (rootless: 63) had, nor 256 jobs here."""
    with open("/proc/self/uid_map") as file:
        size = max(int(line.split()[2]) for line in file)
    base, slots = (100000, 1 << 22) if size >= 1 << 31 else (1000, (size - 1000) // 256)
    return base + (session % slots) * 256 + number % 256


def _remove(folder: str) -> None:
    """Remove a folder of a job that has ended, also one that it made unreadable."""
    with suppress(OSError):
        os.chmod(folder, 0o700)
    with suppress(RecursionError):
        for path, folders, _ in os.walk(folder):
            for inner in (os.path.join(path, name) for name in folders):
                with suppress(OSError):
                    if not os.path.islink(inner):
                        os.chmod(inner, 0o700)
        shutil.rmtree(folder, ignore_errors=True)
    if os.path.lexists(folder):  # nested deeper than Python follows
        with suppress(OSError):
            os.spawnv(os.P_WAIT, "/bin/rm", ["rm", "-rf", "--", folder])  # noqa: S606


def _end_all(uid: int) -> None:
    """Become ``uid`` and kill all it has; the kernel lets none of them fork meanwhile."""
    _become(uid)
    with suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)


def _leave_nothing(uid: int, folder: str) -> None:
    """Remove what a job left in its folder and in shared places: what its uid may, no more."""
    for place in (folder, "/tmp", "/dev/shm", "/dev/mqueue", "/var/tmp"):  # noqa: S108 - to clean
        for entry in os.scandir(place) if os.path.isdir(place) else ():
            with suppress(OSError):  # others remove theirs at the same time
                if entry.stat(follow_symlinks=False).st_uid == uid:
                    (_remove if entry.is_dir(follow_symlinks=False) else os.unlink)(entry.path)


@lru_cache(maxsize=4)
def _compiled(name: str, source: str) -> Any:
    return compile(source, "<paritylab %s>" % name, "exec")


def _sent(name: str, source: str) -> dict[str, Any]:
    """What is in one of our own files that the host has sent along."""
    found: dict[str, Any] = {"__name__": "paritylab_" + name}
    exec(_compiled(name, source), found)
    return found


# ---- the process of one stage ---------------------------------------------------------------
class Job:
    """A job inside its session: what was asked, and the folder and uid it has for itself.

    The folder holds ``code`` (the implementation, out of the job's reach where it has a uid) and
    ``work`` (made by the first stage, shared by all). ``uid`` is None where jobs run as the user.
    """

    def __init__(self, header: Header, payload: bytes, start: Header, number: int) -> None:
        self.id, self.file, self.source = (str(header[key]) for key in ("id", "file", "source"))
        if os.path.basename(self.file) != self.file or not self.file.endswith(".py"):
            raise MalformedError("file is no name of a Python file: %.60r" % self.file)
        self.stages = [str(stage) for stage in header["stages"]]
        self.seed, self.memory_mb, self.file_mb, self.output_mb, self.gpu_mb = (
            int(header[key]) for key in ("seed", "memory_mb", "file_mb", "output_mb", "gpu_mb")
        )
        self.still = str(header["still"])
        _compiled("stillness", self.still)  # once for all jobs: it is kept
        self.seconds = float(header["seconds"])
        self.descriptors, self.payload = header["values"], payload
        decode_values(self.descriptors, payload)
        self.profile, self.device, self.caged = start["profile"], start["device"], start["cage"]
        if header["profile"] != self.profile:
            raise MalformedError("this worker is for the profile %s" % self.profile)
        self.printed = [Sink(CAPTURE_CAP, CAPTURE_CAP) for _ in ("stdout", "stderr")]
        self.uid = _fresh_uid(start["session"], number) if start["uids"] else None
        self.folder = start["prefix"] + str(number)
        self.code, self.work = (os.path.join(self.folder, name) for name in ("code", "work"))

    def unpack(self) -> None:
        """Make the folder, with the implementation in it."""
        os.makedirs(self.code)  # the umask hides both from others
        path = os.path.join(self.code, self.file)
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(self.source)
        if self.uid is not None:
            os.chmod(path, 0o444)
            os.chmod(self.code, 0o555)  # noqa: S103 - nobody else knows its name
            os.chmod(self.folder, 0o1777)  # noqa: S103 - likewise; `code` stays root's

    def clear(self) -> None:
        """Kill everything the job has left and remove its folder."""
        kill_descendants()
        if self.uid is not None:
            with _acting_as(self.uid):
                _leave_nothing(self.uid, self.folder)
        _remove(self.folder)


def _enter(job: Job) -> None:
    """Take the limits, the uid and the working directory of the job."""
    parent = os.getppid()
    _prctl(DUMPABLE, 1)  # else /proc/self belongs to root, and libraries read it
    os.setsid()
    if job.caged:
        os.nice(19)  # the session, which must be able to end a hundred busy ones, goes first
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")  # when memory ends, the job goes, not the worker
    _limit(resource.RLIMIT_CORE, 1)  # with 0 the host's crash handler would still be started
    _limit(resource.RLIMIT_NOFILE, 1024)
    _limit(resource.RLIMIT_FSIZE, job.file_mb << 20)
    _limit(resource.RLIMIT_CPU, int(job.seconds * (os.cpu_count() or 1)) + 5, spare=5)
    if job.device == "cpu":  # CUDA maps far more than it uses
        with open("/proc/self/statm") as file:
            inherited = int(file.read().split()[5]) * resource.getpagesize()
        _limit(resource.RLIMIT_DATA, inherited + (job.memory_mb << 20), spare=SPARE)
    if job.uid is not None:
        # Elsewhere it would count all that the user runs. Measured: no lab has more than 67.
        _limit(resource.RLIMIT_NPROC, (96 if job.caged else 256) + 8 * (os.cpu_count() or 1))
        _become(job.uid)
        _prctl(DUMPABLE, 1)  # the change of uid took it away
    _prctl(NO_NEW_PRIVS, 1)
    _die_with(parent)  # after the change of uid, which forgets it
    os.makedirs(job.work, exist_ok=True)
    os.chdir(job.work)
    for name in ("HOME", "TMPDIR", "PWD"):  # not by `update`, which asks every class of mappings
        os.environ[name] = job.work
    tempfile.tempdir = None  # an import may have asked for the old one


def _limit(what: int, value: int, spare: int = 0) -> None:
    hard = resource.getrlimit(what)[1]
    top = value + spare if hard == resource.RLIM_INFINITY else min(value + spare, hard)
    resource.setrlimit(what, (min(value, top), top))


def _outputs(job: Job, stage: str) -> tuple[list[Header], bytes]:
    """Import the implementation as a module of its file's name; return what the stage returns."""
    sys.path.insert(0, job.code)
    sys.dont_write_bytecode = True
    sys.modules.pop(job.file[:-3], None)
    function = getattr(importlib.import_module(job.file[:-3]), stage, None)
    if not callable(function):
        raise AttributeError("%s has no function `%s(inputs, workdir)`" % (job.file, stage))
    values = function(decode_values(job.descriptors, job.payload), pathlib.Path(job.work))
    if not isinstance(values, Mapping):
        kind = type(values).__name__
        raise TypeError("`%s` returned a %s, not a dict of named outputs" % (stage, kind))
    # Before they are copied: memory may be short.
    sizes = {name: int(getattr(value, "nbytes", 0)) for name, value in values.items()}
    total = sum(sizes.values())
    if total > job.output_mb << 20:
        raise ValueError(
            "outputs of %.1f MiB, %d are allowed (limits.output_mb); the largest is `%s`"
            % (total / 2.0**20, job.output_mb, max(sizes, key=lambda name: sizes[name]))
        )
    return encode_values(values)


def _stage(job: Job, stage: str, result: BinaryIO) -> int:
    """Run one stage and write its frame; return the exit code: 0 for outputs, 1 for an error."""
    header: Header = {}
    began, code, data = time.perf_counter(), 1, b""
    try:
        _enter(job)
        _sent("stillness", job.still)["hold"](job)
        began = time.perf_counter()
        values, data = _outputs(job, stage)
        header, code = {"kind": "outputs", "values": values}, 0
    except BaseException as fault:
        if isinstance(fault, MemoryError):
            traceback.clear_frames(fault.__traceback__)
            hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
            resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))
        header = _error(fault, job)
    header["micros"] = int((time.perf_counter() - began) * 1e6)
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    result.write(pack(header, follows=len(data)))
    result.write(data)  # on its own: at the limit of memory there is no room for a copy
    result.flush()
    return code


def _error(fault: BaseException, job: Job | None = None) -> Header:
    """Describe an exception; the traceback begins where the implementation does."""
    trace, kind = fault.__traceback__, type(fault)
    while job and trace and not trace.tb_frame.f_code.co_filename.startswith(job.code):
        trace = trace.tb_next
    try:
        message, text = str(fault), "".join(traceback.format_exception(kind, fault, trace))
    except BaseException:
        message, text = "(the exception cannot be shown)", ""
    if job:
        text = text.replace(job.code + os.sep, "").replace(job.work, "workdir")
    if isinstance(fault, SystemExit):
        message = "the implementation called sys.exit(%s)" % message[:100]
    starved = isinstance(fault, MemoryError) or kind.__name__ == "ResourceExhaustedError"
    return {
        "kind": "error", "type": kind.__name__[:200], "message": message[:4000],
        "traceback": text[-16000:],
        "memory": starved or bool(STARVED.search(message)),
    }  # fmt: skip


# ---- the session ----------------------------------------------------------------------------
class Sink:
    """What comes out of a pipe: its head and its tail, however much there is."""

    def __init__(self, head_cap: int, tail_cap: int) -> None:
        self.head, self.tail, self.total = bytearray(), bytearray(), 0
        self.head_cap, self.tail_cap = head_cap, tail_cap

    def feed(self, data: bytes) -> None:
        """Take more; what has no room is counted and let go."""
        self.total += len(data)
        room = self.head_cap - len(self.head)
        self.head += data[:room]
        if self.tail_cap:
            self.tail = (self.tail + data[room:])[-self.tail_cap :]

    def text(self) -> str:
        """Return it all, or both ends and how much was left out between them."""
        lost = self.total - len(self.head) - len(self.tail)
        middle = b"\n[... %d bytes left out ...]\n" % lost if lost else b""
        return bytes(self.head + middle + self.tail).decode("utf-8", "replace")


class Session:
    """One connection: reads jobs, runs them one at a time, answers."""

    def __init__(self, connection: socket.socket, start: Header, facts: Header) -> None:
        self.connection, self.start, self.facts = connection, start, facts
        self.wake = _wake_on_children()

    def serve(self) -> None:
        """Say hello and answer jobs until the host hangs up."""
        self.connection.sendall(pack(dict(self.facts, kind="hello")))
        for number in itertools.count(1):
            try:
                header, payload = read_frame(exactly(self.connection.recv))
                if header.get("kind") != "job":
                    raise MalformedError("a %.40r where a job was due" % header.get("kind"))
                job = Job(header, payload, self.start, number)
            except (KeyError, TypeError, ValueError) as fault:
                why = "no proper job: %.1000s" % fault
                self.connection.sendall(pack({"kind": "refused", "why": why}))
                return
            self._answer(job)

    def _answer(self, job: Job) -> None:
        payload, peak, verdict, began = b"", 0, ("ok", ""), time.monotonic()
        try:
            job.unpack()
            for stage in job.stages:
                frame, verdict, used = self._run(job, stage, began + job.seconds)
                payload, peak = payload + frame, max(peak, used)
                if verdict[0] != "ok":
                    break
        except OSError as fault:  # no space for the folder, no process to be had
            verdict = ("error", "the worker could not run it: %s" % fault)
        finally:
            job.clear()
        header = {
            "kind": "result", "id": job.id, "status": verdict[0], "cause": verdict[1],
            "peak_kb": peak, "wall_ms": int((time.monotonic() - began) * 1000),
            "stdout": job.printed[0].text(), "stderr": job.printed[1].text(),
        }  # fmt: skip
        self.connection.sendall(pack(header, payload))

    def _run(self, job: Job, stage: str, limit: float) -> tuple[bytes, tuple[str, str], int]:
        """Run one stage; return its frame, (status, cause) and peak memory in KiB."""
        answer, before = Sink((job.output_mb << 20) + HEADER_CAP, 0), _oom_kills()
        with ExitStack() as opened:
            pipes = [_pipe(opened) for _ in range(3)]
            pid = _fork(partial(self._become_stage, job, stage, pipes))
            for _, write in pipes:
                write.close()
            reads = [read.fileno() for read, _ in pipes]
            sinks = dict(zip(reads, [*job.printed, answer]))  # noqa: B905 - not in Python 3.7
            why, status, usage = self._watch(pid, sinks, limit)
            if job.uid is not None and _reap():
                with suppress(OSError):  # one call for all of a fork bomb
                    os.waitpid(_fork(partial(_end_all, job.uid)), 0)
            kill_descendants()
            for fd, sink in sinks.items():
                # What is left in it; its writers have ended.
                while select.select([fd], [], [], 0)[0] and _pour(fd, sink):
                    pass
        if why == "hangup":
            raise EOFError
        verdict = _verdict(why, status, answer.total > 0, _oom_kills() > before)
        # Half of a frame is of no use to anybody, and may be long.
        return b"" if why == "overflow" else bytes(answer.head), verdict, int(usage.ru_maxrss)

    def _become_stage(self, job: Job, stage: str, pipes: list[Pipe]) -> int:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        result = pipes[2][1]
        os.dup2(pipes[0][1].fileno(), 1)
        os.dup2(pipes[1][1].fileno(), 2)
        self.connection.close()
        for fd in self.wake:
            os.close(fd)
        for end in itertools.chain(*pipes):
            if end is not result:
                end.close()
        return _stage(job, stage, result)

    def _watch(self, pid: int, sinks: dict[int, Sink], limit: float) -> tuple[str, int, Any]:
        """Drain the streams until the process ends or must end; return why, status, usage."""
        poll = select.poll()
        for fd in [*sinks, self.wake[0], self.connection.fileno()]:
            poll.register(fd, select.POLLIN)
        why = ""
        while not why:
            ended, status, usage = os.wait4(pid, os.WNOHANG)
            if ended:
                return "", status, usage
            left = limit - time.monotonic()
            why = self._step(poll, sinks, left) if left > 0 else "timeout"
        os.kill(pid, signal.SIGKILL)
        return (why, *os.wait4(pid, 0)[1:])

    def _step(self, poll: Any, sinks: dict[int, Sink], left: float) -> str:
        """Wait for something to happen; return why the stage must end, if it must."""
        for fd, _ in poll.poll(min(left, 60.0) * 1000 + 1):
            if fd == self.wake[0]:
                os.read(fd, 4096)
            elif fd == self.connection.fileno():
                return "hangup"
            elif not _pour(fd, sinks[fd]):
                poll.unregister(fd)
            elif sinks[fd].total > sinks[fd].head_cap and not sinks[fd].tail_cap:
                return "overflow"
        return ""


def _pipe(opened: ExitStack) -> Pipe:
    """Return the files at the ends of a new pipe, which end with ``opened``."""
    read, write = os.pipe()
    return opened.enter_context(open(read, "rb")), opened.enter_context(open(write, "wb"))


def _pour(fd: int, sink: Sink) -> bool:
    """Move what a pipe holds; return False at its end."""
    data = os.read(fd, 1 << 18)
    sink.feed(data)
    return bool(data)


def _oom_kills() -> int:
    """How many processes of this container the kernel has killed for memory, as far as known."""
    for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"):
        with suppress(OSError, ValueError), open(path) as file:
            return int(dict(line.split() for line in file).get("oom_kill", 0))
    return 0


def _verdict(why: str, status: int, answered: bool, starved: bool) -> tuple[str, str]:
    """Return (status, cause) of a stage from how its process ended."""
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    code = os.WEXITSTATUS(status)
    if why == "overflow":
        return "protocol", "it sent more than limits.output_mb allows"
    if why == "timeout":
        return "timeout", "it ran past its deadline and was killed"
    if number == signal.SIGXCPU:
        return "timeout", "it used more processor time than its deadline allows"
    if number:
        names = {int(known): known.name for known in signal.Signals}  # not all have one
        cause = "ended by signal %d (%s)" % (number, names.get(number, "real-time"))
        starved = starved and number == signal.SIGKILL
        return "killed", "out of memory: the kernel killed it" if starved else cause
    if code or not answered:
        given = "an exception, or exit code %d" if answered else "exit code %d and no result"
        return "error", ("the process ended with " + given) % code
    return "ok", ""


# ---- the zygote -----------------------------------------------------------------------------
def _preload(names: list[str], warmup: str, lasting: bool) -> Header:
    """Import and warm; return the facts that ``ready`` and ``hello`` tell."""
    began, before_forks = time.monotonic(), _sent("warmup", warmup)
    gc.disable()  # nearly all that imports make stays; walking it takes up to a fifth of their time
    importlib.import_module("numpy.random")  # NumPy 2 leaves it to the first use
    versions = {"python": sys.version.split()[0], "numpy": np.__version__}
    for name in names:
        versions[name] = str(getattr(importlib.import_module(name), "__version__", "unknown"))
        if warmup:
            before_forks["warm"](name)
    import_ms = int((time.monotonic() - began) * 1000)
    if lasting:
        before_forks["gather_pages"]()
    gc.freeze()  # a fork would walk it all, and so copy it; to look for garbage first takes longer
    gc.enable()
    threads = len(os.listdir("/proc/self/task"))
    return {"versions": versions, "threads": threads, "import_ms": import_ms}


class Zygote:
    """Accepts connections and forks a session for each; runs no job code and has no threads."""

    def __init__(self, host: int, listener: socket.socket, start: Header, facts: Header) -> None:
        self.host, self.listener, self.start, self.facts = host, listener, start, facts
        self.enter = start.pop("enter")
        # Numbers of their own for up to 64 workers in a container, beginning anywhere: the kernel
        # counts a uid's processes over all containers, and a fork bomb must not take another's.
        first = int.from_bytes(os.urandom(2), "big") << 6
        self.numbers = itertools.count(first + start["uids"] % 64, 64)
        self.wake = _wake_on_children()
        self.sessions: dict[int, str] = {}

    def serve(self) -> None:
        """Serve until the lifetime pipe ends."""
        poll = select.poll()
        for fd in (self.host, self.wake[0], self.listener.fileno()):
            poll.register(fd, select.POLLIN)
        while True:
            for fd, _ in poll.poll():
                if fd == self.host:
                    return
                if fd == self.wake[0]:
                    os.read(fd, 4096)
                    self._bury()
                else:
                    with suppress(OSError):  # no process to be had: this caller is hung up on
                        self._open()

    def _open(self) -> None:
        # Nobody can list the parent folder, so nobody else's job finds a session's.
        # Short: libraries put sockets below it, whose paths have room for 107 bytes.
        prefix = os.path.join(self.start["folder"], os.urandom(8).hex() + "-")
        with self.listener.accept()[0] as connection:
            start = dict(self.start, prefix=prefix, session=next(self.numbers))
            pid = _fork(partial(self._become_session, connection, start))
        self.sessions[pid] = prefix

    def _become_session(self, connection: socket.socket, start: Header) -> int:
        _prctl(SUBREAPER, 1)
        for fd in (self.host, *self.wake, self.listener.detach()):
            os.close(fd)
        try:
            if self.enter:
                self.enter(start, connection.close)
            with suppress(EOFError, OSError):
                Session(connection, start, self.facts).serve()
        except OSError as fault:  # there is no cage to be had
            connection.sendall(pack(dict(_error(fault), kind="failed")))
        finally:
            kill_descendants()
        return 0

    def _bury(self) -> None:
        """Reap sessions; what an untimely dead one leaves becomes ours, and is killed."""
        for pid, prefix in list(self.sessions.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del self.sessions[pid]
            if ended and status:
                kill_descendants(keep=self.sessions)
                for folder in glob.glob(prefix + "*"):
                    _remove(folder)


def _prepare(start: Header) -> tuple[Header, socket.socket]:
    """Do as the start frame says; return the facts of ``ready`` and the listener."""
    facts = _preload(start["preload"], start["warmup"], start["lasting"])
    if start["uids"]:
        os.chmod(start["folder"], 0o711)  # noqa: S103 - jobs pass, and cannot list it
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(start["socket"])
    listener.listen(64)
    listener.setblocking(False)  # the zygote must never wait for a caller
    return facts, listener


def _serve(start: Header) -> None:
    """Say ``ready``, or ``failed`` and why; then serve as long as somebody listens."""
    with open(os.dup(1), "wb") as answer:
        os.dup2(2, 1)  # what an import prints is no frame
        try:
            facts, listener = _prepare(start)
        except BaseException as fault:
            answer.write(pack(dict(_error(fault), kind="failed")))
            return
        finally:
            print(end="", flush=True)  # else each fork says it again
            print(end="", flush=True, file=sys.stderr)
        answer.write(pack(dict(facts, kind="ready")))
    host = os.dup(0)
    with open(os.devnull, "r+b", 0) as nothing:
        for fd in range(3):
            os.dup2(nothing.fileno(), fd)
    _prctl(DUMPABLE, 0)  # no job may trace us
    Zygote(host, listener, start, facts).serve()


def main(stdin: BinaryIO) -> None:
    """Be a worker: the start frame is next on stdin (see the module's docstring)."""
    sys.path[:] = [path for path in sys.path if path]
    os.umask(0o077)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    _prctl(SUBREAPER, 1)
    start, source = read_frame(exactly(stdin.read))
    start["enter"] = _sent("cage", source.decode()).get("enter")
    try:
        _serve(start)
    finally:
        kill_descendants()
        if not start["uids"]:  # in a container all goes with it
            _remove(start["folder"])
            with suppress(OSError):
                os.unlink(start["socket"])
                os.rmdir(os.path.dirname(start["socket"]))
        os._exit(0)
