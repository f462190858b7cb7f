"""Figure (d): an image built cold, with one lock line changed, and again with nothing changed.

Against what people do otherwise: a Dockerfile of ``pip install -r`` with the same lock and the same
base, built by ``docker build`` with its layer cache. All wheels are on this machine before the
clock starts, for both (they travel with the Dockerfile's context): the network is not what is
measured. The changed line is a package that nothing else is built on, taken out; not one of the
large ones, whose change costs about what a cold build does. What is built here gets tags of its own
and is removed; no image of ours is touched.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pip
from docker.client import DockerClient
from docker.errors import APIError, BuildError, ImageNotFound
from packaging.utils import canonicalize_name
from rich.progress import Progress

from paritylab import bases, images, locks
from paritylab.bench.model import Figure, Target, Tell, ratio
from paritylab.engines.dockerclient import open_client
from paritylab.errors import EngineError, ImageError
from paritylab.imagebuild import Recipe
from paritylab.locks import Pin
from paritylab.model import Environment

UNCHANGED = Target(below=1)
ONE_LINE = Target(below=0.25)
TAG = "paritylab-bench"
NAMES = ("same", "changed", "foundation", "plain", "plain-changed")
CHANGED = ("pygments", "rich", "markdown")
"""Packages whose line may be the changed one: the first that the lock has."""
_DOCKERFILE = """\
FROM {base}
LABEL {label}=yes
COPY pip /opt/pip/pip
COPY requirements.txt /requirements.txt
COPY wheels /wheels
RUN PYTHONPATH=/opt/pip {python} -m pip install --quiet --no-index --find-links /wheels \
    --no-deps --require-hashes --target /opt/site -r /requirements.txt
"""


@dataclass(frozen=True, kw_only=True)
class _Builds:
    """An environment's recipe and `docker build` context, as it is and with a line less."""

    client: DockerClient
    environment: Environment
    mode: str
    progress: Progress
    same: Recipe
    changed: Recipe
    plain: Path
    plain_changed: Path


def builds(environment: Environment, *, base: str, repeats: int, tell: Tell) -> list[Figure]:
    """Measure the CPU image of an environment; raises what ``images.ensure`` raises."""
    times: dict[str, list[float]] = {}
    with _prepared(environment, base) as made:
        ways: dict[str, Callable[[], object]] = {
            "cold": lambda: _ours(made, made.same),
            "one line": lambda: _ours(made, made.changed),
            "unchanged": lambda: _ensure(made),
            "plain cold": lambda: _plain(made, made.plain, cold=True),
            "plain one line": lambda: _plain(made, made.plain_changed, cold=False),
            "plain unchanged": lambda: _plain(made, made.plain_changed, cold=False),
        }
        for repeat in range(repeats):
            _forget(made.client)
            for name, way in ways.items():
                begun = time.monotonic()
                way()
                times.setdefault(name, []).append(time.monotonic() - begun)
                tell(f"builds {repeat + 1}: {name} {times[name][-1]:.2f} s")
    return _figures(environment.name, times)


def _figures(name: str, times: dict[str, list[float]]) -> list[Figure]:
    def against(over: str, under: str, what: str, target: Target | None = None) -> Figure:
        return ratio(
            "d",
            f"{name}: {what}",
            (f"{over} s", times[over]),
            (f"{under} s", times[under]),
            target=target,
        )

    unchanged = Figure(
        letter="d",
        name=f"{name}: build with nothing changed",
        unit="s",
        samples=tuple(times["unchanged"]),
        target=UNCHANGED,
    )
    return [
        unchanged,
        against("one line", "cold", "one lock line changed against cold", ONE_LINE),
        against("plain cold", "cold", "docker build of `pip install -r`, cold, against ours"),
        against("plain one line", "one line", "the same with one line changed"),
        against("plain unchanged", "unchanged", "the same with nothing changed"),
    ]


