"""Cells on GPUs: real workers, invented cards. No framework is there, so nothing touches CUDA."""

import os
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from cards import card

from paritylab import catalog, runner
from paritylab.accept import accept
from paritylab.engines.local import LocalEngine
from paritylab.errors import EngineError, LabError, NoGpuError, UsageError
from paritylab.fleet import LocalFleet, RemoteFleet, serve
from paritylab.gpupool import GpuPool
from paritylab.gpus import Sighting
from paritylab.gpushares import Share
from paritylab.matrix import Selection, cells
from paritylab.model import Cell, CellResult, Environment, Gpu, Verdict, WorkerKey
from paritylab.plan import Options, gpus_for
from paritylab.runner import Runner, Settings, run_all, worker_keys

LOUD = """
import os
def run(inputs, workdir):
    {act}
    return {{"doubled": 2 * inputs["x"], "rounds": inputs["rounds"], "style": "eager"}}
"""


class CardEngine(LocalEngine):
    """This interpreter's workers, and cards that can be taken away."""

    name = "cards"

    def __init__(self, *cards: Gpu) -> None:
        super().__init__()
        self.cards = list(cards)
        self.keys: list[WorkerKey] = []

    def unavailable(self, key: WorkerKey) -> None:
        """Everything can run."""

    def prepare(self, keys: list[WorkerKey]) -> None:
        """Nothing to make."""

    def gpus(self, environment: Environment | None) -> Sighting:  # noqa: ARG002 - one machine
        """The cards that are left."""
        return Sighting(gpus=tuple(self.cards), complaints=())

    def command(self, key: WorkerKey) -> list[str]:
        """This Python."""
        self.keys.append(key)
        return [sys.executable]

    def variables(self, key: WorkerKey) -> dict[str, str]:
        """The key's, and where this Python finds NumPy."""
        return {**os.environ, **key.variables}

    def pool(self) -> GpuPool:
        """All cards."""
        return GpuPool(self.cards, lambda: self.gpus(None))


@pytest.fixture
def on_cuda(project: Path) -> list[Cell]:
    """Four labs for a GPU: double, triple, fourfold, fivefold, all of the same arithmetic."""
    folder = project / "environments/tiny"
    text = (folder / "environment.toml").read_text()
    stack = text[text.index("[devices.cpu]") : text.index("[profiles.portable]")]
    cuda = stack.replace("cpu]", "cuda]") + 'driver = "525.60.13"\n\n'
    cuda += '[devices.cuda.variables]\nCARDS = "yes"\n\n'
    cuda += '[devices.cuda.profiles.portable]\nSTILL = "yes"\n\n'
    (folder / "environment.toml").write_text(text.replace("[profiles.por", cuda + "[profiles.por"))
    (folder / "cuda.in").write_text("numpy==2.2.6\n")
    (folder / "cuda.lock").write_text(f"numpy==2.2.6 --hash=sha256:{'0' * 64}\n")
    for name in ("triple", "fourfold", "fivefold"):
        (project / "labs" / name).mkdir()
        for file in (project / "labs/double").iterdir():
            (project / "labs" / name / file.name).write_bytes(file.read_bytes())
    loaded = catalog.load(project)
    for lab in loaded.labs.values():
        accept(lab, [], []).write()
    return cells(loaded, Selection(implementations=("pytorch",), device="cuda"))


def act(cell: Cell, line: str) -> None:
    """Let a cell's implementation do something before it answers."""
    (cell.lab.folder / "pytorch.py").write_text(LOUD.format(act=line))


def run(cells_: list[Cell], engine: CardEngine, **options: int) -> list[CellResult]:
    """Run cells on all cards of the engine."""
    with engine:
        jobs = options.get("jobs", 4)
        return run_all(cells_, engine, Settings(), jobs=jobs, gpus=engine.pool())


def with_budget(cell: Cell, memory: int) -> Cell:
    """The cell with another limits.gpu_memory_mb."""
    limits = replace(cell.lab.limits, gpu_memory_mb=memory)
    return replace(cell, lab=replace(cell.lab, limits=limits))


