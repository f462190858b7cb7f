"""The worker: imports an environment's frameworks once and forks a process per stage of a job.

This file runs INSIDE environments (Python 3.7 to 3.13, stdlib and NumPy); its source travels to
``python -c BOOT`` when a worker is started, so no image contains it. The host imports the frame
and value functions from here. This docstring is protocol 1, in full.

A frame is a fixed prefix (big-endian: magic ``PLAB``, u16 protocol, u32 header length, u64 payload
length), a JSON object (the header) and raw bytes (the payload). Both lengths are checked against
caps before anything is allocated. There is no pickle, no NaN or Infinity, no duplicate key.

Start (on stdin): u32 length and this source, then a ``start`` frame: socket, folder, preload,
profile, device, uids. After that stdin is the lifetime pipe: end of file on it (also when the host
is killed) ends the worker and everything it runs. Stdout carries one frame: ``ready`` (versions,
threads, import_seconds) or ``failed`` (type, message, traceback).

Session (a connection to the Unix socket, a process of its own): the worker says ``hello`` (the
facts of ``ready``), then answers each ``job`` (id, file, source, stages, seed, profile, seconds,
memory_mb, output_mb, file_mb, values; payload: the arrays) with one ``result``, one job at a
time. A hang-up, or anything sent while a job runs, kills the job. A frame that is no job is
answered by ``refused`` (why) and the end of the session.

A ``result`` has id, status (ok, error, timeout, killed, protocol), cause, peak_kb, wall_ms,
stdout, stderr. Its payload is one frame per finished stage, passed on unread: ``outputs``
(micros, values; payload: the arrays) or ``error`` (type, message, traceback, memory, micros).

A value descriptor is ``{name, kind}`` with kind ``array`` (dtype, shape; its little-endian C-order
bytes follow those of the array before), ``bool``, ``int`` (64 bits), ``float`` (hexadecimal text:
NaN has a word there, and no digit is lost) or ``str``; the last four carry ``value``.
"""

from __future__ import annotations

import collections.abc
import ctypes
import gc
import glob
import importlib
import importlib.util
import json
import math
import os
import pathlib
import random
import re
import resource
import select
import shutil
import signal
import socket
import struct
import sys
import time
import traceback
from contextlib import suppress
from typing import Any, Callable, Dict, Iterable, List, Mapping, NoReturn, Optional, Set, Tuple

import numpy as np

PROTOCOL = 1
MAGIC = b"PLAB"
PREFIX = struct.Struct(">4sHIQ")
HEADER_CAP = 4 << 20
PAYLOAD_CAP = 1 << 30
VALUES_CAP = 10000
CAPTURE_CAP = 32 << 10  # of the head and again of the tail of each of stdout and stderr
SPARE = 64 << 20  # memory beyond the limit in which a MemoryError is reported
NAME = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
DTYPES = {
    name: np.dtype(name).newbyteorder("<")
    for name in (
        "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64",
        "float16", "float32", "float64",
    )
}  # fmt: skip
# What `python -c` runs: takes exactly the source, leaves the rest of stdin to it.
BOOT = """\
import os, sys
def take(size):
    data = b""
    while len(data) < size:
        part = os.read(0, size - len(data))
        if not part:
            os._exit(0)
        data += part
    return data
module = type(sys)("paritylab_worker")
sys.modules[module.__name__] = module
exec(compile(take(int.from_bytes(take(4), "big")), "<paritylab worker>", "exec"), module.__dict__)
module.main()
"""

Header = Dict[str, Any]
Read = Callable[[int], bytes]


class MalformedError(ValueError):
    """The other side broke the protocol; the message says how."""


# ---- frames ---------------------------------------------------------------------------------


def pack(header: Mapping[str, Any], payload: bytes = b"") -> bytes:
    """Return a frame; raises MalformedError when the header exceeds its cap."""
    text = json.dumps(header, allow_nan=False, separators=(",", ":")).encode()
    if len(text) > HEADER_CAP:
        raise MalformedError("the header has %d bytes, %d are allowed" % (len(text), HEADER_CAP))
    return PREFIX.pack(MAGIC, PROTOCOL, len(text), len(payload)) + text + payload


