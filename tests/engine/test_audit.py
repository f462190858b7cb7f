"""A whole audit on NumPy-only labs: plan, runs, causes, tiers, journal; real workers throughout."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from paritylab import catalog
from paritylab.audit import arrays, shim
from paritylab.audit.conditions import BASELINE, combined, wrapped
from paritylab.audit.conduct import DOCUMENT, JOURNAL, Step, prepare, run_audit
from paritylab.audit.model import Audit, CellAudit, Outcome, Promise, Tier, from_json
from paritylab.audit.plan import Request, plan, standard
from paritylab.audit.variations import HOLDS, VARIATIONS
from paritylab.engines.base import Unavailable
from paritylab.engines.here import HereEngine
from paritylab.errors import JournalError, UsageError
from paritylab.fleet import LocalFleet
from paritylab.matrix import Selection, cells
from paritylab.model import Cell
from paritylab.plan import Options
from paritylab.runner import Runner, Settings, job_of, problem_of

FIXTURES = Path(__file__).parent.parent / "fixtures"
OPTIONS = Options(engine="here")
Edit = Callable[[str, str], None]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the valid fixture project: lab `double`, environment `tiny` (NumPy alone)."""
    shutil.copytree(FIXTURES / "valid", tmp_path / "project")
    return tmp_path / "project"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARITYLAB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def lab(project: Path) -> Callable[..., Cell]:
    """Write the fixture lab's program anew; return its cell."""

    def write(body: str, *, loose: bool = False, spec: str = "") -> Cell:
        folder = project / "labs/double"
        (folder / "pytorch.py").write_text(body)
        toml = (folder / "lab.toml").read_text()
        if loose:
            toml = toml.replace("rtol = 1e-6", "atol = 1e12")
        (folder / "lab.toml").write_text(toml.replace('why = "one rounding"', f'why = "x"\n{spec}'))
        loaded = catalog.load(project)
        return cells(loaded, Selection(implementations=("pytorch",)))[0]

    return write


def program(change: str) -> str:
    """The right program, but for a line that may change ``x``."""
    return (
        "import os, time, threading\nimport numpy as np\n\n\n"
        "def run(inputs, workdir):\n    x = inputs['x'] + inputs['x']\n"
        f"    {change}\n"
        "    return {'doubled': x, 'rounds': inputs['rounds'], 'style': 'eager'}\n"
    )


def pretends() -> None:
    """Skip where the library cannot be built that holds clocks, entropy and process ids still."""
    if isinstance(found := shim.library(), Unavailable):
        pytest.skip(f"{found.reason}: {found.fix}")


CLEAN = "pass"
NOISY = "x = x * np.float32(1 + np.random.default_rng().random())"
ZONED = "x = x * np.float32(time.localtime(0).tm_hour + 2)"


def audited(cell: Cell, out: Path, *names: str, **options: object) -> Audit:
    """Audit one cell under the named variations."""
    request = Request(variations=names, **{"pairs": 0, "together": False, **options})
    return run_audit(prepare([cell], OPTIONS, request, jobs=2), out=out)


def verdict(audit: Audit) -> CellAudit:
    """The only cell's."""
    return audit.cells[0]


def test_a_clean_cell_is_bitwise_and_keeps_its_word(lab: Callable, tmp_path: Path) -> None:
    """Under everything that needs no framework there is no false alarm, and all is written."""
    names = [name for name in standard("here") if not VARIATIONS[name].engine]
    audit = audited(lab(program(CLEAN)), tmp_path, *names, together=True, pairs=2)
    one = verdict(audit)
    assert (one.tier, one.reached, one.causes) == (Tier.BITWISE, True, ())
    assert audit.reached
    assert audit.partial is None
    assert from_json((tmp_path / DOCUMENT).read_bytes()) == audit
    values = arrays.load(tmp_path / "baselines" / str(one.baseline))
    assert set(values) == {"doubled", "rounds", "style"}
    assert {seen.outcome for seen in audit.observations} == {Outcome.IDENTICAL}
    if lacking := [note for note in audit.skipped if "+" in str(note.variation)]:
        pytest.skip(f"checked, but for all of them together: {lacking[0].why}")
    everything = max(audit.observations, key=lambda seen: len(seen.variations))
    assert len(everything.variations) > 10