def test_cells_spread_over_the_cards_with_a_worker_each(on_cuda: list[Cell]) -> None:
    """Each worker sees one card by its name that lasts; results tell which class it was."""
    for cell in on_cuda:
        act(cell, "print(os.environ['CUDA_VISIBLE_DEVICES'], os.environ['STILL'], flush=True)")
    engine = CardEngine(card(0, memory=4096), card(1, memory=4096))
    # Each share fills a card, so two cells at a time need both.
    found = run([with_budget(cell, 4096) for cell in on_cuda], engine)
    assert [r.verdict for r in found] == [Verdict.CLOSE] * 4
    assert {r.stdout.strip() for r in found} == {"GPU-00000000 yes", "GPU-00000001 yes"}
    assert {r.hardware for r in found} == {"compute-9.0"}
    assert found[0].versions["gpu"] == "Test Card"
    assert sorted(key.gpu.index for key in engine.keys if key.gpu) == [0, 1]


def test_shares_never_exceed_a_card(on_cuda: list[Cell]) -> None:
    """Four threads, room for two: at no time do more than two cells run."""
    for cell in on_cuda:
        act(cell, "import time; print(time.time()); time.sleep(0.3); print(time.time())")
    found = run([with_budget(cell, 2048) for cell in on_cuda], CardEngine(card(0, memory=4096)))
    assert {r.verdict for r in found} == {Verdict.CLOSE}
    spans = [tuple(map(float, r.stdout.split())) for r in found]
    for begun, _ in spans:
        assert sum(b <= begun < e for b, e in spans) <= 2


def test_a_cell_moves_when_its_card_vanishes(on_cuda: list[Cell]) -> None:
    """The job dies with its card; on the other one it is green, and so are the other cells."""
    for cell in on_cuda:
        act(cell, "os.environ['CUDA_VISIBLE_DEVICES'].endswith('1') and os._exit(1)")
    engine = CardEngine(card(0, memory=4096), card(1, memory=8192))
    pool = engine.pool()
    engine.cards.pop()  # nvidia-smi no longer lists card 1
    with engine:
        found = run_all(on_cuda, engine, Settings(), jobs=2, gpus=pool)
    assert [r.verdict for r in found] == [Verdict.CLOSE] * 4
    assert [gpu.index for gpu in pool.gpus] == [0]


def test_the_last_card_vanishes(on_cuda: list[Cell]) -> None:
    """Every cell that is left gets a verdict that names the lost card and the remedy."""
    for cell in on_cuda:
        act(cell, "os._exit(1)")
    engine = CardEngine(card(0))
    pool = engine.pool()
    engine.cards.clear()
    with engine:
        found = run_all(on_cuda, engine, Settings(), jobs=2, gpus=pool)
    assert {r.verdict for r in found} == {Verdict.FAILED}
    for result in found:
        assert "no GPU is left" in result.message
        assert "GPU 0 (Test Card)" in result.message
        assert "dmesg" in result.message


def test_a_failing_cell_keeps_its_own_failure(on_cuda: list[Cell]) -> None:
    """While the card answers, an error is the lab's: told once, not run again elsewhere."""
    act(on_cuda[0], "raise ValueError('mine')")
    engine = CardEngine(card(0), card(1))
    found = run(on_cuda, engine)
    assert [r.verdict for r in found] == [Verdict.FAILED] + [Verdict.CLOSE] * 3
    assert "mine" in found[0].message


