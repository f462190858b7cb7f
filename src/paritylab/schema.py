"""The TOML and JSON files as pydantic models: unknown keys, types and ranges, in one place."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError, model_validator

from paritylab.errors import CatalogError, nearest
from paritylab.rubricmodel import GradingModel
from paritylab.stacks import CpuBits
from paritylab.strict import Name, NonEmpty, Strict

DTYPES = (
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "float32",
    "float64",
    "str",
)


class OutputModel(Strict):
    """``[outputs.<name>]`` of a lab.toml."""

    dtype: Literal[DTYPES]  # type: ignore[valid-type]
    shape: tuple[Annotated[int, Field(ge=0)], ...] = ()
    compare: Literal["exact", "close", "measured"]
    rtol: Annotated[float, Field(ge=0, lt=1)] = 0.0
    atol: Annotated[float, Field(ge=0)] = 0.0
    steps: bool = False
    per_implementation: bool = False
    bits: bool = True
    why: str = ""
    points: Annotated[float, Field(ge=0)] | None = None
    partial: bool = False

    @model_validator(mode="after")
    def _points_are_for_what_is_compared(self) -> OutputModel:
        if self.compare == "measured" and self.points:
            raise ValueError("a measured output has no right value, so it takes no points")
        if self.partial and not self.steps:
            raise ValueError("`partial` shares points by steps: it needs `steps = true`")
        return self

    @model_validator(mode="after")
    def _tolerance_has_a_reason(self) -> OutputModel:
        if self.compare != "close" and (self.rtol or self.atol):
            raise ValueError(f"a {self.compare} output takes no rtol or atol")
        if self.compare == "close" and not (self.rtol or self.atol):
            raise ValueError("a close output needs rtol or atol")
        if self.compare == "close" and not self.why.strip():
            raise ValueError("a tolerance needs its reason in `why` (the measured spread)")
        if self.compare == "close" and not self.dtype.startswith("float"):
            raise ValueError(f"a {self.dtype} output can only be compared exactly")
        if self.steps and not self.shape:
            raise ValueError("`steps` needs an axis 0: give a shape")
        return self


class ImplementationModel(Strict):
    """``[implementations.<name>]`` of a lab.toml."""

    requires: tuple[NonEmpty, ...] = ()
    unsupported: NonEmpty | None = None
    cpu_bits: CpuBits | None = None


class LimitsModel(Strict):
    """``[limits]`` of a lab.toml."""

    seconds: Annotated[float, Field(gt=0, le=3600)] = 60.0
    memory_mb: Annotated[int, Field(gt=0)] = 2048
    output_mb: Annotated[int, Field(gt=0, le=1024)] = 64
    gpu_memory_mb: Annotated[int, Field(ge=1024, le=1 << 20)] = 2048


class ClaimModel(Strict):
    """``[[claims]]`` of a lab.toml."""

    text: NonEmpty
    verdict: Literal["holds", "outdated", "wrong", "matter of taste"]
    evidence: NonEmpty


class LabModel(Strict):
    """A whole lab.toml."""

    title: NonEmpty
    guide: NonEmpty
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    stages: Annotated[tuple[NonEmpty, ...], Field(min_length=1)] = ("run",)
    limits: LimitsModel = LimitsModel()
    outputs: Annotated[dict[str, OutputModel], Field(min_length=1)]
    implementations: dict[Name, ImplementationModel] = Field(default_factory=dict)
    claims: tuple[ClaimModel, ...] = ()
    grading: GradingModel | None = None


class DataModel(Strict):
    """A ``labs/_data/*.toml``: where a data set comes from and what it must hash to."""

    file: NonEmpty
    title: NonEmpty
    source: NonEmpty
    licence: NonEmpty
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    rows: Annotated[int, Field(gt=0)]
    columns: Annotated[tuple[NonEmpty, ...], Field(min_length=1)]


class RecordedDigest(Strict):
    """Digest of one cell's outputs, and everything that its bits depend on."""

    implementation: Name
    environment: str
    device: Literal["cpu", "cuda"]
    profile: Literal["portable", "native"]
    lock: str
    hardware: str | None = None
    digest: str


class RecordedOutput(Strict):
    """Oracle values of one output: flat, in C order."""

    dtype: str
    shape: tuple[int, ...]
    values: tuple[float | int | str, ...]


class ExpectedModel(Strict):
    """A whole expected.json."""

    schema_version: Literal[1]
    lab: str
    seed: int
    inputs: str
    outputs: dict[str, RecordedOutput | dict[str, RecordedOutput]]
    digests: tuple[RecordedDigest, ...]


M = TypeVar("M", bound=BaseModel)


def parse_toml(path: Path, model: type[M], *, shown: str) -> M:
    """Read a TOML file into ``model``; every fault is a CatalogError naming file and key."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CatalogError("the file is missing", where=shown) from None
    except UnicodeDecodeError as fault:
        raise CatalogError("not UTF-8 text", where=shown, why=str(fault)) from None
    except (OSError, RecursionError) as fault:
        raise CatalogError("cannot be read", where=shown, why=str(fault)) from None
    except tomllib.TOMLDecodeError as fault:
        raise CatalogError("not valid TOML", where=shown, why=str(fault)) from None
    return validate(document, model, shown=shown)


def validate(document: Any, model: type[M], *, shown: str) -> M:
    """Validate plain data against ``model``; the first faults become one CatalogError."""
    try:
        return model.model_validate(document)
    except ValidationError as fault:
        # A misspelt key is both unknown and missing: the first says more.
        errors = sorted(fault.errors(), key=lambda error: error["type"] != "extra_forbidden")
        lines = [_sentence(error, model) for error in errors]
    head, *rest = lines
    raise CatalogError(
        head[1], where=f"{shown}: {head[0]}", why=head[2], fix=_others(rest)
    ) from None


def _others(rest: list[tuple[str, str, str | None]]) -> str | None:
    if not rest:
        return None
    return "mend this and also " + "; ".join(f"{key}: {what}" for key, what, _ in rest[:4])


def _sentence(error: Mapping[str, Any], model: type[BaseModel]) -> tuple[str, str, str | None]:
    location = [part for part in error["loc"] if part != "[key]"]
    key = ".".join(str(part) for part in location) or "(top level)"
    if error["type"] == "extra_forbidden":
        valid = _keys_at(model, location[:-1])
        return key, "unknown key", nearest(str(location[-1]), valid) if valid else None
    if error["type"] == "missing":
        return key, "required key is missing", None
    got = error.get("input")
    why = None if isinstance(got, (dict, list)) or got is None else f"got {str(got)[:80]!r}"
    return key, str(error["msg"]).removeprefix("Value error, "), why


def _keys_at(model: type[BaseModel], location: list[Any]) -> list[str]:
    """Names of the keys that are valid at ``location`` inside ``model``."""
    here: Any = model
    for part in location:
        fields = getattr(here, "model_fields", {})
        annotation = fields[part].annotation if part in fields else here
        here = next((m for m in _models(annotation)), here)
    return sorted(getattr(here, "model_fields", {}))


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    found: list[type[BaseModel]] = []
    for argument in getattr(annotation, "__args__", ()):
        found += _models(argument)
    return found