def test_the_variation_that_moves_the_bits_is_named_with_the_place(
    lab: Callable, tmp_path: Path
) -> None:
    """One at a time: the cause is that variation alone, in a sentence."""
    one = verdict(audited(lab(program(ZONED), loose=True), tmp_path, "repeat", "time-zone", "home"))
    assert [cause.variations for cause in one.causes] == [("time-zone",)]
    assert "changes with the time zone (TZ); first at `doubled[0]`, " in one.sentence
    assert one.sentence.endswith(" ULP")
    assert (one.tier, one.reached, one.broken) == (Tier.NUMERICAL, False, ("time-zone",))


def test_outside_its_tolerance_a_cell_is_not_reproducible(lab: Callable, tmp_path: Path) -> None:
    """The same cause, a lab that allows less."""
    one = verdict(audited(lab(program(ZONED)), tmp_path, "repeat", "time-zone"))
    assert one.tier is Tier.NONE


def test_two_that_meet_are_found_in_the_combination(lab: Callable, tmp_path: Path) -> None:
    """Neither moves anything alone: the combination is taken apart until nothing can go."""
    change = "if os.environ.get('CI') and time.localtime(0).tm_hour: x = x + np.float32(1)"
    names = ("time-zone", "variables", "home", "locale", "memory")
    one = verdict(audited(lab(program(change), loose=True), tmp_path, *names, together=True))
    assert [cause.variations for cause in one.causes] == [("time-zone", "variables")]
    assert "only with" in one.sentence


@pytest.mark.parametrize(
    ("change", "hold"),
    [
        (NOISY, "fixed-entropy"),
        ("x = x + np.float32(time.time() % 100)", "fixed-clock"),
        ("x = x + np.float32(os.getpid() % 1000)", "fixed-pid"),
        ("x = x + np.float32(hash(os.getcwd()) % 1000)", "fixed-folder"),
    ],
)
def test_what_moves_from_run_to_run_is_named_by_what_holds_it(
    lab: Callable, tmp_path: Path, change: str, hold: str
) -> None:
    """Nothing is varied and still it moves: the search holds one thing after another."""
    if hold != "fixed-folder":
        pretends()
    one = verdict(audited(lab(program(change), loose=True), tmp_path, "repeat"))
    assert {cause.held_by for cause in one.causes} == {(hold,)}
    assert "changes from run to run with" in one.sentence


def test_two_sources_at_once_are_held_together(lab: Callable, tmp_path: Path) -> None:
    """No hold alone suffices, so the smallest set that does is told."""
    pretends()
    change = "x = x + np.float32(os.getpid() % 1000 + time.time() % 1)"
    one = verdict(audited(lab(program(change), loose=True), tmp_path, "repeat"))
    assert [cause.held_by for cause in one.causes] == [("fixed-clock", "fixed-pid")]


BY_NATURE = "bits = false"


def test_an_honest_random_result_is_statistically_reproducible(
    lab: Callable, tmp_path: Path
) -> None:
    """Single runs leave the tolerance, the mean over seeded replicates does not."""
    change = "x = x + np.random.default_rng().normal(0, 0.02, 3).astype(np.float32)"
    cell = lab(program(change), spec=f"atol = 0.03\n{BY_NATURE}")
    audit = audited(cell, tmp_path, "repeat", repeats=6, replicates=24)
    one = verdict(audit)
    assert (one.tier, one.reached, one.by_nature) == (Tier.STATISTICAL, True, ("doubled",))
    assert one.equivalences[0].power > 0.8
    assert "24 seeded replicates" in one.sentence


def test_a_biased_random_result_is_not(lab: Callable, tmp_path: Path) -> None:
    """The same scatter around another mean."""
    change = "x = x + np.random.default_rng().normal(0.05, 0.02, 3).astype(np.float32)"
    cell = lab(program(change), spec=f"atol = 0.03\n{BY_NATURE}")
    one = verdict(audited(cell, tmp_path, "repeat", replicates=24))
    assert (one.tier, one.reached) == (Tier.NONE, False)