def test_cuda_has_time_to_start(on_cuda: list[Cell], monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell's own limit is for the lab; what it had in all is in the verdict."""
    for place in ("runner", "judge"):
        monkeypatch.setattr(f"paritylab.{place}.START_SECONDS", 1.5)
    act(on_cuda[0], "import time; time.sleep(1)")
    act(on_cuda[1], "import time; time.sleep(60)")
    short = [
        replace(cell, lab=replace(cell.lab, limits=replace(cell.lab.limits, seconds=0.5)))
        for cell in on_cuda[:2]
    ]
    found = run(short, CardEngine(card(0)))
    assert [r.verdict for r in found] == [Verdict.CLOSE, Verdict.TIMEOUT]
    assert "0.5 s and 1.5 s for CUDA's start" in found[1].message


@pytest.mark.parametrize(
    "words",
    [
        "CUDA out of memory. Tried to allocate 20.00 GiB", "CUDA_ERROR_OUT_OF_MEMORY",
        "CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    ],
)  # fmt: skip
def test_out_of_device_memory_is_killed_with_the_key(on_cuda: list[Cell], words: str) -> None:
    """What the frameworks say when a card is full names the budget; other cells go on."""
    act(on_cuda[0], f"raise RuntimeError({words!r})")
    found = run(on_cuda, CardEngine(card(0)))
    assert [r.verdict for r in found] == [Verdict.KILLED] + [Verdict.CLOSE] * 3
    assert "limits.gpu_memory_mb" in found[0].message
    assert "2048 MiB" in found[0].message


def test_a_budget_beyond_every_card_is_that_cell_s_verdict(on_cuda: list[Cell]) -> None:
    """One greedy lab does not stop the others."""
    greedy = with_budget(on_cuda[0], 1 << 20)
    found = run([greedy, *on_cuda[1:]], CardEngine(card(0)))
    assert [r.verdict for r in found] == [Verdict.FAILED] + [Verdict.CLOSE] * 3
    assert "limits.gpu_memory_mb" in found[0].message


def test_smoke_uses_no_card(on_cuda: list[Cell]) -> None:
    """The packages of cuda on the CPU: no GPU is asked for, CUDA is shown none."""
    act(on_cuda[0], "print(repr(os.environ['CUDA_VISIBLE_DEVICES']), os.environ['CARDS'])")
    engine = CardEngine()
    with engine:
        found = run_all(on_cuda, engine, Settings(smoke=True), jobs=2)
    assert {r.verdict for r in found} == {Verdict.CLOSE}
    assert found[0].stdout.split() == ["''", "yes"]
    assert {r.hardware for r in found} == {None}


def test_a_digest_belongs_to_a_class_of_gpu(on_cuda: list[Cell]) -> None:
    """Recorded on one compute capability, it makes nothing identical on another, or on a CPU."""
    one = on_cuda[:1]
    accept(one[0].lab, one, run(one, CardEngine(card(0, capability="9.0")))).write()
    assert '"hardware": "compute-9.0"' in one[0].lab.expected.read_text()
    verdicts = []
    for capability in ("9.0", "8.0"):
        runner.PROBLEMS.clear()  # expected.json is read once a process
        [result] = run(one, CardEngine(card(0, capability=capability)))
        verdicts.append((result.verdict, result.bit_drift))
    assert verdicts == [(Verdict.IDENTICAL, False), (Verdict.CLOSE, False)]
    runner.PROBLEMS.clear()
    with CardEngine() as engine:
        [result] = run_all(one, engine, Settings(smoke=True), jobs=1)
    assert (result.verdict, result.bit_drift) == (Verdict.CLOSE, False)


def test_a_cpu_s_digest_is_never_recorded_as_a_gpu_s(on_cuda: list[Cell]) -> None:
    """A smoke run leaves no digest under the device cuda."""
    one = on_cuda[:1]
    with CardEngine() as engine:
        found = run_all(one, engine, Settings(smoke=True), jobs=1)
    assert accept(one[0].lab, one, found).diff == ()


def test_every_card_has_its_workers(on_cuda: list[Cell]) -> None:
    """Workers are keyed by card, and begin to start for all of them."""
    pool = CardEngine(card(0), card(1)).pool()
    keys = worker_keys(on_cuda, "portable", pool)
    assert [key.gpu for key in keys] == [card(0), card(1)]
    assert len({key.name for key in keys}) == 2
    assert worker_keys(on_cuda, "portable")[0].gpu is None


def options(**more: object) -> Options:
    """Options for cuda."""
    smoke = bool(more.pop("smoke", False))
    return Options(selection=Selection(device="cuda"), settings=Settings(smoke=smoke), **more)  # type: ignore[arg-type]


def test_gpus_are_chosen_before_anything_is_made(on_cuda: list[Cell]) -> None:
    """The pool has the wanted cards; smoke and cpu need none; unknown numbers are told."""
    engine = CardEngine(card(0), card(1), card(2))
    pool = gpus_for(on_cuda, options(gpus="2,0"), engine)
    assert pool
    assert [gpu.index for gpu in pool.gpus] == [0, 2]
    assert gpus_for(on_cuda, options(smoke=True), CardEngine()) is None
    assert gpus_for(on_cuda, Options(), CardEngine()) is None
    with pytest.raises(UsageError, match="unknown GPU 7"):
        gpus_for(on_cuda, options(gpus="7"), engine)
    with pytest.raises(NoGpuError, match="no GPU answers"):
        gpus_for(on_cuda, options(), CardEngine())
    with pytest.raises(NoGpuError, match=r"470.1 is older than 525.60.13"):
        gpus_for(on_cuda, options(), CardEngine(card(0), card(1, driver="470.1")))
    assert gpus_for(on_cuda, options(gpus="0"), CardEngine(card(0), card(1, driver="470.1")))


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        (Options(gpus="0"), "--gpus is for --device cuda"),
        (Options(settings=Settings(smoke=True)), "--smoke is for --device cuda"),
        (options(gpus="0", smoke=True), "--smoke uses no GPU"),
        (options(gpus="first"), "no list of GPU numbers"),
    ],
)
def test_options_that_contradict_are_told(chosen: Options, said: str) -> None:
    """Wrong combinations are usage errors."""
    with pytest.raises(UsageError, match=said):
        chosen.check()


