"""From options to cells, settings and an engine: what the CLI and pytest have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from paritylab import catalog, checkout, durations, gpus, matrix, shards
from paritylab.bases import MODES
from paritylab.engines.base import Engine
from paritylab.engines.docker import DockerEngine
from paritylab.engines.here import HereEngine, local_environment
from paritylab.engines.venv import VenvEngine
from paritylab.errors import UsageError, nearest
from paritylab.gpupool import GpuPool
from paritylab.matrix import Selection
from paritylab.model import PROFILES, Cell
from paritylab.progress import Display
from paritylab.runner import Settings
from paritylab.shards import Shard

ENGINES = ("venv", "docker", "here")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a user chose; every field has the default of the command line."""

    selection: Selection = field(default_factory=Selection)
    settings: Settings = field(default_factory=Settings)
    engine: str = "venv"
    base: str = "auto"
    root: Path | None = None
    gpus: str | None = None
    shard: str | None = None
    durations: Path | None = None

    def check(self) -> Options:
        """Raise UsageError for an engine, base mode or profile that does not exist."""
        for kind, name, valid in (
            ("engine", self.engine, ENGINES),
            ("base", self.base, MODES),
            ("profile", self.settings.profile, PROFILES),
        ):
            if name not in valid:
                raise UsageError(f"unknown {kind} `{name}`", why=nearest(name, valid))
        gpus.indices(self.gpus)
        if self.shard is not None:
            shards.parse(self.shard)
        elif self.durations is not None:
            raise UsageError("--balance-by is for --shard", fix="--shard 1/2 --balance-by FILE")
        for given, name in ((self.gpus, "--gpus"), (self.settings.smoke, "--smoke")):
            if given and self.selection.device != "cuda":
                raise UsageError(f"{name} is for --device cuda", fix=f"--device cuda {name}")
        if self.gpus and self.settings.smoke:
            raise UsageError("--smoke uses no GPU, --gpus chooses some", fix="leave out one")
        seed = self.settings.seed
        if seed is not None and not 0 <= seed < 2**32:
            raise UsageError(f"seed {seed} is out of range", why="0 to 4294967295")
        return self


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The cells of a run, the project they are of, and their shard if the run is one.

    ``cells`` are in the order of the catalog; ``durations`` is the file that says how long they
    took before, if not the project's own.
    """

    root: Path
    cells: tuple[Cell, ...]
    durations: Path | None = None
    shard: Shard | None = None

    def in_turn(self) -> tuple[Cell, ...]:
        """The cells in the order in which one machine should run them; raises UsageError."""
        return durations.longest_first(self.cells, durations.known(self.root, self.durations))

    def origin(self) -> dict[str, Any]:
        """What results.json says of where the cells come from: commit, changes, shard."""
        shard = {"shard": self.shard.document()} if self.shard else {}
        return {"project": checkout.origin(self.root), **shard}


def cells_of(options: Options) -> list[Cell]:
    """Return the selected cells; see ``choose``."""
    return list(choose(options).cells)


def choose(options: Options) -> Chosen:
    """Read the catalog and return what is selected; raises CatalogError, UsageError."""
    options.check()
    root = options.root or catalog.find_root()
    chosen = options.selection
    if options.engine == "here":
        loaded = catalog.load(root, labs=chosen.labs)
        here = local_environment()
        loaded = catalog.Catalog(root=root, labs=loaded.labs, environments={here.name: here})
    else:
        loaded = catalog.load(root, labs=chosen.labs, environments=chosen.environments)
    cells = matrix.cells(loaded, chosen)
    if not cells:
        raise UsageError(
            f"no cell for device {chosen.device}",
            why="none of the chosen environments has that device",
            fix="paritylab list",
        )
    whole = Chosen(root=root, cells=tuple(cells), durations=options.durations)
    if options.shard is None:
        return whole
    number, of = shards.parse(options.shard)
    shard = shards.split(cells, of, durations.known(root, options.durations))[number - 1]
    return replace(whole, cells=shard.cells, shard=shard)


def open_engine(options: Options, progress: Display | None = None) -> Engine:
    """Return the chosen engine; raises DockerError when no Docker engine answers.

    ``progress`` shows what is fetched and made; without one, a new one on stderr does.
    """
    if options.engine == "docker":
        return DockerEngine(options.base, progress)
    return HereEngine() if options.engine == "here" else VenvEngine(progress)


def gpus_for(cells: Sequence[Cell], options: Options, engine: Engine) -> GpuPool | None:
    """Return the GPUs that the run may use, or None where it needs none; before anything is made.

    Raises NoGpuError (none, or a driver too old) or UsageError (an unknown number).
    """
    if options.selection.device != "cuda" or options.settings.smoke:
        return None
    look = partial(engine.gpus, cells[0].environment)
    found = gpus.choose(look(), gpus.indices(options.gpus))
    runs = {cell.environment.name: cell.environment for cell in cells if not cell.unsupported}
    gpus.require_drivers(found, runs.values())
    return GpuPool(found, look)


def facts(options: Options) -> dict[str, Any]:
    """What results.json says of the run as a whole."""
    return {
        "engine": options.engine,
        "base": options.base if options.engine == "docker" else None,
        "profile": options.settings.profile,
        "seed": options.settings.seed,
        "cold": options.settings.cold,
        "strict_bits": options.settings.strict_bits,
        "gpus": options.gpus,
        "smoke": options.settings.smoke,
    }
