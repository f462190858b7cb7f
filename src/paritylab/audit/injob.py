"""Runs INSIDE a job, before the lab's own code: makes what a variation changes, and undoes it.

Its source travels with an implementation's (see ``conditions.wrapped``), to environments from
Python 3.7 on; it imports the standard library alone. A change that cannot be made raises
``CannotVary``: the job then fails with that name, and the variation is skipped with the reason.
"""

from __future__ import annotations

import ctypes
import errno
import importlib
import os
import shutil
import signal
import socket
import sys
import threading
import time
from concurrent import futures
from contextlib import ExitStack, contextmanager
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
M_PERTURB = -6
Undo = Callable[[], None]
Stage = Callable[[Any, Any], Any]


class CannotVary(RuntimeError):  # noqa: N818 - it is the name that the host looks for
    """Why this machine does not let a job have this variation."""


def enter(changes: Dict[str, Any]) -> List[Undo]:
    """Make the changes; return functions that undo what outlives the lab's own code."""
    made = [CHANGES[name](changes[name]) for name in sorted(changes)]
    return [after for after in made if after]


def set_variables(variables: Dict[str, Optional[str]]) -> None:
    """Set environment variables, or remove those that are None, the time zone at once."""
    for name, value in variables.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    time.tzset()


def set_shim(settings: Dict[str, str]) -> Undo:
    """Tell the preloaded library what to pretend."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "paritylab_shim"):
        raise CannotVary("the library that pretends is not loaded")
    for key, value in settings.items():
        library.paritylab_shim(key.encode(), value.encode())

    def truth() -> None:
        # The worker times its stages and knows itself by its number.
        for key, value in (("frozen", "-1"), ("pid", "0"), ("user", "-1")):
            library.paritylab_shim(key.encode(), value.encode())

    return truth


def set_affinity(count: int) -> Undo:
    """Let this job run on ``count`` of its processors, if it can on some that no other job has.

    Two jobs on one processor would take twice as long while another idles.
    """
    own: List[int] = []
    allowed, names = sorted(os.sched_getaffinity(0), reverse=True), ExitStack()
    if len(allowed) <= count:
        raise CannotVary("there are only %d processors" % len(allowed))
    for cpu in allowed:
        held = _hold("paritylab-processor-%d" % cpu) if len(own) < count else None
        if held:
            names.enter_context(held)
            own.append(cpu)
    os.sched_setaffinity(0, [*own, *(cpu for cpu in allowed if cpu not in own)][:count])
    return names.close


def set_load(spinners: int) -> Undo:
    """Have other processes use the processors meanwhile."""
    me, started = os.getpid(), []
    for _ in range(spinners):
        pid = os.fork()
        if not pid:
            while os.getppid() == me:
                sum(range(10000))
            os._exit(0)
        started.append(pid)

    def stop() -> None:
        for pid in started:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    return stop


def set_memory(byte: int) -> None:
    """Fill whatever is allocated or freed: who reads memory before writing it sees that."""
    if not ctypes.CDLL(None).mallopt(M_PERTURB, byte):
        raise CannotVary("this C library does not fill memory")


def set_threads(count: int) -> None:
    """Give the frameworks ``count`` threads where the profile gave them one."""
    torch, tensorflow = sys.modules.get("torch"), sys.modules.get("tensorflow")
    for name in ("OMP", "MKL", "OPENBLAS"):
        os.environ[name + "_NUM_THREADS"] = str(count)
    for name in ("INTRAOP", "INTEROP"):
        os.environ["TF_NUM_%s_THREADS" % name] = str(count)
    if torch:
        torch.set_num_threads(count)
    if tensorflow and hasattr(getattr(tensorflow, "config", None), "threading"):
        tensorflow.config.threading.set_intra_op_parallelism_threads(count)
        tensorflow.config.threading.set_inter_op_parallelism_threads(count)


def set_loader(workers: int) -> None:
    """Let data loaders that were to work in this process use others."""
    data = importlib.import_module("torch.utils.data")
    plain = data.DataLoader.__init__

    def with_workers(self: Any, *arguments: Any, **options: Any) -> None:
        if len(arguments) < 6 and not options.get("num_workers"):
            options["num_workers"] = workers
            options.setdefault("multiprocessing_context", "fork")
        plain(self, *arguments, **options)

    data.DataLoader.__init__ = with_workers


def set_serial(_: bool) -> None:
    """Run each thread to its end when it is started: nothing races."""

    def at_once(thread: Any) -> None:
        thread._started.set()
        thread.run()
        if hasattr(thread, "_is_stopped"):
            thread._is_stopped = True

    threads: Any = threading.Thread
    threads.start = at_once
    threads.join = lambda *_, **__: None

    def submit(_: Any, function: Any, *arguments: Any, **options: Any) -> Any:
        future: Any = futures.Future()
        try:
            future.set_result(function(*arguments, **options))
        except Exception as fault:
            future.set_exception(fault)
        return future

    pool: Any = futures.ThreadPoolExecutor
    pool.submit = submit


def set_home(path: Optional[str]) -> None:
    """Have another home: a folder of the job's own, or a name that stays the same."""
    if path is None:
        # Beside the working directory: a listing of that one shall not change.
        path = os.path.join(os.path.dirname(os.getcwd()), "of somebody else")
        os.makedirs(path, exist_ok=True)
    os.environ["HOME"] = path


