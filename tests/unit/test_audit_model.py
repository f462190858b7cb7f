"""audit.model: the document goes to JSON and back, and nothing else is taken for one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paritylab.audit.model import (
    SCHEMA_VERSION,
    Audit,
    Difference,
    Observation,
    Outcome,
    Plan,
    from_json,
    observation_from_plain,
    observation_to_plain,
    to_json,
)
from paritylab.errors import BundleError
from paritylab.model import Verdict

FINITE = st.floats(allow_nan=False, allow_infinity=False)
DIFFERENCES = st.builds(
    Difference,
    output=st.text(),
    index=st.lists(st.integers(0, 9)).map(tuple),
    step=st.none() | st.integers(0, 9),
    baseline=st.text(),
    got=st.text(),
    ulp=st.none() | st.integers(0, 2**64),
    relative=st.none() | FINITE,
    differing=st.integers(0),
    total=st.integers(0),
)
OBSERVATIONS = st.builds(
    Observation,
    cell=st.text(),
    variations=st.lists(st.text()).map(tuple),
    repeat=st.integers(0, 9),
    phase=st.sampled_from(["plan", "search"]),
    outcome=st.sampled_from(Outcome),
    verdict=st.sampled_from(Verdict),
    message=st.text(),
    digest=st.none() | st.text(),
    outputs=st.dictionaries(st.text(), st.text()),
    first=st.none() | DIFFERENCES,
    max_ulp=st.dictionaries(st.text(), st.integers(0, 2**64)),
    max_relative=st.dictionaries(st.text(), FINITE),
    seconds=FINITE,
    seen=st.dictionaries(st.text(), st.text()),
)


def audit(*observations: Observation) -> Audit:
    """A document with nothing but observations."""
    return Audit(
        schema_version=SCHEMA_VERSION, created="2026-11-22T00:00:00+00:00", paritylab="0",
        partial=None, facts={}, variations=(), cells=(), observations=observations, skipped=(),
        plan=Plan(conditions=(), runs=0, estimated_seconds=0.0, seed=0),
    )  # fmt: skip


@given(OBSERVATIONS)
def test_whatever_was_observed_comes_back_from_journal_and_document(one: Observation) -> None:
    """A resumed audit and a reader of the bundle see exactly what was seen."""
    assert observation_from_plain(json.loads(json.dumps(observation_to_plain(one)))) == one
    assert from_json(to_json(audit(one))) == audit(one)


def test_the_same_audit_gives_the_same_bytes() -> None:
    """Its hash can stand in a statement."""
    assert to_json(audit()) == to_json(from_json(to_json(audit())))


@pytest.mark.parametrize("version", [0, 2, None, "1", 1e300])
def test_another_schema_is_refused_by_its_number(version: object) -> None:
    """A document of a newer paritylab is not half understood."""
    plain = json.loads(to_json(audit())) | {"schema_version": version}
    with pytest.raises(BundleError, match="schema"):
        from_json(json.dumps(plain).encode())


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"3", b"\xff", b"{", b'{"schema_version": 1}', b"[" * 100_000]
)
def test_what_is_no_audit_is_refused_in_words(data: bytes) -> None:
    """Truncated, foreign or hostile: a BundleError, never a traceback."""
    with pytest.raises(BundleError):
        from_json(data)


def test_an_unknown_key_is_refused() -> None:
    """Nothing that nobody reads travels in a document."""
    plain = json.loads(to_json(audit())) | {"verdict": "trust me"}
    with pytest.raises(BundleError, match="verdict"):
        from_json(json.dumps(plain).encode())
