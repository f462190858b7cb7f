"""The ``[grading]`` part of a lab.toml as pydantic models, and what it becomes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from paritylab.rubric import Constructs, Rubric, default_forbidden
from paritylab.strict import Dotted, Name, NonEmpty, Strict


class ConstructsModel(Strict):
    """``[grading.constructs.<implementation>]`` of a lab.toml."""

    require: tuple[Dotted, ...] = ()
    forbid: tuple[Dotted, ...] = ()
    points: Annotated[float, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _points_are_for_require(self) -> ConstructsModel:
        if bool(self.require) != bool(self.points):
            raise ValueError(
                "`require` and `points` come together: what it must use, what it costs"
            )
        both = sorted({*self.require} & {*self.forbid})
        if both:
            raise ValueError(f"`{both[0]}` is required and forbidden")
        return self


class GradingModel(Strict):
    """``[grading]`` of a lab.toml."""

    implementations: Annotated[tuple[Name, ...], Field(min_length=1)]
    environment: NonEmpty
    seeds: Annotated[int, Field(ge=1, le=100)] = 3
    constructs: dict[Name, ConstructsModel] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _constructs_are_of_what_is_graded(self) -> GradingModel:
        if len(set(self.implementations)) < len(self.implementations):
            raise ValueError("`implementations` names one twice")
        for name in self.constructs:
            if name not in self.implementations:
                raise ValueError(f"constructs.{name}: `{name}` is not among `implementations`")
        return self

    def rubric(self) -> Rubric:
        """Return the frozen rubric; every implementation gets its default forbidden names."""
        return Rubric(
            implementations=tuple(self.implementations),
            environment=self.environment,
            seeds=self.seeds,
            constructs={name: self._constructs(name) for name in self.implementations},
        )

    def _constructs(self, name: Name) -> Constructs:
        written = self.constructs.get(name, ConstructsModel())
        return Constructs(
            require=written.require,
            forbid=(*written.forbid, *default_forbidden(name)),
            points=written.points,
        )
