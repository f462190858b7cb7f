"""JUnit XML of a run, with the names and properties that pytest gives the same cells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from paritylab.model import CellResult, Verdict

SUITE = "paritylab"
CLASS = "tests.labs.test_labs"
# XML 1.0, production Char: everything else cannot be written, not even escaped.
_NO_CHARACTER = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(results: Sequence[CellResult], *, created: str) -> Iterator[bytes]:
    """Yield the XML, a test case per cell, in pieces; ``created`` is an ISO 8601 time."""
    skipped = sum(one.verdict is Verdict.UNSUPPORTED for one in results)
    failures = sum(not one.verdict.green for one in results) - skipped
    root = Element("testsuites", name=SUITE)
    suite = SubElement(
        root,
        "testsuite",
        name=SUITE,
        errors="0",
        failures=str(failures),
        skipped=str(skipped),
        tests=str(len(results)),
        time=f"{sum(one.seconds for one in results):.3f}",
        timestamp=created,
    )
    SubElement(suite, "cases")
    whole = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    before, _, after = whole.partition(b"<cases />")
    yield before
    for one in results:
        yield ElementTree.tostring(_case(one), encoding="utf-8")
    yield after + b"\n"


def _case(one: CellResult) -> Element:
    case = Element(
        "testcase", classname=CLASS, name=f"test_cell[{one.cell}]", time=f"{one.seconds:.3f}"
    )
    properties = SubElement(case, "properties")
    for name, value in (("verdict", str(one.verdict)), ("digest", one.digest or "")):
        SubElement(properties, "property", name=name, value=value)
    if one.verdict is Verdict.UNSUPPORTED:
        SubElement(case, "skipped", type="pytest.skip", message=_written(one.message))
    elif not one.verdict.green:
        said = _written(f"Failed: {one.verdict}: {one.message}")  # as pytest words it
        SubElement(case, "failure", message=said).text = said
    for name, text in (("system-out", one.stdout), ("system-err", one.stderr)):
        if text and not one.verdict.green:
            SubElement(case, name).text = _written(text)
    return case


def _written(text: str) -> str:
    return _NO_CHARACTER.sub("\ufffd", text)