def test_who_waits_is_served_when_a_share_comes_back() -> None:
    """A lease blocks until there is room, then returns at once."""
    pool = GpuPool([card(0, memory=100)], lambda: Sighting(gpus=(), complaints=()))
    first = pool.lease("a", 100, os.getpid())
    assert isinstance(first, Share)
    got: list[Share | LabError] = []
    waiting = threading.Thread(target=lambda: got.append(pool.lease("b", 60, os.getpid())))
    waiting.start()
    time.sleep(0.1)
    assert not got
    pool.release(first)
    waiting.join(5)
    assert isinstance(got[0], Share)


def test_what_a_dead_process_held_is_given_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """An xdist process that was killed with a share does not block the run for ever."""
    monkeypatch.setattr("paritylab.gpupool.LOOK_SECONDS", 0.05)
    pool = GpuPool([card(0, memory=100)], lambda: Sighting(gpus=(), complaints=()))
    nobody = 2**22 + 1  # beyond the kernel's largest process number
    assert isinstance(pool.lease("dead", 100, nobody), Share)
    assert isinstance(pool.lease("alive", 100, os.getpid()), Share)


def test_an_engine_that_cannot_look_loses_no_card() -> None:
    """Trouble of the engine is not the card's: only nvidia-smi's word strikes it."""

    def look() -> Sighting:
        raise EngineError("docker went away")

    pool = GpuPool([card(0)], look)
    assert pool.answers(card(0))
    assert pool.gpus == [card(0)]


def test_leases_cross_processes(on_cuda: list[Cell]) -> None:
    """The fleet of another process hands out shares of the same cards."""
    engine = CardEngine(card(0))
    with engine, LocalFleet(engine, engine.pool()) as fleet:
        facts = serve(fleet)
        away = RemoteFleet(facts)
        share = away.lease("cell", 8000, os.getpid())
        assert isinstance(share, Share)
        assert share.gpu == card(0)
        assert isinstance(away.lease("greedy", 9000, os.getpid()), NoGpuError)
        away.release(share)
        assert away.answers(card(0))
        with Runner(engine, away, Settings()) as remote:
            assert remote.run(on_cuda[0]).verdict is Verdict.CLOSE
