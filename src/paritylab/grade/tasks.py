"""A lab's README -> the task that students read, without what gives the solution away.

The rule: the introduction and the sections in ``KEPT`` stay, every other section goes; of what
stays, a line or table row or fenced block that quotes a line of the model solution goes too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from jinja2 import Environment, PackageLoader, StrictUndefined

from paritylab.grade.markers import blocks
from paritylab.model import Lab

KEPT = ("What you should see", "Expected output")
QUOTED = 12
"""Characters from which on a line of code tells something."""
_BLANKS = re.compile(r"\s+")
# Markdown for people, not HTML: nothing is escaped.
_TEMPLATES = Environment(  # noqa: S701
    loader=PackageLoader("paritylab.grade"), undefined=StrictUndefined, keep_trailing_newline=True
)


def task(lab: Lab, implementations: tuple[str, ...], *, package: str, notebook: bool) -> str:
    """Return TASK.md: what to write, how to check it, what is graded."""
    readme = (lab.folder / "README.md").read_text(encoding="utf-8")
    constructs = lab.rubric.constructs if lab.rubric else {}
    required = [
        (name, one, constructs[name].points / len(constructs[name].require))
        for name in implementations
        for one in constructs[name].require
    ]
    return _TEMPLATES.get_template("TASK.md.j2").render(
        lesson="\n".join(_told(readme, secrets(lab, implementations))).strip(),
        files=[f"`{name}.{'ipynb' if notebook else 'py'}`" for name in implementations],
        package=package,
        outputs=[spec for spec in lab.outputs.values() if spec.points],
        constructs=required,
        forbids=[(name, constructs[name].forbid) for name in implementations],
    )


def secrets(lab: Lab, implementations: Iterable[str]) -> set[str]:
    """The lines of the model solutions, blanks left out, that are long enough to tell something."""
    found = set()
    for name in implementations:
        source = lab.implementations[name].source
        text = source.read_text(encoding="utf-8") if source else ""
        for block in blocks(text, shown=f"labs/{lab.slug}/{name}.py"):
            code = (_bare(line.partition("  #")[0]) for line in block.code.splitlines())
            found |= {line for line in code if len(line) >= QUOTED and line[0] != "#"}
    return found


def quotes(text: str, hidden: Iterable[str]) -> bool:
    """True where ``text`` holds one of the lines, whatever the blanks."""
    bare = _bare(text)
    return any(line in bare for line in hidden)


def _bare(text: str) -> str:
    return _BLANKS.sub("", text)


def _told(readme: str, hidden: set[str]) -> Iterator[str]:
    """The lines of a README that may be told."""
    keep, fence = True, list[str]()
    for line in readme.rstrip().splitlines():
        if line.startswith("```") or fence:
            fence.append(line)
            if line.startswith("```") and len(fence) > 1:
                yield from fence if keep and not quotes("".join(fence), hidden) else ()
                fence = []
            continue
        if line.startswith("## "):
            keep = line.removeprefix("## ").strip() in KEPT
        if keep and not quotes(line, hidden):
            yield line
