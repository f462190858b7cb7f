"""environment.toml as pydantic models; faults are told by ``schema``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from paritylab.strict import NonEmpty, Strict


class DeviceProfilesModel(Strict):
    """``[devices.<device>.profiles.*]``: variables that only this device needs."""

    portable: Mapping[str, str] = {}
    native: Mapping[str, str] = {}


class StackModel(Strict):
    """``[devices.<device>]`` of an environment.toml."""

    base: Annotated[str, Field(pattern=r"^[a-z0-9./:-]+@sha256:[0-9a-f]{64}$")]
    tag: NonEmpty
    index: NonEmpty | None = None
    overrides: tuple[NonEmpty, ...] = ()
    driver: Annotated[str, Field(pattern=r"^\d+(\.\d+)*$")] | None = None
    variables: Mapping[str, str] = {}
    profiles: DeviceProfilesModel = DeviceProfilesModel()
    # Inside site-packages, whatever is written: no absolute path, no way up.
    drop: tuple[Annotated[str, Field(pattern=r"^\w+(/[\w*][\w.*+-]*)+$")], ...] = ()


class SupportModel(Strict):
    """``[implementations.<name>]`` of an environment.toml."""

    preload: tuple[NonEmpty, ...] = ()
    variables: Mapping[str, str] = {}
    unsupported: NonEmpty | None = None

    @model_validator(mode="after")
    def _preload_or_reason(self) -> SupportModel:
        if bool(self.preload) == bool(self.unsupported):
            raise ValueError("give either `preload` (it runs here) or `unsupported` (why not)")
        return self


class ProfilesModel(Strict):
    """``[profiles.*]`` of an environment.toml: variables set before the frameworks' import."""

    portable: dict[str, str]
    native: dict[str, str]


class SupportsModel(Strict):
    """``[implementations]`` of an environment.toml: all three must be spoken for."""

    pytorch: SupportModel
    tf1: SupportModel
    tf2: SupportModel


class EnvironmentModel(Strict):
    """A whole environment.toml."""

    title: NonEmpty
    python: Annotated[str, Field(pattern=r"^3\.\d+$")]
    devices: Annotated[dict[Literal["cpu", "cuda"], StackModel], Field(min_length=1)]
    profiles: ProfilesModel
    implementations: SupportsModel
