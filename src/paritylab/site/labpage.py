"""What one lab's page shows, gathered from its folder and from a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from paritylab.html.report import lab_figures
from paritylab.lesson import rule
from paritylab.model import CellResult, Claim, Lab
from paritylab.site import sidebyside

EXERCISES = "\n## Exercises"
FEW = 4
TITLES = {"pytorch": "PyTorch", "tf1": "TensorFlow 1", "tf2": "TensorFlow 2"}


@dataclass(frozen=True, kw_only=True)
class Program:
    """One implementation: its words for the tab, and its text or why there is none."""

    title: str
    file: str
    text: str | None
    unsupported: str | None


@dataclass(frozen=True, kw_only=True)
class OutputRow:
    """One output: what it is, how it is compared and why so, and its first expected values."""

    name: str
    kind: str
    rule: str
    why: str
    expected: str


@dataclass(frozen=True, kw_only=True)
class LabPage:
    """Everything that ``lab.md.j2`` says."""

    lab: Lab
    lesson: str
    exercises: str
    programs: tuple[Program, ...]
    comparison: Markup
    outputs: tuple[OutputRow, ...]
    figures: tuple[Markup, ...]
    picture: str | None
    cells: tuple[CellResult, ...]
    claims: tuple[Claim, ...]


def lab_page(
    lab: Lab,
    lesson: str,
    *,
    cells: Sequence[CellResult],
    expected: Mapping[str, object],
    picture: str | None,
) -> LabPage:
    """Gather a lab's page; ``lesson`` is its README with the site's links."""
    head, mark, tail = lesson.partition(EXERCISES)
    programs = tuple(_programs(lab))
    texts = {p.file: p.text for p in programs if p.text is not None}
    caption = f"{lab.slug}: the programs side by side; sections begin on the same line"
    return LabPage(
        lab=lab,
        lesson=head.rstrip(),
        exercises=f"{mark}{tail}".strip(),
        programs=programs,
        comparison=Markup(sidebyside.table(texts, caption=caption)),  # noqa: S704 - escaped there
        outputs=tuple(
            OutputRow(
                name=spec.name,
                kind=f"{spec.dtype} {list(spec.shape)}",
                rule=rule(spec),
                why=spec.why,
                expected=few(expected.get(spec.name)),
            )
            for spec in lab.outputs.values()
        ),
        figures=tuple(drawn for _, drawn in lab_figures(cells)) if cells else (),
        picture=picture,
        cells=tuple(sorted(cells, key=_place)),
        claims=lab.claims,
    )


def _place(cell: CellResult) -> tuple[str, str, str]:
    return cell.environment, cell.device, cell.implementation


def _programs(lab: Lab) -> Iterable[Program]:
    for name, one in lab.implementations.items():
        text = sidebyside.shown(one.source.read_text("utf-8")) if one.source else None
        yield Program(
            title=TITLES.get(name, name),
            file=f"{name}.py",
            text=text,
            unsupported=one.unsupported,
        )


def few(values: object) -> str:
    """Return the first numbers of nested lists in words, ``0.9893, 1.039, … (176)``."""
    if isinstance(values, Mapping):
        return "; ".join(f"{name}: {few(one)}" for name, one in values.items())
    if not isinstance(values, list):
        return _short(values)
    flat = list(_flat(values))
    told = ", ".join(_short(value) for value in flat[:FEW])
    return f"{told}, … ({len(flat)})" if len(flat) > FEW else told


def _flat(values: Iterable[object]) -> Iterable[object]:
    for value in values:
        if isinstance(value, list):
            yield from _flat(value)
        else:
            yield value


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    text = "" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
