"""audit.shim: what the preloaded library pretends is what a process then sees, and no more."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from paritylab import cache
from paritylab.audit import shim
from paritylab.engines.base import Unavailable

HEAD = """
import ctypes, json, os, signal, socket, sys, time
library = ctypes.CDLL(None)
def pretend(key, value):
    assert library.paritylab_shim(key.encode(), value.encode()) == 0
def cpu():
    text = ctypes.create_string_buffer(64)
    library.paritylab_cpu(text, 64)
    return text.value.decode()
"""


@pytest.fixture(scope="module")
def library() -> Path:
    """The built library."""
    found = shim.library()
    if isinstance(found, Unavailable):
        pytest.skip(found.reason)
    return found


def tell(library: Path, code: str, **variables: str) -> object:
    """Run code with the library loaded; return what its last line, `answer`, holds."""
    done = subprocess.run(
        [sys.executable, "-c", f"{HEAD}{code}\nprint(json.dumps(answer))"],
        env={"LD_PRELOAD": str(library), "PATH": os.environ["PATH"], **variables},
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_without_being_told_it_changes_nothing(library: Path) -> None:
    """A worker with the library and no variation is the worker without it."""
    code = "answer = [os.uname().nodename, os.getuid(), sorted(os.environ), os.listdir('/')]"
    plain = subprocess.run(
        [sys.executable, "-c", f"import json, os\n{code}\nprint(json.dumps(answer))"],
        env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert tell(library, code) == json.loads(plain.stdout)


@pytest.mark.parametrize(
    ("settings", "code", "answer"),
    [
        (("host", "elsewhere"), "[socket.gethostname(), os.uname().nodename]", ["elsewhere"] * 2),
        (("pid", "4242"), "os.getpid()", 4242),
        (("user", "65534"), "[os.getuid(), os.geteuid()]", [65534, 65534]),
        (("frozen", "1700000000"), "[time.time(), time.time_ns() % 10]", [1.7e9, 0]),
        (
            ("frozen", "5"),
            "[time.monotonic(), time.perf_counter(), time.process_time()]",
            [5.0] * 3,
        ),
        (("directory", "sorted"), "os.listdir('.')", ["a", "b", "c"]),
        (("directory", "reversed"), "[e.name for e in os.scandir('.')]", ["c", "b", "a"]),
    ],
)
def test_a_pretence_is_seen(
    library: Path, tmp_path: Path, settings: tuple[str, str], code: str, answer: object
) -> None:
    """Each variation that the library makes really reaches a Python program."""
    for name in "cab":
        (tmp_path / name).touch()
    told = tell(library, f"os.chdir({str(tmp_path)!r})\npretend(*{settings!r})\nanswer = {code}")
    assert told == answer


WAITS = """
class Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanos", ctypes.c_long)]
def until(clock, seconds):
    at = time.clock_gettime(clock) + seconds
    return ctypes.byref(Timespec(int(at), int(at % 1 * 1e9)))
room = [ctypes.create_string_buffer(128) for _ in range(4)]
library.sem_init(room[0], 0, 0)
library.pthread_mutex_lock(room[1])
waits = {
    "sem_timedwait": lambda: library.sem_timedwait(room[0], until(0, 0.05)),
    "sem_clockwait": lambda: library.sem_clockwait(room[0], 1, until(1, 0.05)),
    "timedwait": lambda: library.pthread_cond_timedwait(room[2], room[1], until(0, 0.05)),
    "clockwait": lambda: library.pthread_cond_clockwait(room[2], room[1], 0, until(0, 0.05)),
    "nanosleep": lambda: library.clock_nanosleep(0, 1, until(0, 0.05), None),
    # FUTEX_WAIT_BITSET, with and without FUTEX_CLOCK_REALTIME
    "futex": lambda: library.syscall(202, room[3], 9 | 256, 0, until(0, 0.05), None, -1),
    "monotonic": lambda: library.syscall(202, room[3], 9, 0, until(1, 0.05), None, -1),
    "plain": lambda: library.syscall(39) != os.getpid(),
}
def elapsed():
    with open("/proc/uptime") as file:
        return float(file.read().split()[0])
begun = elapsed()
answer = [name for name, wait in waits.items() if wait() is None]
answer.append(0.33 <= elapsed() - begun < 10)
"""


@pytest.mark.parametrize(
    "settings", [("clock", "34560000"), ("clock", "-34560000"), ("frozen", "1700000000")]
)
def test_waiting_until_a_time_takes_as_long_as_it_would(
    library: Path, settings: tuple[str, str]
) -> None:
    """A job under another date must not wait for that date to come: some did."""
    assert tell(library, f"pretend(*{settings!r})\n{WAITS}") == [True]


def test_a_folder_is_read_again_after_a_rewind_and_the_next_one_too(
    library: Path, tmp_path: Path
) -> None:
    """Sorted listings are no leftovers of another folder that had the same address."""
    code = f"""
pretend("directory", "sorted")
answer = []
for size in range(5):
    folder = os.path.join({str(tmp_path)!r}, str(size))
    os.mkdir(folder)
    for name in range(size):
        open(os.path.join(folder, str(name)), "w").close()
    answer.append(os.listdir(folder))
"""
    assert tell(library, code) == [[str(n) for n in range(size)] for size in range(5)]


def test_the_clock_runs_ahead_and_still_runs(library: Path) -> None:
    """Another date, not a stopped clock; what counts intervals is left alone."""
    code = """