@contextmanager
def _prepared(environment: Environment, base: str) -> Iterator[_Builds]:
    client = open_client()
    with Progress(disable=True) as progress, TemporaryDirectory(prefix="paritylab-bench-") as name:
        images.ensure(client, environment, "cpu", base=base, progress=progress)
        found = bases.identify(environment, "cpu", mode=base, progress=progress)
        recipe = images.recipe_of(
            client, environment, "cpu", base=found, mode=base, progress=progress
        )
        recipe = _own_tags(recipe)
        pins = locks.parse_lock(environment.stacks["cpu"].lock)
        above = locks.parse_lock(recipe.files["lock"])
        gone = next((one for one in CHANGED if one in above), None)
        if gone is None:
            raise EngineError(f"{environment.name} has none of {', '.join(CHANGED)} to change")
        folder = Path(name)
        try:
            yield _Builds(
                client=client,
                environment=environment,
                mode=base,
                progress=progress,
                same=recipe,
                changed=_changed(recipe, _without(above, gone), folder / "lock"),
                plain=_context(folder / "plain", recipe, pins),
                plain_changed=_context(folder / "plain-changed", recipe, _without(pins, gone)),
            )
        finally:
            _forget(client)


def _own_tags(recipe: Recipe) -> Recipe:
    below = recipe.foundation and replace(recipe.foundation, tag=f"{TAG}:foundation")
    return replace(recipe, tag=f"{TAG}:same", foundation=below)


def _without(pins: dict[str, Pin], gone: str) -> dict[str, Pin]:
    return {name: pin for name, pin in pins.items() if name != gone}


def _changed(recipe: Recipe, pins: dict[str, Pin], lock: Path) -> Recipe:
    """The recipe with another lock: a pin less, and its wheel."""
    lock.write_text("".join(f"{pin.requirement}\n" for pin in pins.values()))
    wheels = _wheels(recipe.files, pins)
    kept = {n: f for n, f in recipe.files.items() if not n.startswith("wheels/") or f in wheels}
    return replace(recipe, tag=f"{TAG}:changed", files={**kept, "lock": lock})


def _wheels(files: Mapping[str, Path], pins: dict[str, Pin]) -> list[Path]:
    named = [file for name, file in files.items() if name.startswith("wheels/")]
    return [f for f in named if canonicalize_name(f.name.split("-")[0]) in pins]


def _context(folder: Path, recipe: Recipe, pins: dict[str, Pin]) -> Path:
    (folder / "wheels").mkdir(parents=True)
    below = recipe.foundation.files if recipe.foundation else {}
    for wheel in _wheels({**below, **recipe.files}, pins):
        shutil.copy(wheel, folder / "wheels")
    requirements = "".join(f"{pin.requirement}\n" for pin in pins.values())
    (folder / "requirements.txt").write_text(requirements)
    shutil.copytree(Path(pip.__file__).parent, folder / "pip")
    text = _DOCKERFILE.format(base=recipe.base, label=TAG, python=recipe.arguments[0])
    (folder / "Dockerfile").write_text(text)
    return folder


def _ours(made: _Builds, recipe: Recipe) -> None:
    images.made(made.client, recipe, made.progress)


def _ensure(made: _Builds) -> None:
    images.ensure(made.client, made.environment, "cpu", base=made.mode, progress=made.progress)


def _plain(made: _Builds, context: Path, *, cold: bool) -> None:
    tag = f"{TAG}:{context.name}"
    try:
        made.client.images.build(
            path=str(context), tag=tag, nocache=cold, rm=True, forcerm=True, network_mode="none"
        )
    except BuildError as fault:
        said = "".join(str(line.get("stream", "")) for line in fault.build_log)
        raise ImageError("the plain docker build failed", why=said[-2000:]) from fault


def _forget(client: DockerClient) -> None:
    """Remove what was built; also the steps of a build that failed, which have no name."""
    for name in NAMES:
        with suppress(ImageNotFound):
            client.images.remove(f"{TAG}:{name}", force=True)
    with suppress(APIError):  # somebody else prunes
        client.images.prune(filters={"dangling": True, "label": TAG})