def read_frame(read: Read, payload_cap: int = PAYLOAD_CAP) -> Tuple[Header, bytes]:
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
            raise MalformedError("a header holds the number %.20s" % literal)
        return value

    def unique(pairs: List[Tuple[str, Any]]) -> Header:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise MalformedError("a header holds a key twice")
        return found

    try:
        header = json.loads(
            bytes(text).decode("utf-8"),
            parse_float=number, parse_constant=number, object_pairs_hook=unique,
        )  # fmt: skip
    except MalformedError:
        raise
    except (ValueError, RecursionError, MemoryError) as fault:
        raise MalformedError("a header is no JSON: %s" % str(fault)[:200]) from None
    if not isinstance(header, dict):
        raise MalformedError("a header is no JSON object")
    return header


def reader(data: bytes) -> Read:
    """Return a ``read`` over bytes; raises MalformedError when they end early."""
    view, position = memoryview(data), [0]

    def read(size: int) -> bytes:
        start, position[0] = position[0], position[0] + size
        if position[0] > len(view):
            raise MalformedError("a frame ends in the middle")
        return bytes(view[start : position[0]])

    return read


# ---- values ---------------------------------------------------------------------------------


def encode_values(values: Mapping[str, Any], what: str = "output") -> Tuple[List[Header], bytes]:
    """Return descriptors and payload; raises TypeError or ValueError naming the bad value."""
    descriptors, chunks = [], []
    for name, value in values.items():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise TypeError("%s names are printable strings, not %.60r" % (what, name))
        label = "%s `%s`" % (what, name)
        descriptor, data = _encode(value, label)
        descriptors.append(dict(descriptor, name=name))
        chunks.append(data)
    return descriptors, b"".join(chunks)


def _encode(value: Any, label: str) -> Tuple[Header, bytes]:
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError("%s is text that UTF-8 cannot hold" % label) from None
        if len(value) > HEADER_CAP // 8:
            raise ValueError("%s has %d characters; too long" % (label, len(value)))
        return {"kind": "str", "value": str(value)}, b""
    if isinstance(value, (np.ndarray, np.generic)):
        return _encode_array(np.asarray(value), label)
    if isinstance(value, bool):
        return {"kind": "bool", "value": value}, b""
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ValueError("%s is an int that 64 bits cannot hold" % label)
        return {"kind": "int", "value": int(value)}, b""
    if isinstance(value, float):
        return {"kind": "float", "value": float(value).hex()}, b""
    raise TypeError(
        "%s is a %s.%s; return NumPy arrays, bool, int, float or str"
        % (label, type(value).__module__, type(value).__name__)
    )


def _encode_array(array: Any, label: str) -> Tuple[Header, bytes]:
    if array.dtype.name not in DTYPES:
        allowed = ", ".join(DTYPES)
        raise TypeError("%s has dtype %s; allowed: %s" % (label, array.dtype, allowed))
    plain = array.astype(DTYPES[array.dtype.name], order="C", copy=False)
    descriptor = {"kind": "array", "dtype": array.dtype.name, "shape": list(array.shape)}
    return descriptor, plain.tobytes()


def decode_values(descriptors: Any, payload: bytes) -> Dict[str, Any]:
    """Return the values; arrays are writable copies. Raises MalformedError for every violation."""
    if not isinstance(descriptors, list) or len(descriptors) > VALUES_CAP:
        raise MalformedError("values are no list of at most %d descriptors" % VALUES_CAP)
    values: Dict[str, Any] = {}
    view, offset = memoryview(payload), 0
    for descriptor in descriptors:
        name = descriptor.get("name") if isinstance(descriptor, dict) else None
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise MalformedError("a value has no proper name")
        if name in values:
            raise MalformedError("the value `%.60s` comes twice" % name)
        if descriptor.get("kind") == "array":
            values[name], offset = _decode_array(descriptor, view, offset)
        else:
            values[name] = _decode_scalar(descriptor)
    if offset != len(view):
        raise MalformedError("%d bytes belong to no value" % (len(view) - offset))
    return values