def set_empty(places: List[str]) -> None:
    """Give the job empty places for temporary files, which nobody else sees."""
    libc, work = ctypes.CDLL(None, use_errno=True), os.getcwd()
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(CLONE_NEWNS):
        if libc.unshare(CLONE_NEWNS | CLONE_NEWUSER):
            raise CannotVary("no file systems of its own: %s" % os.strerror(ctypes.get_errno()))
        for name, text in (("setgroups", "deny"), ("uid_map", uid), ("gid_map", gid)):
            with open("/proc/self/" + name, "w") as file:
                file.write(text if isinstance(text, str) else "%d %d 1" % (text, text))

    def mount(source: bytes, target: str, kind: Optional[bytes], flags: int) -> None:
        if libc.mount(source, target.encode(), kind, flags, None):
            raise CannotVary("%s: %s" % (target, os.strerror(ctypes.get_errno())))

    mount(b"none", "/", None, MS_REC | MS_PRIVATE)
    here = os.open(os.path.dirname(work), os.O_PATH)
    for place in filter(os.path.isdir, places):
        mount(b"tmpfs", place, b"tmpfs", 0)
    parent = os.path.dirname(work)
    if not os.path.isdir(work):  # it was below one of them
        os.makedirs(parent)
        mount(b"/proc/self/fd/%d" % here, parent, None, MS_BIND)
    os.close(here)
    os.chdir(work)


CHANGES: Dict[str, Callable[[Any], Optional[Undo]]] = {
    "variables": set_variables, "shim": set_shim, "affinity": set_affinity, "load": set_load,
    "memory": set_memory, "threads": set_threads, "loader": set_loader, "serial": set_serial,
    "home": set_home, "empty": set_empty,
}  # fmt: skip


def elsewhere(stage: Stage, folder: str) -> Stage:
    """Return ``stage``, run in another working directory that keeps what is in it.

    ``folder`` is a path that other jobs want too, one at a time, or empty for one below the job's
    own folder.
    """

    def moved(inputs: Any, workdir: Any, place: str) -> Any:
        os.makedirs(place, exist_ok=True)
        os.chdir(place)
        os.environ.update(PWD=place, TMPDIR=place)
        try:
            return stage(inputs, type(workdir)(place))
        finally:
            os.chdir(str(workdir))

    def run(inputs: Any, workdir: Any) -> Any:
        if not folder:
            return moved(inputs, workdir, os.path.join(str(workdir), ".d\u00e9j\u00e0 vu"))
        with one_at_a_time(folder):
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(str(workdir), folder)
            try:
                return moved(inputs, workdir, folder)
            finally:
                shutil.rmtree(str(workdir), ignore_errors=True)
                shutil.move(folder, str(workdir))

    return run


@contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Hold a name that one process of this machine (or container) has at a time; wait for it."""
    held = _hold(name)
    while not held:
        time.sleep(0.005)
        held = _hold(name)
    with held:
        yield


def _hold(name: str) -> Optional[socket.socket]:
    """Take a name, or return None where another process has it.

    An abstract socket needs no file that another job's user could not open, and goes with its
    process however that ends.
    """
    held = socket.socket(socket.AF_UNIX)
    try:
        held.bind(b"\0" + name.encode())
    except OSError as fault:
        held.close()
        if fault.errno != errno.EADDRINUSE:
            raise
        return None
    return held


def undone(stage: Stage, undo: List[Undo]) -> Stage:
    """Return ``stage`` with what must be undone afterwards."""

    def run(inputs: Any, workdir: Any) -> Any:
        try:
            return stage(inputs, workdir)
        finally:
            while undo:
                undo.pop()()

    return run


def run_wrapped(
    module: Dict[str, Any], source: str, stages: Tuple[str, ...], changes: Dict[str, Any]
) -> None:
    """Run an implementation's source as if it were the whole file, under ``changes``."""
    place = changes.pop("folder", None)
    undo = enter(changes)
    # Who asks for a function's source (AutoGraph, TorchScript) looks into the file of that name
    # and must find the lab's own lines; the file that was imported holds what calls this, and is
    # needed again by the next stage.
    file = os.path.join(os.path.dirname(os.getcwd()), os.path.basename(module["__file__"]))
    with open(file, "w", encoding="utf-8", newline="") as own:
        own.write(source)
    for name in [name for name in module if not name.startswith("__")]:
        del module[name]
    try:
        # Not with this file's own __future__.
        exec(compile(source, file, "exec", 0, True), module)  # noqa: S102 - a lab's own file
    except BaseException:
        while undo:
            undo.pop()()
        raise
    for stage in stages:
        function = module[stage]
        module[stage] = undone(function if place is None else elsewhere(function, place), undo)
