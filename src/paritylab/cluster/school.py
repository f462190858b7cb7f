"""A host's sandboxes for submissions: each batch is one submission, in a lane of its own."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing

from paritylab.cluster import kits, messages
from paritylab.cluster.imagesource import image_source
from paritylab.cluster.manifest import Manifest
from paritylab.errands import Errand, Report
from paritylab.errors import EngineError
from paritylab.grade.asking import replies
from paritylab.grade.lanes import Isolation, Lanes
from paritylab.grade.sandboxes import Sandboxes
from paritylab.hardware import cpu_class
from paritylab.model import Environment, Limits
from paritylab.progress import Display
from paritylab.runner import Executed


class School:
    """Sandboxes as the manifest's ``grading`` wants them: ``limits``, ``isolation``, ``runtime``,
    and the ``keys`` of the workers of a lane.

    As many submissions at a time as ``threads``, or as this host's memory has room for, as if there
    were no other on it. Raises DockerError, UsageError (a runtime that does not go with the
    isolation) or ImageError.
    """

    def __init__(self, manifest: Manifest, *, host: str, threads: int) -> None:
        wanted, self._host = manifest.grading, host
        self._folder = kits.unpack(manifest.kit)
        isolation = Isolation(wanted["isolation"])
        self._boxes = Sandboxes(
            Limits(**wanted["limits"]),
            isolation=isolation,
            base=manifest.base,
            runtime=wanted["runtime"],
            source=image_source(manifest.tags, manifest.images, base=manifest.base),
        )
        keys = [messages.key_of(facts, self.environment) for facts in wanted["keys"]]
        self._image = self._boxes.prepare(keys, Display())
        places = min(threads, self._boxes.places(len(keys)))
        self._room = threading.BoundedSemaphore(places)
        self._stopping = threading.Event()
        self._lanes = Lanes(
            self._boxes.open, keys, isolation=isolation, ahead=places, wanted=sys.maxsize
        )

    def environment(self, name: str) -> Environment:
        """An environment of the run's project."""
        return kits.environment(self._folder, name)

    def serve(self, errands: Sequence[Errand]) -> Iterator[Report]:
        """Run a submission's errands one after another; what this host cannot do is told."""
        left = list(errands)
        jobs = ((errand.key, errand.job) for errand in errands)
        with self._room:
            try:
                with closing(replies(jobs, self._lanes, self._stopping.is_set)) as answers:
                    for reply in answers:
                        executed = Executed(answer=reply.answer, versions={}, cpu=cpu_class())
                        yield Report(
                            id=left.pop(0).id, executed=executed, host=self._host,
                            seconds=reply.wall, image=self._image, trouble=reply.trouble,
                        )  # fmt: skip
            except EngineError as fault:
                executed = Executed(answer=fault, versions={}, cpu=cpu_class())
                for errand in left:
                    yield Report(
                        id=errand.id, executed=executed, host=self._host, seconds=0.0,
                        elsewhere=True,
                    )  # fmt: skip

    def close(self) -> None:
        """End every sandbox."""
        self._stopping.set()
        self._lanes.close()