def test_a_cell_that_fails_as_it_is_is_not_varied(lab: Callable, tmp_path: Path) -> None:
    """Its exception is told, and no variation counts as passed."""
    audit = audited(lab(program("raise ValueError('no data')")), tmp_path, "repeat", "home")
    one = verdict(audit)
    assert (one.tier, one.reached) == (Tier.NONE, False)
    assert "ValueError: no data" in one.sentence
    assert len(audit.observations) == 1


def test_a_crash_under_a_variation_breaks_the_word(lab: Callable, tmp_path: Path) -> None:
    """It is a finding with a cause, not a skipped run."""
    change = "assert not os.environ.get('CI'), 'not in CI'"
    one = verdict(audited(lab(program(change)), tmp_path, "repeat", "variables"))
    assert (one.tier, one.broken) == (Tier.NONE, ("variables",))
    assert "not in CI" in one.sentence


def test_what_is_skipped_says_why_and_never_counts(lab: Callable, tmp_path: Path) -> None:
    """No GPU and no data loader: two reasons, no observation, no pass."""
    audit = audited(lab(program(CLEAN)), tmp_path, "loader-workers", "device")
    told = {note.variation: note.why for note in audit.skipped}
    assert "DataLoader" in told["loader-workers"]
    if "device" in told:
        assert "NVIDIA" in told["device"]
        assert verdict(audit).tier is Tier.UNKNOWN
        assert not audit.reached


@pytest.fixture
def stopped(lab: Callable, tmp_path: Path) -> tuple[Cell, Audit]:
    """An audit that was interrupted after its third run."""
    cell = lab(program(CLEAN))

    def tell(step: Step) -> None:
        if step.done == 3:
            raise KeyboardInterrupt

    request = Request(variations=("repeat", "home", "folder", "memory", "time-zone"), pairs=0)
    prepared = prepare([cell], OPTIONS, request, jobs=1)
    return cell, run_audit(prepared, out=tmp_path, tell=tell)


def test_an_interrupted_audit_says_that_it_is_partial(stopped: tuple[Cell, Audit]) -> None:
    """Runs made and runs planned are told."""
    assert "of 7 planned runs" in str(stopped[1].partial)


def test_a_resumed_audit_makes_only_the_missing_runs(
    stopped: tuple[Cell, Audit], tmp_path: Path
) -> None:
    """Nothing that is in the journal runs again, and the end is that of an unbroken audit."""
    before = _units(tmp_path)
    request = Request(variations=("repeat", "home", "folder", "memory", "time-zone"), pairs=0)
    prepared = prepare([stopped[0]], OPTIONS, request, jobs=1)
    audit = run_audit(prepared, out=tmp_path, resume=True)
    assert audit.partial is None
    assert verdict(audit).tier is Tier.BITWISE
    assert _units(tmp_path)[: len(before)] == before


def _units(folder: Path) -> list[tuple[str, str]]:
    with sqlite3.connect(folder / JOURNAL) as connection:
        return list(connection.execute("SELECT unit, at FROM units ORDER BY number"))


def test_an_audit_does_not_go_on_with_another_lab(
    stopped: tuple[Cell, Audit], lab: Callable, tmp_path: Path
) -> None:
    """The lab's files are part of what every run depends on."""
    changed = lab(program("x = x + 0"))
    request = Request(variations=("repeat", "home", "folder", "memory", "time-zone"), pairs=0)
    with pytest.raises(JournalError, match="labs"):
        run_audit(prepare([changed], OPTIONS, request, jobs=1), out=tmp_path, resume=True)


