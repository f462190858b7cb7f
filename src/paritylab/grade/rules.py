"""Which attempt counts and what lateness costs: one rule, one table, no surprises.

| case | what happens |
|---|---|
| several attempts of a student | the last one counts (``--attempt first``: the first one) |
| no time known | attempts are ordered by their names; nothing is late |
| handed in after ``--late-after`` | late: the penalty for every begun day (or hour), at most all |
| Canvas says LATE, no time known | late: the penalty of one day (or hour) |
| a group handed in together | every member gets the same submission |
| in ``submissions.csv``, nothing found | a submission with a fault, so that no row is missing |
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from paritylab.errors import UsageError, nearest

ATTEMPTS = ("last", "first")
UNITS = {"day": timedelta(days=1), "hour": timedelta(hours=1)}
_PENALTY = re.compile(r"^(?P<share>\d*\.?\d+)\s*/\s*(?P<unit>\w+)$", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class AttemptRule:
    """How attempts and times are treated.

    ``late_after`` is the deadline (with a time zone), ``penalty`` the share of the score (0 to 1)
    that every begun ``unit`` after it takes.
    """

    attempt: str = "last"
    late_after: datetime | None = None
    penalty: float = 0.0
    unit: str = "day"

    def lateness(self, submitted: datetime | None, *, marked: bool) -> tuple[bool, float]:
        """Return whether a submission is late, and the share of the score that this takes.

        ``marked`` says that the learning platform calls it late.
        """
        if self.late_after is not None and submitted is not None:
            over = submitted - self.late_after
            units = max(0, math.ceil(over / UNITS[self.unit]))
            return units > 0, min(1.0, round(self.penalty * units, 9))
        return marked, min(1.0, self.penalty) if marked else 0.0

    def table(self) -> list[tuple[str, str]]:
        """The rule as rows for people: case, what happens."""
        deadline = self.late_after.isoformat() if self.late_after else "none"
        cost = f"{self.penalty:.0%} of the score per begun {self.unit}, at most all of it"
        return [
            ("several attempts of a student", f"the {self.attempt} one counts"),
            ("deadline", deadline),
            ("late", cost if self.penalty else "told, costs nothing"),
            ("marked LATE by Canvas, time unknown", f"counts as one {self.unit}"),
            ("time unknown", "attempts in the order of their names; not late"),
            ("handed in by a group", "every member gets it"),
        ]


def attempt_rule(attempt: str, late_after: str | None, late_penalty: str | None) -> AttemptRule:
    """Return the rule for what was typed; raises UsageError.

    ``late_after`` is an ISO 8601 time (UTC where it names no zone), ``late_penalty`` such as
    ``0.1/day``.
    """
    if attempt not in ATTEMPTS:
        raise UsageError(f"unknown attempt `{attempt}`", why=nearest(attempt, ATTEMPTS))
    if late_penalty and not late_after:
        raise UsageError(
            "--late-penalty without --late-after", fix="--late-after 2027-01-31T23:59+01:00"
        )
    deadline = None
    if late_after:
        deadline = moment(late_after)
        if deadline is None:
            raise UsageError(
                f"`{late_after}` is no ISO 8601 time", fix="--late-after 2027-01-31T23:59+01:00"
            )
    share, unit = _penalty(late_penalty)
    return AttemptRule(attempt=attempt, late_after=deadline, penalty=share, unit=unit)


def _penalty(text: str | None) -> tuple[float, str]:
    if not text:
        return 0.0, "day"
    match = _PENALTY.match(text.strip())
    if match is None or match["unit"] not in UNITS or float(match["share"]) > 1:
        raise UsageError(
            f"`{text}` is no penalty",
            why="a share of the score from 0 to 1, a slash, and day or hour",
            fix="--late-penalty 0.1/day",
        )
    return float(match["share"]), match["unit"]


def moment(text: str) -> datetime | None:
    """Return the time that ``text`` states, None where it states none.

    ISO 8601 with an offset, with a zone's name after it (``2026-01-30 15:30:10 Europe/Rome``, as
    nbgrader writes) or with neither, which means UTC.
    """
    stamp, _, zone = text.strip().rpartition(" ")
    for candidate, name in ((text.strip(), ""), (stamp, zone)):
        try:
            found = datetime.fromisoformat(candidate)
            if found.tzinfo is None:
                found = found.replace(tzinfo=_zone(name))
            return found.astimezone(UTC)
        except (ValueError, OverflowError, OSError, ZoneInfoNotFoundError):
            continue
    return None


def _zone(name: str) -> tzinfo:
    return UTC if name in ("", "UTC", "UCT", "Z") else ZoneInfo(name)