def _decode_array(descriptor: Header, view: Any, offset: int) -> Tuple[Any, int]:
    label = "the array `%.60s`" % descriptor["name"]
    dtype, shape = descriptor.get("dtype"), descriptor.get("shape")
    if set(descriptor) != {"name", "kind", "dtype", "shape"}:
        raise MalformedError("%s has keys missing or too many" % label)
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise MalformedError("%s has the dtype %.40r" % (label, dtype))
    if not isinstance(shape, list) or len(shape) > 32:
        raise MalformedError("%s has no proper shape" % label)
    extent = DTYPES[dtype].itemsize
    for length in shape:
        if type(length) is not int or not 0 <= length <= 1 << 40:
            raise MalformedError("%s has no proper shape" % label)
        extent *= max(length, 1)
    if extent > 1 << 40:
        raise MalformedError("%s is too large" % label)
    size = 0 if 0 in shape else extent
    if size > len(view) - offset:
        raise MalformedError("%s needs %d bytes, %d are left" % (label, size, len(view) - offset))
    part = view[offset : offset + size]
    if dtype == "bool" and size and np.frombuffer(part, np.uint8).max() > 1:
        raise MalformedError("%s holds bytes that are no booleans" % label)
    return np.frombuffer(part, DTYPES[dtype]).reshape(shape).copy(), offset + size


def _decode_scalar(descriptor: Header) -> Any:
    kind, value = descriptor.get("kind"), descriptor.get("value")
    label = "the value `%.60s`" % descriptor["name"]
    if set(descriptor) != {"name", "kind", "value"}:
        raise MalformedError("%s has keys missing or too many" % label)
    if kind == "float" and isinstance(value, str) and len(value) <= 40:
        try:
            return float.fromhex(value)
        except (ValueError, OverflowError):
            raise MalformedError("%s is no hexadecimal float" % label) from None
    if kind == "int" and type(value) is int and -(2**63) <= value < 2**63:
        return value
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind == "str" and isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    raise MalformedError("%s is no %.20r" % (label, kind))


# ---- processes ------------------------------------------------------------------------------