before, steady = time.time(), time.monotonic()
pretend("clock", "86400")
answer = [time.time() - before, time.monotonic() - steady]
"""
    ahead, steady = tell(library, code)
    assert 86399 < ahead < 86430
    assert 0 <= steady < 30


def test_fixed_entropy_is_one_stream_for_every_way_to_ask(library: Path) -> None:
    """os.urandom and /dev/urandom repeat, so an unseeded generator does; other numbers differ."""
    code = """
answer = []
for number in "7", "7", "8":
    pretend("entropy", number)
    answer.append([os.urandom(8).hex(), open("/dev/urandom", "rb").read(8).hex()])
"""
    first, again, other = tell(library, code)
    assert first == again
    assert first != other
    assert len({*first, *other}) == 4


def test_unknown_keys_are_refused(library: Path) -> None:
    """A misspelt pretence must not pass for one that changed nothing."""
    assert tell(library, "answer = library.paritylab_shim(b'hots', b'x')") == -1


cpus = pytest.mark.skipif(shim.no_cpu() is not None, reason="CPUID cannot fault here")


@cpus
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("haswell", "GenuineIntel 000306c3"),
        ("zen2", "AuthenticAMD 00830f10"),
        ("skylake-x", "GenuineIntel 00050654"),
        ("sandybridge", "GenuineIntel 000206a7"),
    ],
)
def test_another_cpu_is_what_programs_and_their_forks_ask(
    library: Path, name: str, told: str
) -> None:
    """NumPy chooses its kernels by it; a fork keeps it, as a worker's jobs do."""
    code = """
read, write = os.pipe()
if not os.fork():
    os.write(write, cpu().encode())
    os._exit(0)
os.wait()
import numpy
from numpy._core import _multiarray_umath as core
found = core.__cpu_features__
answer = [cpu(), os.read(read, 99).decode(), found["AVX512F"], found["AVX2"]]
"""
    wide = name == "skylake-x"
    answer = tell(library, code, PARITYLAB_CPU=name)
    assert answer[:2] == [told, told]
    assert (answer[2], answer[3]) in [(wide, name != "sandybridge"), (False, answer[3])]


@cpus
def test_a_program_that_handles_faults_itself_keeps_the_other_cpu(library: Path) -> None:
    """PyTorch's data loader installs a handler of its own in every worker it starts."""
    code = """
import faulthandler
faulthandler.enable()
signal.signal(signal.SIGSEGV, signal.SIG_DFL)
answer = cpu()
"""
    assert tell(library, code, PARITYLAB_CPU="zen2") == "AuthenticAMD 00830f10"


@cpus
def test_a_true_fault_still_ends_the_process(library: Path) -> None:
    """A crash of a lab must not become an endless loop in our handler."""
    done = subprocess.run(
        [sys.executable, "-c", "import ctypes; ctypes.string_at(0)"],
        env={"LD_PRELOAD": str(library), "PARITYLAB_CPU": "zen2"},
        check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == -11


def test_a_cpu_that_does_not_exist_ends_the_process_instead_of_misleading(library: Path) -> None:
    """Otherwise an audit of this machine's own CPU would pass for one of another."""
    done = subprocess.run(
        [sys.executable, "-c", "pass"],
        env={"LD_PRELOAD": str(library), "PARITYLAB_CPU": "z80"},
        check=False, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 71
    assert b"cannot be emulated" in done.stderr


def test_what_a_program_executes_starts_without_the_library(library: Path) -> None:
    """A compiler that a lab calls sees the machine as it is."""
    code = "answer = [os.popen('echo $LD_PRELOAD').read().strip(), 'LD_PRELOAD' in os.environ]"
    assert tell(library, code, PARITYLAB_SHIM="1") == ["", False]


def test_no_compiler_is_a_reason_and_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variations that need the library are then skipped, with what to install."""
    monkeypatch.setenv("PARITYLAB_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    shim.library.cache_clear()
    try:
        found = shim.library()
    finally:
        shim.library.cache_clear()
    assert isinstance(found, Unavailable)
    assert "apt-get install gcc" in found.fix


@pytest.mark.skipif(shutil.which("cc") is None, reason="no compiler")
def test_it_is_built_once_and_found_by_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second audit compiles nothing; another source is another file."""
    monkeypatch.setenv("PARITYLAB_CACHE", str(tmp_path))
    shim.library.cache_clear()
    try:
        first = shim.library()
        assert isinstance(first, Path)
        made = first.stat().st_mtime_ns
        shim.library.cache_clear()
        assert shim.library() == first
        assert first.stat().st_mtime_ns == made
        assert [p.name for p in cache.folder("shim").iterdir()] == [first.name]
    finally:
        shim.library.cache_clear()


def test_the_launcher_loads_it_from_memory_and_fixes_addresses(library: Path) -> None:
    """A container has no file to load it from: the same process, by way of memory."""
    code = (
        "import ctypes; print(hasattr(ctypes.CDLL(None), 'paritylab_shim'), id(object()),"
        " open('/proc/self/personality').read().strip())"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", shim.launcher(preload=True), "-s", "-c", code],
            env={shim.FIXED: "1", "PYTHONHASHSEED": "0"},
            capture_output=True, text=True, check=True,
        ).stdout
        for _ in range(3)
    }  # fmt: skip
    assert len(told) == 1
    assert told.pop().split()[0] == "True"
