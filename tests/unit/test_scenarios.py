"""scenarios: inputs, oracle and expected.json; what is wrong is told with its place."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from paritylab import catalog, expected, scenarios
from paritylab.accept import accept
from paritylab.errors import CatalogError
from paritylab.model import Lab


def double(project: Path) -> Lab:
    """The fixture lab."""
    return catalog.load(project).labs["double"]


def accepted(project: Path) -> Lab:
    """The fixture lab with an expected.json made from its oracle."""
    lab = double(project)
    accept(lab, [], []).write()
    return lab


def recorded(lab: Lab) -> scenarios.Problem:
    """The problem as a run sees it."""
    return expected.recorded(lab, scenarios.solve(lab, lab.seed))


def test_solve_gives_inputs_and_the_oracle_answer_of_each_implementation(project: Path) -> None:
    """The oracle answers in float64; a per-implementation output differs by implementation."""
    problem = scenarios.solve(double(project), 7)
    x = np.random.RandomState(7).rand(3).astype(np.float32)
    np.testing.assert_array_equal(problem.inputs["x"], x)
    np.testing.assert_array_equal(problem.expected["pytorch"]["doubled"], 2 * x.astype(np.float64))
    assert problem.expected["pytorch"]["style"] == "eager"
    assert problem.expected["tf2"]["style"] == "traced"


def test_a_solved_scenario_is_not_kept(project: Path) -> None:
    """A thousand labs leave no module each; while it is asked, a scenario can pickle its own."""
    lab = double(project)
    lab.scenario.write_text(
        "import pickle\nclass Own:\n    pass\n"
        + lab.scenario.read_text().replace(
            "def oracle(inputs):\n", "def oracle(inputs):\n    pickle.dumps(Own())\n"
        )
    )
    assert "pickle.dumps" in lab.scenario.read_text()
    assert scenarios.solve(lab, 0).expected["tf2"]["style"] == "traced"
    assert not [name for name in sys.modules if "scenario_double" in name]


def test_accepted_values_are_read_back_bit_for_bit(project: Path) -> None:
    """expected.json holds the oracle's float64 exactly."""
    lab = accepted(project)
    solved, again = scenarios.solve(lab, lab.seed), recorded(lab)
    assert again.stale == {}
    for name in ("doubled", "rounds"):
        np.testing.assert_array_equal(again.expected["tf2"][name], solved.expected["tf2"][name])


@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_number_changed_in_its_5th_digit_is_found_and_named(project: Path, place: int) -> None:
    """A tampered expected value can never pass, however wide the tolerance."""
    lab = accepted(project)
    document = json.loads(lab.expected.read_text())
    values = document["outputs"]["doubled"]["values"]
    values[place] *= 1 + 1.1e-5
    lab.expected.write_text(json.dumps(document))
    stale = recorded(lab).stale
    assert set(stale) == {"pytorch", "tf1", "tf2"}
    assert f"labs/double/expected.json: outputs.doubled[{place}] records" in stale["tf1"]


def test_a_per_implementation_value_concerns_only_its_implementation(project: Path) -> None:
    """Exactly the cells that use a changed value go red."""
    lab = accepted(project)
    lab.expected.write_text(lab.expected.read_text().replace('"traced"', '"trased"'))
    stale = recorded(lab).stale
    assert set(stale) == {"tf2"}
    assert "records 'trased', the oracle gives 'traced'" in stale["tf2"]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (None, None, r"expected.json: the file is missing"),
        ("{", "[", r"expected.json: not valid JSON"),
        ('"lab"', '"labb"', r"expected.json: labb: unknown key"),
        ('"seed": 0', '"seed": 1', r"expected.json: inputs: was recorded for other inputs"),
        ('"shape": [3]', '"shape": [2]', r"outputs.doubled: is float32\[2\]"),
        ('"dtype": "float32"', '"dtype": "float64"', r"outputs.doubled: is float64"),
        ('"rounds":', '"round":', r"expected.json: outputs: holds doubled, round, style"),
        ('"values": [1]', '"values": [1, 2]', r"outputs.rounds: 2 values for shape \[\]"),
        ('"values": [1]', '"values": [1.00001]', r"outputs.rounds: a value is no number"),
        ('"values": [1]', '"values": [1e999]', r"not valid JSON|finite"),
    ],
)
def test_broken_expected_json_is_told_with_the_remedy(
    project: Path, before: str | None, after: str, message: str
) -> None:
    """Every fault of expected.json is a CatalogError that says what to type."""
    lab = accepted(project)
    if before is None:
        lab.expected.unlink()
    else:
        text = lab.expected.read_text()
        assert before in text
        lab.expected.write_text(text.replace(before, after, 1))
    with pytest.raises(CatalogError, match=message):
        recorded(lab)