PDEATHSIG, DUMPABLE, SUBREAPER, NO_NEW_PRIVS = 1, 4, 36, 38


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _die_with(parent: int) -> None:
    """Have the kernel kill this process with its parent."""
    _prctl(PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def _parents() -> Dict[int, int]:
    """Return process -> parent for every process that can be seen."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/%s/stat" % name, "rb") as file:
                    # The command name, in brackets, may itself hold spaces and brackets.
                    found[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, IndexError):
                continue
    return found


def _descendants(root: int) -> Set[int]:
    parents, fresh = _parents(), {root}
    found: Set[int] = set()
    while fresh:
        fresh = {pid for pid, parent in parents.items() if parent in fresh} - found
        found |= fresh
    return found


def _kill(pid: int, sign: int = signal.SIGKILL) -> None:
    with suppress(OSError):
        os.kill(pid, sign)


def kill_descendants(keep: Iterable[int] = (), seconds: float = 10.0) -> bool:
    """Kill and reap all below this process, their subreaper, but ``keep`` and what is below it.

    Returns False when something survived for ``seconds``.
    """
    kept, me, limit = set(keep), os.getpid(), time.monotonic() + seconds
    while time.monotonic() < limit:
        if not kept and not _reap():
            return True
        victims = _descendants(me) - kept
        for pid in kept:
            victims -= _descendants(pid)
        for pid in victims:
            _kill(pid)
        if kept:
            for pid in victims:
                _reap(pid)
            if not victims:
                return True
        time.sleep(0.001)
    return False


def _wake_on_children() -> Tuple[int, int]:
    """Return the ends of a pipe that becomes readable when a child ends."""
    ends = os.pipe()
    for fd in ends:
        os.set_blocking(fd, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(ends[1])
    return ends


def _reap(pid: int = -1) -> bool:
    """Reap what has ended; return False when there is no such child (any more)."""
    try:
        while os.waitpid(pid, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _fork_quietly(action: Callable[[], None]) -> None:
    """Run ``action`` in a fork and wait for it."""
    pid = os.fork()
    if not pid:
        try:
            action()
            os._exit(0)
        except BaseException:
            os._exit(1)
    os.waitpid(pid, 0)


def _become(uid: int) -> None:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _fresh_uid(number: int) -> int:
    """Return a uid that no other session has now and this one has not had in its last 256 jobs."""
    with open("/proc/self/uid_map") as file:
        size = max(int(line.split()[2]) for line in file)
    base, slots = (100000, 1 << 22) if size >= 1 << 31 else (1000, (size - 1000) // 256)
    return base + (os.getpid() % slots) * 256 + number % 256


def _remove(folder: str) -> None:
    """Remove a folder of a job that has ended, also one that it made unreadable."""
    with suppress(OSError):
        os.chmod(folder, 0o700)
    for path, folders, _ in os.walk(folder):
        for name in folders:
            inner = os.path.join(path, name)
            if not os.path.islink(inner):
                with suppress(OSError):
                    os.chmod(inner, 0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _end_all(uid: int) -> None:
    """Become ``uid`` and kill all it has; the kernel lets none of them fork meanwhile."""
    _become(uid)
    with suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)


def _leave_nothing(uid: int, folder: str) -> None:
    """As the job's uid: remove its folder and what it left in shared places."""
    _become(uid)
    _remove(os.path.join(folder, "work"))
    for place in ("/tmp", "/dev/shm", "/var/tmp"):  # noqa: S108 - the places to clean
        for entry in os.scandir(place) if os.path.isdir(place) else ():
            if entry.stat(follow_symlinks=False).st_uid == uid:
                if entry.is_dir(follow_symlinks=False):
                    _remove(entry.path)
                else:
                    os.unlink(entry.path)


# ---- the process of one stage ---------------------------------------------------------------


class Job:
    """A job inside its session: what was asked, and the folder and uid it has for itself.

    The folder holds ``code`` (the implementation, out of the job's reach where it has a uid) and
    ``work`` (made by the first stage, shared by all). ``uid`` is None where jobs run as the user.
    """

    def __init__(self, header: Header, payload: bytes, start: Header, number: int) -> None:
        self.id, self.file = _text(header, "id"), _text(header, "file")
        self.source, self.stages = _text(header, "source"), header.get("stages", [])
        if os.path.basename(self.file) != self.file or not self.file.endswith(".py"):
            raise MalformedError("file is no name of a Python file: %.60r" % self.file)
        named = isinstance(self.stages, list) and all(isinstance(s, str) for s in self.stages)
        if not named or not self.stages:
            raise MalformedError("stages are no list of names")
        self.seed, self.seconds = _number(header, "seed"), _number(header, "seconds")
        self.memory_mb, self.file_mb = _number(header, "memory_mb"), _number(header, "file_mb")
        self.output_mb = _number(header, "output_mb")
        self.descriptors, self.payload = header.get("values"), payload
        decode_values(self.descriptors, payload)
        self.profile, self.device = start["profile"], start["device"]
        if header.get("profile") != self.profile:
            raise MalformedError("this worker is for the profile %s" % self.profile)
        self.uid = _fresh_uid(number) if start["uids"] else None
        self.folder = start["prefix"] + str(number)
        self.code = os.path.join(self.folder, "code")
        self.work = os.path.join(self.folder, "work")

    def unpack(self) -> None:
        """Make the folder, with the implementation in it."""
        os.mkdir(self.folder, 0o700)
        os.mkdir(self.code, 0o700)
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
            uid = self.uid
            _fork_quietly(lambda: _leave_nothing(uid, self.folder))
        _remove(self.folder)


def _text(header: Header, key: str) -> str:
    if not isinstance(header.get(key), str):
        raise MalformedError("%s is no text" % key)
    return str(header[key])


def _number(header: Header, key: str) -> float:
    value = header.get(key)
    if type(value) not in (int, float) or not 0 <= value < 1 << 53:  # type: ignore[operator]
        raise MalformedError("%s is no number of the allowed range" % key)
    return value  # type: ignore[return-value]


def _enter(job: Job, parent: int) -> None:
    """Take the limits, the uid and the working directory of the job."""
    _prctl(DUMPABLE, 1)  # else /proc/self belongs to root, and libraries read it
    os.setsid()
    os.umask(0o077)
    _write("/proc/self/oom_score_adj", "1000")  # when memory ends, the job goes, not the worker
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, 1024)
    _limit(resource.RLIMIT_FSIZE, int(job.file_mb) << 20)
    _limit(resource.RLIMIT_CPU, int(job.seconds * (os.cpu_count() or 1)) + 5, spare=5)
    if job.device == "cpu":  # CUDA maps far more than it uses
        with open("/proc/self/statm") as file:
            inherited = int(file.read().split()[5]) * resource.getpagesize()
        _limit(resource.RLIMIT_DATA, inherited + (int(job.memory_mb) << 20), spare=SPARE)
    if job.uid is not None:
        # Elsewhere the limit would count everything else that the user runs.
        _limit(resource.RLIMIT_NPROC, 256 + 8 * (os.cpu_count() or 1))
        _become(job.uid)
        _prctl(DUMPABLE, 1)  # the change of uid took it away
    _prctl(NO_NEW_PRIVS, 1)
    _die_with(parent)  # after the change of uid, which forgets it
    if not os.path.isdir(job.work):
        os.mkdir(job.work, 0o700)
    os.chdir(job.work)
    os.environ.update(HOME=job.work, TMPDIR=job.work, PWD=job.work)