def test_a_lab_s_own_lines_are_what_inspect_sees(lab: Callable) -> None:
    """AutoGraph and TorchScript read a function's source: changes in the job leave it alone."""
    body = program(CLEAN) + (
        # TensorFlow's AutoGraph makes linecache read a function's file anew.
        "\n\nimport inspect\nimport linecache\n\n\ndef probe():\n    return 'my own line'\n\n\n"
        "def run(inputs, workdir):\n"
        "    linecache.updatecache(inspect.getfile(probe))\n"
        "    raise ValueError(inspect.getsource(probe))\n"
    )
    cell = lab(body)
    condition = combined(["home", "time-zone"])
    job = job_of(cell, problem_of(cell.lab, Settings(oracle_only=True)), Settings())
    with HereEngine() as engine, LocalFleet(engine) as fleet:
        runner = Runner(engine, fleet, Settings())
        answer, _ = runner.execute(cell.worker_key("portable"), condition.job(job, cell))
    assert "return 'my own line'" in answer.message


def test_without_a_change_the_lab_s_own_file_is_sent(lab: Callable) -> None:
    """The baseline is the lab, not the lab inside of something of ours."""
    cell = lab(program(CLEAN))
    job = job_of(cell, problem_of(cell.lab, Settings(oracle_only=True)), Settings())
    assert BASELINE.job(job, cell) is job
    assert combined(["fresh"]).job(job, cell) is job
    assert wrapped(job, {"home": None}) != job.source


def test_variations_are_declared_once_and_holds_apart() -> None:
    """Every name is one thing, in one place."""
    assert not set(VARIATIONS) & set(HOLDS)
    assert all(one.promise in Promise for one in VARIATIONS.values())
    assert combined(["time-zone", "isa-avx2"]).promise is Promise.TOLERANCE
    assert combined(["time-zone", "home"]).promise is Promise.BITS


def test_seeded_pairs_are_the_same_again_and_others_with_another_seed(lab: Callable) -> None:
    """A plan can be told to somebody else by its seed."""
    cell = lab(program(CLEAN))

    def pairs(seed: int) -> list[tuple[str, ...]]:
        planned = plan([cell], Request(pairs=5, seed=seed, together=False), engine="here")
        return [one.variations for one in planned.conditions if len(one.variations) == 2]

    assert pairs(1) == pairs(1) != pairs(2)
    assert len(pairs(1)) == 5


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (Request(variations=("thread",)), "did you mean `threads`"),
        (Request(variations=("fixed-pid",)), "unknown variation"),
        (Request(repeats=0), "repeats"),
        (Request(replicates=1), "replicates"),
    ],
)
def test_wrong_requests_are_refused_in_words(request_: Request, words: str) -> None:
    """The nearest name, or the range."""
    with pytest.raises(UsageError, match=words) as told:
        request_.check()
    assert words in str(told.value)


def test_the_document_is_plain_json(lab: Callable, tmp_path: Path) -> None:
    """Other tools read it: no NaN, no Infinity."""
    change = "x = x * np.float32('nan') if os.environ.get('CI') else x"
    audited(lab(program(change)), tmp_path, "variables", "repeat")
    text = (tmp_path / DOCUMENT).read_text()
    json.loads(text, parse_constant=pytest.fail)


def test_a_slow_cell_is_spared_and_that_is_told(
    lab: Callable, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it is spared is asked of it in the combination, and listed as skipped with its time."""
    monkeypatch.setattr("paritylab.audit.plan.SLOW_SECONDS", 0.2)
    monkeypatch.setattr("paritylab.audit.plan.SLOW_FACTOR", 1.2)
    lab(program("time.sleep(0.5)"))
    both = cells(catalog.load(project), Selection(implementations=("pytorch", "tf2")))
    names = ("repeat", "home", "locale", "memory", "time-zone", "variables", "folder")
    request = Request(variations=names, pairs=0)
    audit = run_audit(prepare(both, OPTIONS, request, jobs=2), out=tmp_path)
    slow, quick = audit.cells
    assert {"home", "locale"} <= set(quick.same_bits)
    assert not {"home", "locale"} & set(slow.same_bits)
    assert any("home" in names and "locale" in names for names in slow.same_bits)
    told = {(note.variation, note.cell) for note in audit.skipped}
    assert ("home", slow.cell) in told
    assert audit.reached
