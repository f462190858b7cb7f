"""Templates -> pages: what is escaped, what a page may load, how numbers are written."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from paritylab.atomic import write

__all__ = ["render", "tidy", "write"]

# What neither HTML nor XML 1.0 can hold (controls but tab and newlines, surrogates,
# non-characters), and the overrides of direction: text that reads otherwise than it is.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\u202a-\u202e\u2066-\u2069]"
)


def tidy(text: str) -> str:
    """Return ``text`` with U+FFFD for what a page cannot hold or what would turn its direction."""
    return _UNPRINTABLE.sub("\ufffd", text)


def render(template: str, **context: Any) -> str:
    """Return the page of ``template`` (``report.html.j2``) for ``context``; see the package."""
    return _environment().get_template(template).render(context)


def stream(template: str, **context: Any) -> Iterator[str]:
    """Yield the same page in pieces; what a context's iterators make is not held."""
    return _environment().get_template(template).generate(context)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("paritylab.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    environment.filters.update(
        points=points, seconds=seconds, sci=scientific, share=share, count=count
    )
    script = asset("page.js")
    # The page's own script may run, and nothing else: an escape forgotten stays without effect.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment.globals.update(
        style=Markup(asset("style.css")),  # noqa: S704 - ours
        script=Markup(script),  # noqa: S704 - ours
        policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'",
    )
    return environment


def asset(name: str) -> str:
    """Return a file of the templates' folder (``style.css``)."""
    return (files("paritylab.html") / "templates" / name).read_text(encoding="utf-8")


def _printable(value: Any) -> Any:
    """What an expression gives to a page: nothing instead of ``None``, tidy text."""
    if value is None:
        return ""
    if isinstance(value, Markup):
        return value
    return tidy(value) if isinstance(value, str) else value


def points(value: float) -> str:
    """At most two digits after the point, none that is not needed: ``7.5``, ``8``."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def seconds(value: float | None) -> str:
    """``0.25 s``."""
    return "" if value is None else f"{value:.2f} s"


def scientific(value: float | None) -> str:
    """``1.2e-07``; nothing for None, a word for what is not finite."""
    if value is None:
        return ""
    if not math.isfinite(value):
        return "not finite"
    return "0" if value == 0 else f"{value:.1e}"


def share(value: float | None) -> str:
    """A share: ``14 %``, ``0.2 %``, ``<0.1 %``, ``2,360 times``; a word where it is infinite."""
    if value is None or not math.isfinite(value):
        return "without bound"
    if value >= 10:
        return f"{value:,.0f} times"
    percent = value * 100
    if 0 < percent < 0.1:
        return "<0.1 %"
    return f"{percent:.0f} %" if percent >= 10 or percent == 0 else f"{percent:.1f} %"


def count(value: int | None) -> str:
    """``8,388,608``."""
    return "" if value is None else f"{value:,}"