def test_a_json_bomb_is_no_crash(project: Path) -> None:
    """100,000 nested lists end in a sentence, not in a RecursionError."""
    lab = accepted(project)
    lab.expected.write_text("[" * 100_000 + "]" * 100_000)
    with pytest.raises(CatalogError, match="not valid JSON"):
        recorded(lab)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 3", "returned int, not a dict"),
        ("return {}", "did not return `doubled`"),
        ("raise RuntimeError('no')", "oracle\\(inputs\\) failed"),
        ("inputs['x'][0] = 9; return {}", "changed its inputs"),
        ("return {'dubled': 1}", "returned undeclared `dubled`"),
        ("return {**GOOD, 'doubled': np.zeros(2)}", r"shape \[2\], lab.toml declares \[3\]"),
        ("return {**GOOD, 'doubled': np.full(3, np.nan)}", "not finite"),
        ("return {**GOOD, 'doubled': np.zeros(3, np.float32)}", "float32, not float64"),
        ("return {**GOOD, 'style': 'eager'}", "must be a dict with keys pytorch, tf1, tf2"),
        ("return {**GOOD, 'rounds': 2.9999}", "float64 does not fit int64"),
        ("return {**GOOD, 'rounds': 2**70}", "`rounds` is no int64"),
        ("return {**GOOD, 'doubled': None}", r"shape \[\], lab.toml declares"),
        ("return {**GOOD, 'doubled': [[1.0], [1.0, 2.0]]}", "`doubled` is no float32"),
        ("import sys; sys.exit(0)", "oracle\\(inputs\\) failed"),
    ],
)
def test_a_wrong_oracle_is_refused(project: Path, body: str, message: str) -> None:
    """The oracle is held to the contract like any implementation."""
    path = project / "labs/double/scenario.py"
    good = "GOOD = {'doubled': np.zeros(3), 'rounds': 1, 'style': dict(pytorch='', tf1='', tf2='')}"
    inputs_part = path.read_text().split("def oracle")[0]
    path.write_text(f"{inputs_part}\n{good}\n\n\ndef oracle(inputs):\n    {body}\n")
    with pytest.raises(CatalogError, match=message):
        scenarios.solve(double(project), 0)


def threads_of_blas() -> set[int]:
    """How many each of its libraries here may use."""
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


def test_an_oracle_computes_with_one_thread_of_blas(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sums are the same on any number of processors; who calls it keeps the threads it had."""
    lab, seen = double(project), []

    def watched(inputs: dict) -> dict:
        seen.append(threads_of_blas())
        return oracle(inputs)

    with scenarios.loaded_scenario(lab) as (_, oracle):
        pass
    text = lab.scenario.read_text().replace("def oracle(", "from watch import oracle\n\n\ndef _(")
    lab.scenario.write_text(text)
    monkeypatch.setitem(sys.modules, "watch", SimpleNamespace(oracle=watched))
    with threadpool_limits(2, user_api="blas"):
        before = threads_of_blas()
        scenarios.solve(lab, 0)
        assert threads_of_blas() == before
    assert seen == [{1}]
    assert 2 in before