def _limit(what: int, value: int, spare: int = 0) -> None:
    hard = resource.getrlimit(what)[1]
    top = value + spare if hard == resource.RLIM_INFINITY else min(value + spare, hard)
    resource.setrlimit(what, (min(value, top), top))


def _write(path: str, text: str) -> None:
    with suppress(OSError), open(path, "w") as file:
        file.write(text)


def _hold_still(job: Job) -> None:
    """Seed everything; under ``portable`` also make the API calls that fix threads and kernels."""
    seed, portable = int(job.seed), job.profile == "portable"
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch, tf = sys.modules.get("torch"), sys.modules.get("tensorflow")
    if torch:
        torch.manual_seed(seed)
        if portable:
            torch.set_num_threads(1)
            torch.use_deterministic_algorithms(True)
    if tf:
        modern = hasattr(tf, "random") and hasattr(tf.random, "set_seed")
        if portable and modern:  # sessions of TensorFlow 1 take theirs from TF_NUM_*_THREADS
            tf.config.threading.set_intra_op_parallelism_threads(1)
            tf.config.threading.set_inter_op_parallelism_threads(1)
        tf.compat.v1.set_random_seed(seed)
        tf.compat.v1.get_default_graph().seed = seed
        if portable and modern and not _builds_graphs(job):
            tf.keras.utils.set_random_seed(seed)
            tf.config.experimental.enable_op_determinism()


def _builds_graphs(job: Job) -> bool:
    # With op determinism a graph of one's own (seedless) cannot even initialise a variable.
    return job.file == "tf1.py" or "disable_v2_behavior" in job.source


def _call(job: Job, stage: str) -> Any:
    """Import the implementation as a module of its file's name; return what the stage returns."""
    sys.path.insert(0, job.code)
    sys.dont_write_bytecode = True
    path, name = os.path.join(job.code, job.file), job.file[:-3]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # AutoGraph, inspect and pickle look it up
    spec.loader.exec_module(module)
    function = getattr(module, stage, None)
    if not callable(function):
        raise AttributeError("%s has no function `%s(inputs, workdir)`" % (job.file, stage))
    return function(decode_values(job.descriptors, job.payload), pathlib.Path(job.work))


def _outputs(job: Job, stage: str) -> Tuple[List[Header], bytes]:
    values = _call(job, stage)
    if not isinstance(values, collections.abc.Mapping):
        kind = type(values).__name__
        raise TypeError("`%s` returned a %s, not a dict of named outputs" % (stage, kind))
    total = sum(int(getattr(value, "nbytes", 0)) for value in values.values())
    if total > int(job.output_mb) << 20:
        sizes = {name: int(getattr(value, "nbytes", 0)) for name, value in values.items()}
        name = max(sizes, key=lambda key: sizes[key])
        raise ValueError(
            "outputs of %.1f MiB, %d are allowed (limits.output_mb); the largest is `%s`"
            % (total / 2.0**20, job.output_mb, name)
        )
    return encode_values(values)


