"""Every variation an audit knows, each declared once: what it changes, how, and what it needs.

To add one, add an entry to ``VARIATIONS``. ``job`` changes are made in the job itself
(``injob.CHANGES``), ``variables`` before a framework is imported, so they need workers of their
own. A *hold* is no variation of the plan: it keeps something still while a cause is searched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from paritylab.audit import shim
from paritylab.audit.model import Promise
from paritylab.engines.base import Unavailable
from paritylab.model import Cell
from paritylab.nvidia import DEVICES as NVIDIA_DEVICES

_DAYS = 86_400
CPUS = {
    "cpu-haswell": ("haswell", "an Intel Haswell (AVX2) in this CPU's place"),
    "cpu-zen2": ("zen2", "an AMD Zen 2 (AVX2) in this CPU's place"),
    "cpu-skylake-x": ("skylake-x", "an Intel Skylake-X (AVX-512) in this CPU's place"),
    "cpu-sandybridge": ("sandybridge", "an Intel Sandy Bridge (AVX) in this CPU's place"),
}
# The address of nothing that exists.
HELD_HOME = "/nonexistent/paritylab"


@dataclass(frozen=True, kw_only=True)
class Variation:
    """One controlled change.

    ``changes`` completes "changes with ..."; ``kind`` tells variations that cannot be made
    together (two CPUs, two engines). ``variables`` None removes a variable. ``workers`` is
    ``warm`` (those of the baseline), ``fresh`` (started for it) or ``each`` (one per cell).
    ``backwards`` runs the cells in reverse order. ``engine`` and ``device`` are others to run on.
    ``applies`` returns why a cell is left out, ``missing`` why this machine cannot make it.
    ``standard`` variations are made without being asked for; a ``hold`` is for searches alone.
    """

    name: str
    changes: str
    kind: str = ""
    promise: Promise = Promise.BITS
    job: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, str | None] = field(default_factory=dict)
    preload: bool = False
    workers: str = "warm"
    backwards: bool = False
    engine: str | None = None
    device: str | None = None
    compared: bool = False
    applies: Callable[[Cell], str | None] = lambda _: None
    missing: Callable[[], Unavailable | None] = lambda: None
    standard: bool = True
    hold: bool = False


def _no_library() -> Unavailable | None:
    found = shim.library()
    return found if isinstance(found, Unavailable) else None


def _no_gpu() -> Unavailable | None:
    if any(path.exists() for path in NVIDIA_DEVICES):
        return None
    return Unavailable(
        reason="this machine shows no NVIDIA device", fix="audit on a machine with a GPU"
    )


def _loads_data(cell: Cell) -> str | None:
    source = cell.lab.implementations[cell.implementation].source
    text = source.read_text(encoding="utf-8") if source else ""
    return None if "DataLoader" in text else "it has no torch DataLoader"


def _pretend(name: str, changes: str, *, hold: bool = False, **settings: str) -> Variation:
    return Variation(
        name=name, changes=changes, job={"shim": settings}, preload=True, missing=_no_library,
        hold=hold,
    )  # fmt: skip


def _cpu(name: str) -> Variation:
    chosen, changes = CPUS[name]
    return Variation(
        name=name, changes=changes, kind="cpu", variables={shim.CPU: chosen}, preload=True,
        missing=shim.no_cpu, standard=name in ("cpu-haswell", "cpu-zen2"),
    )  # fmt: skip


def _cap(name: str, changes: str, **variables: str | None) -> Variation:
    return Variation(
        name=name, changes=changes, kind="cap", promise=Promise.TOLERANCE, variables=variables
    )


_EVERY = (
    Variation(name="repeat", changes="nothing but another process of the same worker"),
    Variation(name="order", changes="the order of the cells", backwards=True, kind="order"),
    Variation(name="fresh", changes="newly started workers", workers="fresh"),
    Variation(name="cold", changes="a worker of its own for every cell", workers="each"),
    Variation(
        name="threads", changes="two threads instead of the profile's one", kind="threads",
        promise=Promise.TOLERANCE, job={"threads": 2},
    ),
    _cap(
        "isa-avx2", "kernels up to AVX2 (ATEN_CPU_CAPABILITY, ONEDNN_MAX_CPU_ISA)",
        ATEN_CPU_CAPABILITY="avx2", ONEDNN_MAX_CPU_ISA="AVX2", TORCHINDUCTOR_VEC_ISA_OK=None,
    ),
    _cap(
        "isa-native", "kernels as good as the CPU (no ATEN_CPU_CAPABILITY, ONEDNN_*, MKL_CBWR)",
        ATEN_CPU_CAPABILITY=None, ONEDNN_MAX_CPU_ISA=None, MKL_CBWR=None,
        MKL_ENABLE_INSTRUCTIONS=None, TF_ENABLE_ONEDNN_OPTS=None,
        TENSORFLOW_USE_CUSTOM_CONTRACTION_KERNEL=None, TORCHINDUCTOR_VEC_ISA_OK=None,
    ),
    *map(_cpu, CPUS),
    Variation(
        name="hash-seed", changes="PYTHONHASHSEED (the order of sets)",
        variables={"PYTHONHASHSEED": "20261122"},
    ),
    Variation(
        name="time-zone", changes="the time zone (TZ)",
        job={"variables": {"TZ": "NZST-12NZDT,M9.5.0,M4.1.0/3"}},
    ),
    _pretend("clock", "the date (the clock 400 days ahead)", clock=str(400 * _DAYS + 12_345)),
    Variation(
        name="locale", changes="the locale (LANG, LC_ALL)",
        job={"variables": {"LANG": "de_DE.UTF-8", "LC_ALL": "de_DE.UTF-8", "LANGUAGE": "de"}},
    ),
    Variation(
        name="user", changes="the user (getuid, USER, LOGNAME)", preload=True,
        missing=_no_library,
        job={"shim": {"user": "65534"}, "variables": {"USER": "nobody", "LOGNAME": "nobody"}},
    ),
    Variation(name="home", changes="the home folder (HOME)", job={"home": None}),
    Variation(
        name="folder", changes="the working directory and TMPDIR", job={"folder": ""}
    ),
    Variation(
        name="empty-tmp", changes="the files of /tmp, /var/tmp and /dev/shm (there are none)",
        job={"empty": ["/tmp", "/var/tmp", "/dev/shm"]},  # noqa: S108 - hidden, not used
    ),
    _pretend("directory-order", "the order in which directories are read", directory="reversed"),
    _pretend("host-name", "the host name", host="elsewhere"),
    Variation(
        name="variables", changes="variables that programs look at (CI, DEBUG, COLUMNS, ...)",
        job={"variables": {
            "CI": "true", "DEBUG": "1", "VERBOSE": "1", "COLUMNS": "40", "TERM": "dumb",
            "NO_COLOR": "1", "PYTHONOPTIMIZE": "1", "SEED": "17",
        }},
    ),
    Variation(
        name="affinity", changes="the number of processors it may use", job={"affinity": 1},
        kind="affinity",
    ),
    Variation(name="load", changes="other processes at work", job={"load": 2}, kind="load"),
    Variation(
        name="memory", changes="what memory holds before it is written", job={"memory": 0x5A}
    ),
    Variation(
        name="loader-workers", changes="the number of data-loader workers", job={"loader": 2},
        applies=_loads_data,
    ),
    Variation(
        name="engine-docker", changes="the engine (a container)", kind="engine", engine="docker"
    ),
    Variation(
        name="engine-venv", changes="the engine (a virtual environment)", kind="engine",
        engine="venv",
    ),
    Variation(
        name="device", changes="the device (a GPU)", kind="engine", promise=Promise.TOLERANCE,
        device="cuda", missing=_no_gpu,
    ),
    Variation(
        name="environment", changes="the versions of the frameworks", compared=True,
        promise=Promise.TOLERANCE,
    ),
    _pretend("fixed-clock", "the clock", frozen="1700000000", hold=True),
    _pretend("fixed-entropy", "the system's random numbers (an unseeded generator)", entropy="7",
             hold=True),
    _pretend("fixed-pid", "the process number", pid="4242", hold=True),
    _pretend("sorted-directories", "the order in which directories are read", directory="sorted",
             hold=True),
    Variation(
        name="fixed-home", changes="the home folder's name", job={"home": HELD_HOME}, hold=True
    ),
    Variation(
        name="fixed-folder", changes="the working directory's name", job={"folder": "held"},
        hold=True,
    ),
    Variation(
        name="one-after-another", changes="the order in which threads run",
        job={"serial": True}, hold=True,
    ),
    Variation(
        name="clean-tmp", changes="files that earlier runs left in /tmp", hold=True,
        job={"empty": ["/tmp", "/var/tmp", "/dev/shm"]},  # noqa: S108 - hidden, not used
    ),
    Variation(
        name="filled-memory", changes="what memory holds before it is written",
        job={"memory": 0x5A}, hold=True,
    ),
    Variation(
        name="fixed-addresses", changes="the addresses of objects", hold=True,
        variables={shim.FIXED: "1"},
    ),
    Variation(
        name="fixed-hash-seed", changes="PYTHONHASHSEED (the order of sets)", hold=True,
        variables={"PYTHONHASHSEED": "0"},
    ),
)  # fmt: skip
VARIATIONS: Mapping[str, Variation] = {one.name: one for one in _EVERY if not one.hold}
"""What a plan may hold, by name, in the order of pages."""
HOLDS: Mapping[str, Variation] = {one.name: one for one in _EVERY if one.hold}
"""What a search may hold still, by name, the likeliest first."""


def found(name: str) -> Variation:
    """Return a variation or hold by its name."""
    return VARIATIONS[name] if name in VARIATIONS else HOLDS[name]
