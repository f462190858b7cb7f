"""Matplotlib figure -> SVG for the inside of a page: safe, small, the same bytes every time.

Matplotlib takes most of a second to import, and few commands draw: it waits for the first figure.
"""

from __future__ import annotations

import re
import warnings
from contextlib import AbstractContextManager
from io import StringIO
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from markupsafe import Markup

from paritylab.html.page import tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SVG = "http://www.w3.org/2000/svg"
LINK = "{http://www.w3.org/1999/xlink}href"

# Colours that Matplotlib is given, and what the page's style sheet makes of them.
INK, LINE, PAPER = "#0a0b01", "#0a0b02", "#0a0b03"
SERIES = tuple(f"#0a0c0{place}" for place in range(8))
_IN_PAGE = {
    INK: "currentColor",
    LINE: "var(--line)",
    PAPER: "var(--paper)",
    **{color: f"var(--series-{place})" for place, color in enumerate(SERIES)},
}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be read aloud, found and copied
    "svg.hashsalt": "paritylab",
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "path.simplify_threshold": 0.5,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.use_mathtext": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "ytick.minor.size": 0,
    "grid.color": LINE,
    "font.size": 10,
    "legend.frameon": False,
}


def inline(figure: Figure, description: str, *, wide: bool = False) -> Markup:
    """Return ``figure`` as an ``<svg>`` element that says ``description`` where it is not seen.

    It has no ids, so that any number of them may stand on one page, and takes its colours from
    the page. A ``wide`` one is scrolled on a small screen, not shrunk. Draw and call it under
    ``style()``.
    """
    text = StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with warnings.catch_warnings():
        # A name in a script that Matplotlib's own font lacks: the reader's system has one.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(text, format="svg", transparent=True, metadata=nothing)
    root = ElementTree.fromstring(tidy(text.getvalue()).encode())  # noqa: S314 - Matplotlib's
    targets = {key: node for node in root.iter() if (key := node.get("id"))}
    _flatten(root, targets)
    _, _, width, height = (float(part) for part in root.get("viewBox", "0 0 1 1").split())
    root.attrib = {
        "viewBox": f"0 0 {width:g} {height:g}",
        "width": f"{width:g}",
        "height": f"{height:g}",
        "class": "plot wide" if wide else "plot",
        "role": "img",
        "aria-label": tidy(description),
    }
    ElementTree.register_namespace("", SVG)
    drawn = ElementTree.tostring(root, encoding="unicode", short_empty_elements=True)
    drawn = drawn.replace(f' xmlns="{SVG}"', "", 1)
    drawn = re.sub(r"#0a0[bc]0\d", lambda found: _IN_PAGE.get(found[0], found[0]), drawn)
    return Markup(drawn)  # noqa: S704 - text was escaped when the tree was written


def sheet(width: float, height: float) -> Figure:
    """Return an empty figure of so many inches."""
    from matplotlib.figure import Figure  # noqa: PLC0415

    return Figure(figsize=(width, height))


def ticks(most: int, **how: Any) -> Any:
    """Return what places so many ticks on an axis at the most, at round numbers."""
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    return MaxNLocator(most, **how)


def warmth(share: float) -> tuple[float, float, float, float]:
    """Return the colour, red, green, blue and alpha, of a share from 0 (cold) to 1."""
    from matplotlib import colormaps  # noqa: PLC0415

    return colormaps["cividis"](share)


def style() -> AbstractContextManager[None]:
    """The settings under which figures for pages are drawn, as a context."""
    from matplotlib import rc_context  # noqa: PLC0415

    return rc_context(STYLE)


def _flatten(root: ElementTree.Element, targets: dict[str, ElementTree.Element]) -> None:
    """Put what ``<use>`` refers to in its place; drop ids, definitions, clips and metadata."""
    for node in list(root.iter()):
        node.tag = node.tag.removeprefix(f"{{{SVG}}}")
        for name in ("id", "clip-path"):
            node.attrib.pop(name, None)
        css = node.attrib.get("style", "")
        if css:
            node.set("style", re.sub(r"font-family: [^;]+;? ?", "", css).strip())
        if "d" in node.attrib:
            node.set("d", " ".join(node.attrib["d"].split()))
    for parent in list(root.iter()):
        for place, child in enumerate(list(parent)):
            if child.tag == "use":
                parent[place] = _copy(child, targets[child.attrib[LINK][1:]])
        for child in list(parent):
            if child.tag in ("defs", "metadata", "style"):
                parent.remove(child)


def _copy(use: ElementTree.Element, target: ElementTree.Element) -> ElementTree.Element:
    css = "; ".join(filter(None, (target.get("style"), use.get("style"))))
    at = f"translate({use.get('x', '0')} {use.get('y', '0')})"
    return ElementTree.Element("path", {"d": target.get("d", ""), "style": css, "transform": at})