def _stage(job: Job, stage: str, result: int, parent: int) -> int:
    """Run one stage and write its frame; return the exit code: 0 for outputs, 1 for an error."""
    began = time.perf_counter()

    def micros() -> int:
        return int((time.perf_counter() - began) * 1e6)

    try:
        _enter(job, parent)
        _hold_still(job)
        began = time.perf_counter()
        descriptors, data = _outputs(job, stage)
        frame = pack({"kind": "outputs", "micros": micros(), "values": descriptors}, data)
        code = 0
    except BaseException as fault:
        if isinstance(fault, MemoryError):
            traceback.clear_frames(fault.__traceback__)
            hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
            resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))
        frame, code = pack(dict(_error(fault, job), micros=micros())), 1
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    with open(result, "wb", closefd=False) as file:
        file.write(frame)
    return code


def _error(fault: BaseException, job: Optional[Job] = None) -> Header:
    """Describe an exception; the traceback begins where the implementation does."""
    trace, kind = fault.__traceback__, type(fault)
    while job and trace and not trace.tb_frame.f_code.co_filename.startswith(job.code):
        trace = trace.tb_next
    try:
        message = str(fault)
        lines = traceback.format_exception(kind, fault, trace if job else fault.__traceback__)
        text = "".join(lines)
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
        "memory": starved or "can't allocate memory" in message,
    }  # fmt: skip


# ---- the session ----------------------------------------------------------------------------


class Capture:
    """What a stream printed: its head and its tail, however much there was."""

    def __init__(self) -> None:
        self.head, self.tail, self.total = bytearray(), bytearray(), 0

    def feed(self, data: bytes) -> bool:
        """Take more; never full."""
        self.total += len(data)
        room = CAPTURE_CAP - len(self.head)
        self.head += data[:room]
        self.tail = (self.tail + data[max(room, 0) :])[-CAPTURE_CAP:]
        return True

    def text(self) -> str:
        """Return it all, or both ends and how much was left out between them."""
        lost = self.total - len(self.head) - len(self.tail)
        middle = b"\n[... %d bytes left out ...]\n" % lost if lost else b""
        return bytes(self.head + middle + self.tail).decode("utf-8", "replace")


class Collected:
    """The frame of a stage, up to a cap."""

    def __init__(self, cap: int) -> None:
        self.data, self.cap = bytearray(), cap

    def feed(self, data: bytes) -> bool:
        """Take more; return False when it is too much."""
        self.data += data[: max(0, self.cap - len(self.data))]
        return len(self.data) < self.cap


class HangUpError(Exception):
    """The host has gone."""


