"""The base of every model that reads a file of ours, and the small types they share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

NonEmpty = Annotated[str, Field(min_length=1)]
Name = Literal["pytorch", "tf1", "tf2"]
"""An implementation."""


def _dotted(name: str) -> str:
    if not all(part.isidentifier() for part in name.split(".")):
        raise ValueError("write a dotted name such as tf.function")
    return name


Dotted = Annotated[str, Field(max_length=200), AfterValidator(_dotted)]
"""A dotted Python name such as ``tf.function``."""


class Strict(BaseModel):
    """Unknown keys are errors; nothing changes after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
