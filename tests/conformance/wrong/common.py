"""Plugins that break what all kinds promise."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from conformance.case import Case
from conformance.wrong.heavy import ImportsTorch
from pydantic import ConfigDict, Field, PlainSerializer

from noisette_plugins.samplers import DDIM
from noisette_plugins.schedules import Cosine, Linear


class ShoutsItsName(Linear):
    """Betas that rise linearly."""

    name: ClassVar[str] = "LINEAR!"


class OldApi(Linear):
    """Betas that rise linearly."""

    api: ClassVar[int] = 0


class NoDescription(Linear):
    """Betas that rise linearly."""

    start: float = Field(1e-4, gt=0, lt=1)


class NoDocstring(Linear):
    name: ClassVar[str] = "no-docstring"


class LosesAnOption(DDIM):
    """DDIM that stores its eta in per cent."""

    eta: Annotated[float, PlainSerializer(lambda eta: 100 * eta)] = Field(0.0, ge=0, description="noise")


class NotJson(DDIM):
    """DDIM whose options are no JSON."""

    def options(self) -> dict[str, Any]:
        return {**super().options(), "spacing": {1, 2}}


class KeepsAList(Linear):
    """Betas whose option could be changed behind its back."""

    steps: list[int] = Field([1], description="a list")


class TakesAnyOption(Linear):
    """Betas that rise linearly, with a misspelt option too."""

    model_config = ConfigDict(extra="ignore")


class CanBeChanged(Linear):
    """Betas that rise linearly, until somebody sets another end."""

    model_config = ConfigDict(frozen=False)

    __hash__ = object.__hash__


CASES = [
    Case("rejects-unknown-options", TakesAnyOption(), Linear()),
    Case("rejects-unknown-options", CanBeChanged(), Linear()),
    Case("is-a-plugin", ShoutsItsName(), Linear()),
    Case("is-a-plugin", OldApi(), Linear()),
    Case("has-descriptions", NoDescription(), Linear()),
    Case("has-descriptions", NoDocstring(), Linear()),
    Case("options-round-trip", LosesAnOption(eta=0.5), DDIM(eta=0.5)),
    Case("options-round-trip", NotJson(), DDIM()),
    Case("is-immutable", KeepsAList(), Linear()),
    Case("imports-nothing-heavy", ImportsTorch(), Cosine()),
]