class Session:
    """One connection: reads jobs, runs them one at a time, answers."""

    def __init__(self, connection: socket.socket, start: Header, facts: Header) -> None:
        self.connection, self.start, self.facts = connection, start, facts
        self.stdout, self.stderr, self.number = Capture(), Capture(), 0
        self.wake = _wake_on_children()

    def serve(self) -> None:
        """Say hello and answer jobs until the host hangs up."""
        self._send(dict(self.facts, kind="hello"))
        while True:
            try:
                header, payload = read_frame(self._read)
                if header.get("kind") != "job":
                    raise MalformedError("a %.40r where a job was due" % header.get("kind"))
                self.number += 1
                job = Job(header, payload, self.start, self.number)
            except MalformedError as fault:
                self._send({"kind": "refused", "why": str(fault)[:1000]})
                return
            self._answer(job)

    def _read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            part = self.connection.recv(min(size - len(data), 1 << 20))
            if not part:
                raise HangUpError
            data += part
        return bytes(data)

    def _send(self, header: Header, payload: bytes = b"") -> None:
        self.connection.sendall(pack(header, payload))

    def _answer(self, job: Job) -> None:
        self.stdout, self.stderr = Capture(), Capture()
        began = time.monotonic()
        payload, peak = b"", 0
        verdict = ("ok", "")
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
            "stdout": self.stdout.text(), "stderr": self.stderr.text(),
        }  # fmt: skip
        self._send(header, payload)

    def _run(self, job: Job, stage: str, limit: float) -> Tuple[bytes, Tuple[str, str], int]:
        """Run one stage; return its frame, (status, cause) and peak memory in KiB."""
        pipes = [os.pipe() for _ in range(3)]
        collected, me, killed = Collected((int(job.output_mb) << 20) + HEADER_CAP), os.getpid(), 0
        before = _oom_kills()
        pid = os.fork()
        if not pid:
            self._become_stage(job, stage, pipes, me)
        for _, end in pipes:
            os.close(end)
        sinks: Dict[int, Any] = {pipes[0][0]: self.stdout, pipes[1][0]: self.stderr}
        sinks[pipes[2][0]] = collected
        why, status, usage = self._watch(pid, sinks, limit)
        if job.uid is not None and _reap():
            uid = job.uid
            _fork_quietly(lambda: _end_all(uid))  # one call for all of a fork bomb
        kill_descendants()
        for fd, sink in sinks.items():
            _drain(fd, sink)
            os.close(fd)
        killed = _oom_kills() - before
        if why == "hangup":
            raise HangUpError
        verdict = _verdict(why, status, bool(collected.data), killed > 0)
        return bytes(collected.data), verdict, int(usage.ru_maxrss)

    def _become_stage(
        self, job: Job, stage: str, pipes: List[Tuple[int, int]], parent: int
    ) -> NoReturn:
        code = 70
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            nothing = os.open(os.devnull, os.O_RDONLY)
            for fd, target in ((nothing, 0), (pipes[0][1], 1), (pipes[1][1], 2)):
                os.dup2(fd, target)
            self.connection.close()
            for fd in (*self.wake, nothing, *sum(pipes[:2], ()), pipes[2][0]):
                os.close(fd)
            code = _stage(job, stage, pipes[2][1], parent)
        finally:
            os._exit(code)

    def _watch(self, pid: int, sinks: Dict[int, Any], limit: float) -> Tuple[str, int, Any]:
        """Drain the streams until the process ends or must end; return why, status, usage."""
        poll = select.poll()
        for fd in list(sinks) + [self.wake[0], self.connection.fileno()]:
            poll.register(fd, select.POLLIN)
        why = ""
        while not why:
            ended, status, usage = os.wait4(pid, os.WNOHANG)
            if ended:
                return "", status, usage
            left = limit - time.monotonic()
            why = "timeout" if left <= 0 else self._step(poll, sinks, left)
        _kill(pid)
        _, status, usage = os.wait4(pid, 0)
        return why, status, usage

    def _step(self, poll: Any, sinks: Dict[int, Any], left: float) -> str:
        for fd, _ in poll.poll(min(left, 60.0) * 1000 + 1):
            if fd == self.wake[0]:
                os.read(fd, 4096)
            elif fd == self.connection.fileno():
                return "hangup"
            else:
                data = os.read(fd, 1 << 18)
                if not data:
                    poll.unregister(fd)
                elif not sinks[fd].feed(data):
                    return "overflow"
        return ""


def _drain(fd: int, sink: Any) -> None:
    """Take what is left in a pipe whose writers have ended."""
    os.set_blocking(fd, False)
    try:
        while True:
            data = os.read(fd, 1 << 18)
            if not data:
                return
            sink.feed(data)
    except BlockingIOError:
        pass


def _oom_kills() -> int:
    """How many processes of this container the kernel has killed for memory, as far as known."""
    for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"):
        try:
            with open(path) as file:
                facts = dict(line.split() for line in file)
                return int(facts.get("oom_kill", 0))
        except (OSError, ValueError):
            continue
    return 0


def _verdict(why: str, status: int, answered: bool, starved: bool) -> Tuple[str, str]:
    """Return (status, cause) of a stage from how its process ended."""
    if why == "timeout":
        return "timeout", "it ran past its deadline and was killed"
    if why == "overflow":
        return "protocol", "it sent more than limits.output_mb allows"
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGXCPU:
            return "timeout", "it used more processor time than its deadline allows"
        cause = "ended by signal %d (%s)" % (number, signal.Signals(number).name)
        return "killed", "out of memory: the kernel killed it" if starved else cause
    code = os.WEXITSTATUS(status)
    if not answered:
        return "error", "the process ended with exit code %d and no result" % code
    return ("error", "an exception, or exit code %d" % code) if code else ("ok", "")


# ---- the zygote -----------------------------------------------------------------------------


