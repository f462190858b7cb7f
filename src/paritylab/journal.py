"""What a long job has finished, in one SQLite file: durable unit by unit, resumable when killed."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from sqlalchemy import (
    Column,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    delete,
    event,
    insert,
    select,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

from paritylab.errors import JournalError

SCHEMA = 1
"""Version of the file's tables; another one is refused."""

_tables = MetaData()
_meta = Table(
    "meta",
    _tables,
    Column("one", Integer, primary_key=True),
    Column("schema", Integer, nullable=False),
    Column("kind", String, nullable=False),
    Column("facts", Text, nullable=False),
    Column("begun", String, nullable=False),
)
_units = Table(
    "units",
    _tables,
    Column("number", Integer, primary_key=True),
    Column("unit", String, nullable=False, unique=True),
    Column("payload", Text, nullable=False),
    Column("at", String, nullable=False),
)


class Journal:
    """The finished units of one job; a context manager that closes the file.

    A unit is an id and a JSON object. ``record`` returns when the unit is on the disk, so a
    killed job loses at most what was running. One process at a time has a journal open; its
    threads may share it.

    Parameters: ``kind`` names the sort of job (``grade``, ``audit``); ``facts`` is what every unit
    depends on (labs, seeds, locks): a journal that is there already must have the same, or
    JournalError says which differ. ``facts`` None takes what the file says. Without ``resume`` a
    file that is there already is refused.
    """

    def __init__(
        self, path: Path, *, kind: str, facts: Mapping[str, Any] | None, resume: bool
    ) -> None:
        self.path, self.kind = path, kind
        self._lock = threading.Lock()
        there = path.exists()
        if there and not resume:
            raise JournalError(
                "a journal is there already",
                where=str(path),
                fix="continue it with --resume, or choose another folder with --out",
            )
        if not there and facts is None:
            raise JournalError("there is no journal to continue", where=str(path))
        self._connection = self._connected()
        try:
            self.facts = self._opened(None if facts is None else _plain(facts))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; closing twice does no harm."""
        self._connection.close()
        self._connection.engine.dispose()

    def done(self) -> dict[str, dict[str, Any]]:
        """Return the finished units, unit -> payload, in the order in which they finished."""
        with self._lock, self._connection.begin():
            rows = self._connection.execute(
                select(_units.c.unit, _units.c.payload).order_by(_units.c.number)
            )
            return {unit: json.loads(payload) for unit, payload in rows}

    def record(self, unit: str, payload: Mapping[str, Any]) -> None:
        """Make a finished unit durable; the same unit again replaces what was there."""
        self.record_all({unit: payload})

    def record_all(self, payloads: Mapping[str, Mapping[str, Any]]) -> None:
        """Make several units durable at once, all or none: waiting for the disk is what takes."""
        rows = [
            {"unit": unit, "payload": json.dumps(payload, allow_nan=False), "at": _now()}
            for unit, payload in payloads.items()
        ]
        if not rows:
            return
        with self._lock, self._explained(), self._connection.begin():
            self._connection.execute(delete(_units).where(_units.c.unit.in_(list(payloads))))
            self._connection.execute(insert(_units), rows)

    def forget(self, prefix: str) -> int:
        """Drop the units whose id starts with ``prefix``; return how many there were."""
        with self._lock, self._explained(), self._connection.begin():
            chosen = _units.c.unit.startswith(prefix, autoescape=True)
            return self._connection.execute(delete(_units).where(chosen)).rowcount

    def _connected(self) -> Connection:
        engine = create_engine(
            f"sqlite:///{self.path}", poolclass=StaticPool, connect_args={"timeout": 2.0}
        )

        @event.listens_for(engine, "connect")
        def _durable(connection: Any, _: object) -> None:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA synchronous = FULL")

        with self._explained():
            return engine.connect()

    def _opened(self, facts: dict[str, Any] | None) -> dict[str, Any]:
        with self._explained(), self._connection.begin():
            # A write takes the lock that keeps a second process out.
            self._connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS opened (at TEXT)")
            self._connection.exec_driver_sql("INSERT INTO opened VALUES (?)", (_now(),))
            _tables.create_all(self._connection)
            row = self._connection.execute(select(_meta)).one_or_none()
            if row is None:
                self._connection.execute(
                    insert(_meta).values(
                        one=1, schema=SCHEMA, kind=self.kind, facts=json.dumps(facts), begun=_now()
                    )
                )
                return facts or {}
        return self._same(row.schema, row.kind, json.loads(row.facts), facts)

    def _same(
        self, schema: int, kind: str, known: dict[str, Any], facts: dict[str, Any] | None
    ) -> dict[str, Any]:
        if (schema, kind) != (SCHEMA, self.kind):
            raise JournalError(
                f"it is a journal of {kind}, schema {schema}; this is {self.kind}, schema {SCHEMA}",
                where=str(self.path),
                fix="choose another folder with --out",
            )
        if facts is None:
            return known
        moved = sorted(key for key in {*known, *facts} if known.get(key) != facts.get(key))
        if moved:
            raise JournalError(
                f"it was begun with other facts: {', '.join(moved)}",
                where=str(self.path),
                why="; ".join(
                    f"{k}: was {known.get(k)!r:.120}, is {facts.get(k)!r:.120}" for k in moved
                ),
                fix="continue with what it was begun with, or choose another folder with --out",
            )
        return known

    def _explained(self) -> _Explained:
        return _Explained(self.path)


class _Explained:
    """Turns the database's exceptions into JournalError."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, fault: BaseException | None, trace: object) -> None:
        if not isinstance(fault, SQLAlchemyError):
            return
        why = str(getattr(fault, "orig", fault))
        fix = "check the disk, or choose another folder with --out"
        if "locked" in why:
            fix = "another run works with it: wait for that one, or choose another --out"
        raise JournalError(
            "the journal cannot be used", where=str(self._path), why=why, fix=fix
        ) from fault


def _plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON gives it back: tuples are lists, keys strings."""
    plain: dict[str, Any] = json.loads(json.dumps(facts))
    return plain


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
