"""audit.run: engines that cannot be made ready, or closed, cost no more than themselves."""

import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from paritylab.audit.conditions import combined
from paritylab.audit.run import Workshop
from paritylab.audit.tasks import Ran, Task
from paritylab.engines.here import HereEngine
from paritylab.errors import DockerError
from paritylab.model import WorkerKey
from paritylab.plan import Options, cells_of


class Stubborn(HereEngine):
    """An engine that has stopped answering."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[threading.Thread] = []
        self.closed = False

    def prepare(self, keys: Iterable[WorkerKey]) -> None:
        """Fail as an engine does that cannot build."""
        assert list(keys)
        self.asked.append(threading.current_thread())
        raise DockerError("the image cannot be made", why="no space left on device", fix="df -h")

    def close(self) -> None:
        """Fail as an engine does that was restarted."""
        self.closed = True
        raise DockerError("the Docker engine does not answer")


def test_another_engine_is_made_ready_where_ctrl_c_can_end_it(project: Path) -> None:
    """In the main thread, once, before any run; what cannot be made is skipped with the reason."""
    workshop, engine = Workshop(Options(engine="venv", root=project)), Stubborn()
    workshop._engines["docker"] = engine
    cells = [cell for cell in cells_of(workshop.options) if not cell.unsupported]
    found: list[Ran] = []
    tasks = [Task(condition=combined(["engine-docker"]), cell=cell, repeat=0) for cell in cells]
    workshop.run(tasks, found.append)
    assert engine.asked == [threading.main_thread()]
    assert [(one.answer, one.why, one.fix) for one in found] == [
        (None, "no space left on device", "df -h")
    ] * len(cells)


def test_an_engine_that_cannot_be_closed_leaves_no_other_open(project: Path) -> None:
    """Workers and containers of the others would outlive the audit."""
    first, second = Stubborn(), Stubborn()
    workshop = Workshop(Options(engine="here", root=project))
    workshop._engines.update(venv=first, docker=second)
    with pytest.raises(DockerError, match="does not answer"), workshop:
        pass
    assert first.closed
    assert second.closed