def _warm(name: str) -> None:
    """Do in advance what each job would do first, and nothing that must not precede a fork.

    Never here: a session, an eager op, a Keras model, an operation on several threads. Their
    threads do not survive a fork, and the child waits for them for ever.
    """
    if name == "torch":
        # The first optimiser imports a second or more of further modules.
        torch = sys.modules["torch"]
        torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    if name == "tensorflow":
        tf = sys.modules["tensorflow"]
        for lazy in ("keras.layers", "compat.v1.train", "compat.v1.layers"):
            target: Any = tf
            try:
                for part in lazy.split("."):
                    target = getattr(target, part)
            except (AttributeError, ImportError):
                continue


def _preload(names: List[str]) -> Header:
    """Import and warm; return the facts that ``ready`` and ``hello`` tell."""
    began = time.monotonic()
    importlib.import_module("numpy.random")  # NumPy 2 leaves it to the first use
    versions = {"python": sys.version.split()[0], "numpy": np.__version__}
    for name in names:
        module = importlib.import_module(name)
        versions[name] = str(getattr(module, "__version__", "unknown"))
        _warm(name)
    gc.collect()
    gc.freeze()
    return {
        "versions": versions, "threads": len(os.listdir("/proc/self/task")),
        "import_ms": int((time.monotonic() - began) * 1000),
    }  # fmt: skip


def _listen(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o177)
    listener.bind(path)
    os.umask(mask)
    listener.listen(64)
    return listener


class Zygote:
    """Accepts connections and forks a session for each; runs no job code and has no threads."""

    def __init__(self, listener: socket.socket, start: Header, facts: Header) -> None:
        self.listener, self.start, self.facts = listener, start, facts
        self.sessions: Dict[int, str] = {}

    def serve(self) -> None:
        """Serve until the lifetime pipe ends."""
        wake, end = _wake_on_children()
        poll = select.poll()
        for fd in (0, wake, self.listener.fileno()):
            poll.register(fd, select.POLLIN)
        while True:
            for fd, _ in poll.poll():
                if fd == 0:
                    return
                if fd == wake:
                    os.read(wake, 4096)
                    self._bury()
                else:
                    self._open((wake, end))

    def _open(self, mine: Tuple[int, int]) -> None:
        connection, me = self.listener.accept()[0], os.getpid()
        # Nobody can list the parent folder, so nobody else's job finds a session's.
        prefix = os.path.join(self.start["folder"], os.urandom(16).hex() + "-")
        pid = os.fork()
        if pid:
            connection.close()
            self.sessions[pid] = prefix
            return
        code = 1
        try:
            _die_with(me)
            _prctl(SUBREAPER, 1)
            signal.set_wakeup_fd(-1)
            nothing = os.open(os.devnull, os.O_RDONLY)
            os.dup2(nothing, 0)
            for fd in mine + (nothing,):
                os.close(fd)
            self.listener.close()
            Session(connection, dict(self.start, prefix=prefix), self.facts).serve()
            code = 0
        except (HangUpError, OSError):
            code = 0
        finally:
            kill_descendants()
            os._exit(code)

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


def _take(size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = os.read(0, size - len(data))
        if not part:
            os._exit(0)  # the host has gone before it said what to do
        data += part
    return data


def _give(fd: int, frame: bytes) -> None:
    with open(fd, "wb") as file:
        file.write(frame)


def main() -> None:
    """Be a worker: the start frame is next on stdin (see the module's docstring)."""
    sys.path[:] = [path for path in sys.path if path]
    answer = os.dup(1)
    os.dup2(2, 1)  # what an import prints is no frame
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    _prctl(SUBREAPER, 1)
    start: Header = {}
    try:
        start = read_frame(_take)[0]
        facts = _preload(start["preload"])
        if start["uids"]:
            os.chmod(start["folder"], 0o711)  # noqa: S103 - jobs pass, and cannot list it
        listener = _listen(start["socket"])
    except BaseException as fault:
        _give(answer, pack(dict(_error(fault), kind="failed")))
        return
    _give(answer, pack(dict(facts, kind="ready")))
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    os.close(nothing)
    _prctl(DUMPABLE, 0)  # no job may trace us
    try:
        Zygote(listener, start, facts).serve()
    finally:
        kill_descendants()
        os.unlink(start["socket"])
        if not start["uids"]:  # in a container all goes with it
            _remove(start["folder"])
            with suppress(OSError):
                os.rmdir(os.path.dirname(start["socket"]))
        os._exit(0)
