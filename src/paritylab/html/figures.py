"""Curves, heat maps and histograms as inline SVG; the same input gives the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from paritylab.html.distance import distances_of, median_of, padded
from paritylab.html.page import tidy
from paritylab.html.svg import INK, LINE, PAPER, SERIES, inline, sheet, style, ticks, warmth

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Numbers = Sequence[float | None]
Array = NDArray[np.float64]

DRAWN_UP_TO = 1e100
"""Larger magnitudes are drawn at this one: an axis has to have a finite length."""
DASHES = ("-", "--", ":", "-.")
LONGEST_LABEL = 80
WIDTH = 7.2  # inches, 72 units of the SVG each


def curves(
    expected: Numbers | None,
    got: Mapping[str, Numbers],
    *,
    title: str,
    groups: Mapping[str, str] | None = None,
    unit: str = "step",
) -> Markup:
    """Draw named curves over an expected one, and below how far each is from it.

    ``expected`` None takes the median of ``got`` instead. Curves of one group (``groups``: name ->
    group, the implementation of a cell) share colour and dash and stand in the legend once. The
    distance is in ULP of float32 where every value of ``got`` is one, else relative. Values may be
    None or not finite: the line has a gap there, marked with a cross on the axis.
    """
    known = tuple(_frozen(values) for values in got.values())
    labels = tuple(_label((groups or {}).get(name, name)) for name in got)
    wanted = None if expected is None else _frozen(expected)
    return _curves(wanted, known, labels=labels, title=_label(title), unit=_label(unit))


def _label(text: str) -> str:
    """One line that Matplotlib can measure; it hides what begins with an underscore."""
    line = " ".join(tidy(text).split())
    line = f"\u2019{line}" if line.startswith("_") else line
    return line if len(line) <= LONGEST_LABEL else f"{line[: LONGEST_LABEL - 1]}…"


def _frozen(values: Numbers) -> tuple[float, ...]:
    return tuple(np.nan if value is None else float(value) for value in values)


@lru_cache(maxsize=512)  # right answers are equal to the last bit: one drawing serves them all
def _curves(
    wanted: tuple[float, ...] | None,
    known: tuple[tuple[float, ...], ...],
    *,
    labels: tuple[str, ...],
    title: str,
    unit: str,
) -> Markup:
    arrays = [np.array(values, dtype=np.float64) for values in known]
    length = max((len(one) for one in arrays), default=0)
    arrays = [padded(one, length) for one in arrays]
    middle = median_of(arrays, length) if wanted is None else padded(np.array(wanted), length)
    distances, measure = distances_of(arrays, middle)
    with style():
        figure = sheet(WIDTH, 4.4)
        figure.subplots_adjust(left=0.14, right=0.98, top=0.87, bottom=0.11, hspace=0.14)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        figure.text(0.01, 0.955, title, fontsize=11)
        order = {label: place for place, label in enumerate(dict.fromkeys(labels))}
        if wanted is not None:
            above.plot(_drawable(middle), color=INK, linewidth=3.2, alpha=0.35, label="expected")
        for label, values, distance in zip(labels, arrays, distances, strict=True):
            first = label in order and not any(h.get_label() == label for h in above.lines)
            look = _look(order[label], length)
            above.plot(_drawable(values), label=label if first else "_", **look)
            below.plot(_drawable(distance), **look)
            _cross_gaps(above, values, look["color"])
        _legend(above, len(order) + (wanted is not None))
        _finish(below, distances, measure, unit)
        return inline(figure, _told(title, known, distances, measure))


def _look(place: int, length: int) -> dict[str, object]:
    marker = {"marker": "o", "markersize": 3} if length <= 12 else {}
    return {
        "color": SERIES[place % len(SERIES)],
        "linestyle": DASHES[place % len(DASHES)],
        "linewidth": 1.4,
        "clip_on": False,
        **marker,
    }


def _drawable(values: Array) -> Array:
    """Finite magnitudes up to what an axis can show; anything else is a gap."""
    finite = np.where(np.isfinite(values), values, np.nan)
    clipped: Array = np.clip(finite, -DRAWN_UP_TO, DRAWN_UP_TO)
    return clipped


def _cross_gaps(axes: Axes, values: Array, color: object) -> None:
    gaps = np.flatnonzero(~np.isfinite(values))
    if len(gaps):
        height = np.full(len(gaps), 0.03)
        axes.plot(
            gaps, height, "x", color=str(color), transform=axes.get_xaxis_transform(), label="_"
        )


def _legend(axes: Axes, entries: int) -> None:
    axes.grid(visible=True, axis="y", alpha=0.5)
    axes.yaxis.set_major_locator(ticks(5))
    if entries > 1:
        axes.legend(
            fontsize=9, ncols=4, loc="lower right", bbox_to_anchor=(1.0, 0.98), borderaxespad=0
        )


def _finish(axes: Axes, distances: list[Array], measure: str, unit: str) -> None:
    largest = max((np.nanmax(d, initial=0.0) for d in distances), default=0.0)
    axes.set_xlabel(unit)
    axes.set_xlim(-0.5, max(1.5, max((len(d) for d in distances), default=0) - 0.5))
    axes.xaxis.set_major_locator(ticks(8, integer=True))
    axes.set_ylabel(f"difference\n({measure})")
    axes.yaxis.set_label_coords(-0.11, 0.5)
    axes.grid(visible=True, axis="y", alpha=0.5)
    axes.set_ylim(bottom=0)
    if largest == 0:
        axes.set_ylim(0, 1)
        axes.set_yticks([0])
    elif measure == "ULP" and largest <= 20:
        axes.yaxis.set_major_locator(ticks(4, integer=True))
    else:
        nearest = min(np.nanmin(np.where(d > 0, d, np.inf), initial=np.inf) for d in distances)
        drawn = min(largest, DRAWN_UP_TO)  # all may be infinite, and so the nearest, too
        low, high = np.floor(np.log10(min(nearest, drawn))), np.ceil(np.log10(drawn))
        low = max(low, high - 20)  # what is nearer than that is drawn at 0
        axes.set_yscale("symlog", linthresh=10.0**low)
        axes.set_yticks([0.0, *_powers(int(low), int(high))])
        axes.set_ylim(0, drawn * 1.5)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _powers(low: int, high: int) -> list[float]:
    """At most five powers of ten from ``low`` to ``high``."""
    return [10.0**power for power in range(low, high + 1, max(1, -(-(high - low) // 4)))]


def _told(
    title: str,
    known: tuple[tuple[float, ...], ...],
    distances: list[Array],
    measure: str,
) -> str:
    """The picture in a sentence, without any value of a curve."""
    if not known:
        return f"{title}: no curve"
    largest = max(float(np.nanmax(d, initial=0.0)) for d in distances)
    at = f"{largest:,.0f} ULP" if measure == "ULP" else f"{largest:.1e} relative"
    steps = max(len(values) for values in known)
    return f"{title}: {len(known)} curve(s) over {steps} steps, largest difference {at}"


def heat_map(  # noqa: PLR0913 - a table's three parts and what it says
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Numbers],
    *,
    title: str,
    unit: str = "",
    words: Sequence[Sequence[str]] | None = None,
) -> Markup:
    """Draw ``values[row][column]`` (0 or more; None: nothing there) as coloured fields.

    Colours follow ``log10(1 + value)``; ``words`` (the same shape) stand in the fields, else the
    values do.
    """
    rows, columns = [_label(name) for name in rows], [_label(name) for name in columns]
    title = _label(f"{title} ({unit})" if unit else title)
    known = np.array([_frozen(row) for row in values], dtype=np.float64)
    known = known.reshape(len(rows), len(columns))
    left = 0.3 + 0.078 * max(map(len, rows), default=0)
    top = 0.55 + 0.05 * max(map(len, columns), default=0)
    height, width = 0.28 * len(rows) + top + 0.1, 0.72 * len(columns) + left + 1.0
    with style():
        figure = sheet(width, height)
        figure.subplots_adjust(
            left=left / width, right=1 - 1.0 / width, top=1 - top / height, bottom=0.1 / height
        )
        axes = figure.subplots()
        axes.set(xlim=(0, max(1, len(columns))), ylim=(max(1, len(rows)), 0))
        figure.text(0.01, 1 - 0.2 / height, title, fontsize=11)
        axes.set_xticks(np.arange(len(columns)) + 0.5, columns, rotation=35, ha="left")
        axes.set_yticks(np.arange(len(rows)) + 0.5, rows)
        axes.tick_params(length=0, labeltop=True, labelbottom=False)
        for spine in axes.spines.values():
            spine.set_visible(False)
        _fields(axes, known, words)
        return inline(figure, f"{title}: {len(rows)} rows by {len(columns)} columns", wide=True)


def _fields(axes: Axes, known: Array, words: Sequence[Sequence[str]] | None) -> None:
    with np.errstate(all="ignore"):
        heat = np.log10(1 + np.clip(np.nan_to_num(known, nan=0.0, posinf=1e300), 0, 1e300))
    warmest = max(float(np.max(heat, initial=0.0)), 1e-12)
    for (row, column), value in np.ndenumerate(known):
        if np.isnan(value):
            continue
        red, green, blue, _ = warmth(float(heat[row, column]) / warmest)
        axes.fill_between(
            [column + 0.02, column + 0.98],
            row + 0.04,
            row + 0.96,
            color=(red, green, blue),
            linewidth=0,
        )
        dark = 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.45
        said = _label(words[row][column]) if words else f"{value:.3g}"
        axes.text(
            column + 0.5,
            row + 0.5,
            said,
            ha="center",
            va="center",
            fontsize=8,
            color="white" if dark else "black",
        )


def histogram(
    values: Sequence[float], *, title: str, unit: str, limits: tuple[float, float], bins: int = 20
) -> Markup:
    """Draw how many ``values`` lie in each of ``bins`` equal parts of ``limits``, and the median.

    What is not finite is left out; what lies outside the limits counts at the nearer one.
    """
    title, unit = _label(title), _label(unit)
    known = np.array([v for v in values if np.isfinite(v)], dtype=np.float64)
    low, high = limits if limits[0] < limits[1] else (limits[0], limits[0] + 1)
    known = np.clip(known, low, high)
    with style():
        figure = sheet(WIDTH, 2.6)
        figure.subplots_adjust(left=0.09, right=0.98, top=0.88, bottom=0.2)
        axes = figure.subplots()
        axes.set_title(title, fontsize=11, loc="left")
        axes.set_axisbelow(True)
        axes.hist(known, bins=bins, range=(low, high), color=SERIES[0], edgecolor=PAPER)
        if len(known):
            middle = float(np.median(known))
            axes.axvline(middle, color=INK, linewidth=1.2, linestyle="--")
            axes.annotate(
                f"median {middle:.3g}",
                (middle, 1.0),
                xycoords=axes.get_xaxis_transform(),
                fontsize=9,
                ha="right" if middle > (low + high) / 2 else "left",
                va="bottom",
            )
        axes.set_xlabel(unit)
        axes.yaxis.set_major_locator(ticks(5, integer=True, min_n_ticks=1))
        axes.grid(visible=True, axis="y", alpha=0.5, color=LINE)
        return inline(figure, f"{title}: {len(known)} values between {low:g} and {high:g}")
