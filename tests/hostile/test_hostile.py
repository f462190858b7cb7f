"""Hostile submissions through the real `paritylab grade`: no point, no harm, nothing left.

Each test looks at one of three runs per isolation (conftest.py): ``alone`` (an attack on its own
trial, honest students beside it), ``after`` (an attack and its repetition, one after the other in
one lane), ``halves`` (one implementation that helps the other).
"""

import csv
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from .conftest import ATTACKS, LIMIT, ODD_NAMES, Attack, Graded, chosen

pytestmark = pytest.mark.docker

BACK = 2.0
"""Seconds after the limit within which the host has its answer."""
OUT_CAP = 64 << 20
"""Bytes that all files of a run may have together."""

ALONE = sorted(a.name for a in ATTACKS.values() if not a.leaves)
AFTER = sorted(
    a.name for a in ATTACKS.values() if a.leaves and a not in chosen("", leaves=True, halves=True)
)
HALVES = sorted(a.name for a in chosen("", leaves=True, halves=True))


def contained(graded: Graded, attack: Attack, student: str) -> None:
    """An attack was tried, got nothing, earned nothing, and was over in time."""
    grade, evidence = graded.grades[student], graded.evidence(student)
    trials = graded.trials.get(student, [])
    assert "BREACH" not in evidence, _lines("BREACH", trials)
    assert re.search(attack.seen, evidence, re.DOTALL), evidence[:4000]
    earned = {c["implementation"]: 0.0 for c in grade["checks"]}
    for check in grade["checks"]:
        earned[check["implementation"]] += check["earned"]
    for implementation, points in earned.items():
        if implementation not in attack.full:
            assert points == 0, grade["checks"]
    assert bool(trials) is not attack.faulty
    for trial in trials:
        if trial["implementation"] not in attack.full:
            assert re.fullmatch(attack.status, trial["status"]), trial
        assert trial["wall"] <= LIMIT + BACK, (trial["wall"], trial["suspicious"])


def _lines(word: str, trials: list[dict[str, str]]) -> list[str]:
    text = "\n".join(trial["stdout"] + trial["stderr"] for trial in trials)
    return [line for line in text.splitlines() if word in line][:20]


@pytest.mark.parametrize("name", ALONE)
def test_attack_is_contained(name: str, alone: Graded) -> None:
    """An attack earns nothing, gets nothing, and the host is back in time."""
    if ATTACKS[name].isolation not in ("", alone.isolation):
        pytest.skip(f"only under {ATTACKS[name].isolation}")
    contained(alone, ATTACKS[name], name)


@pytest.mark.parametrize("name", AFTER)
def test_nothing_is_there_for_whoever_comes_next(name: str, after: Graded) -> None:
    """What an attack leaves is found neither on its next seed nor by the next submission."""
    if ATTACKS[name].isolation not in ("", after.isolation):
        pytest.skip(f"only under {ATTACKS[name].isolation}")
    for student in (name, f"{name}-again"):
        assert len(after.trials[student]) == 2
        contained(after, ATTACKS[name], student)


@pytest.mark.parametrize("name", HALVES)
def test_no_half_helps_the_other(name: str, halves: Graded) -> None:
    """An implementation that is solved elsewhere earns nothing; the honest half its points."""
    contained(halves, ATTACKS[name], name)
    for implementation in ATTACKS[name].full:
        checks = [c for c in halves.grades[name]["checks"] if c["implementation"] == implementation]
        assert all(check["earned"] == check["points"] > 0 for check in checks)


@pytest.mark.parametrize("run", ["alone", "after", "halves"])
def test_honest_submissions_are_unaffected(
    run: str, isolation: str, request: pytest.FixtureRequest
) -> None:
    """Beside forty attacks every honest submission gets full marks, whatever its name."""
    graded: Graded = request.getfixturevalue(run)
    attacks = {student for student in graded.grades if student.removesuffix("-again") in ATTACKS}
    honest = graded.grades.keys() - attacks
    assert len(honest) == (7 + len(ODD_NAMES) if run == "alone" else 1)
    for student in honest:
        grade = graded.grades[student]
        assert grade["score"] == grade["points"] > 0, (student, grade["checks"])
        assert not grade["suspicious"], grade


@pytest.mark.parametrize("run", ["alone", "after", "halves"])
def test_every_trial_was_graded(run: str, isolation: str, request: pytest.FixtureRequest) -> None:
    """No attack makes the grader give up on anybody: exit 0, nothing ungraded, nothing left."""
    graded: Graded = request.getfixturevalue(run)
    assert graded.code == 0
    assert not [s for s, grade in graded.grades.items() if grade["facts"]["ungraded"]]
    assert graded.left == []


def test_at_least_forty_attacks() -> None:
    """The suite holds what it promises, and every attack says what it is."""
    assert len(ATTACKS) >= 40
    for attack in ATTACKS.values():
        assert list(attack.folder.glob("*.py")), attack.name
        assert attack.status or attack.faulty, attack.name
        re.compile(attack.seen)


def test_pages_and_tables_hold_no_markup(alone: Graded) -> None:
    """What attackers print, name and raise is text on every page, in XML and in spreadsheets."""
    pages = sorted(alone.out.rglob("*.html"))
    assert len(pages) == len(alone.grades) + 1
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"<script>alert|<img src=x|\x1b|\x00|\ufffe|\uffff", text), page.name
    assert "alert(1)" in (alone.out / "feedback" / "names-for-the-page.html").read_text()
    tree = ElementTree.parse(alone.out / "junit.xml")
    assert len(list(tree.iter("testcase"))) > len(alone.grades)
    for table in sorted(alone.out.glob("*.csv")):
        for row in csv.reader(table.read_text(encoding="utf-8-sig").splitlines()):
            assert not [cell for cell in row if _is_formula(cell)], (table.name, row)


def _is_formula(cell: str) -> bool:
    """What a spreadsheet would compute: begins with an operator and is no number or dash."""
    return cell[:1] in tuple("=+-@\t\r") and not re.fullmatch(r"-|[-+]?[0-9.]+", cell)


def test_files_of_a_run_stay_small(alone: Graded) -> None:
    """Floods and long curves fill neither the journal nor the pages."""
    sizes = {path: path.stat().st_size for path in alone.out.rglob("*") if path.is_file()}
    assert sum(sizes.values()) < OUT_CAP, sorted(sizes.items(), key=lambda i: -i[1])[:5]


def test_terminal_is_not_driven(alone: Graded) -> None:
    """What attackers print never reaches the instructor's terminal as control characters."""
    assert not re.search(r"[\x00-\x08\x0b-\x1a\x1c-\x1f\x9b]|\x1b\]|\x1b\[2J", alone.told)


def test_suspicious_ones_are_named(alone: Graded) -> None:
    """An instructor is told of answers that were forged and of submissions that were killed."""
    for student in ("forged-verdict", "32-bit-calls", "memory-bomb"):
        assert alone.grades[student]["suspicious"], student


def test_threat_model_lists_every_attack() -> None:
    """docs/threat-model.md names every attack of the suite, and none that is not there."""
    text = (Path(__file__).parent.parent.parent / "docs" / "threat-model.md").read_text()
    listed = set(re.findall(r"`hostile/([a-z0-9-]+)`", text))
    assert listed == set(ATTACKS)
