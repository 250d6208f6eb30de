"""A checkpoint remembers its packages: it takes no other's plugin, and says which to install."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from support.packages import Site
from support.tiny import tiny

from noisette import CheckpointError, train
from noisette.checkpoint import Checkpoint
from noisette.model.plugins import load_plugin
from noisette.plugins import Registry
from noisette.storage import Manifest

SOFT = '''
from typing import ClassVar
from noisette import Schedule, hookimpl
from pydantic import Field

class Soft(Schedule):
    """A schedule."""
    name: ClassVar[str] = "{name}"
    depth: float = Field(10.0, description="how deep")

    def betas(self, timesteps):
        import torch
        return torch.full((timesteps,), self.depth / timesteps, dtype=torch.float64)

@hookimpl
def plugins():
    yield Soft
'''


def checkpoint(schedule: dict[str, Any], *origins: tuple[str, str, str]) -> Checkpoint:
    """Return a checkpoint of which only what it says about its schedule matters."""
    keys = ("name", "distribution", "version")
    plugins = [{"kind": "schedule", **dict(zip(keys, origin, strict=True))} for origin in origins]
    about = {"experiment": {"schedule": schedule}, "plugins": plugins}
    return Checkpoint(Path("runs/x/checkpoints/step-1"), Manifest(kind="checkpoint", about=about, files={}))


@pytest.fixture
def known(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site whose packages, installed later, this process knows."""
    monkeypatch.setattr("noisette.config.reference.registry", site.registry)
    monkeypatch.setattr("noisette.model.plugins.registry", site.registry)
    return site


SOFTLY = {"name": "soft", "depth": 8.0}


def test_the_plugin_comes_back_with_its_options(known: Site) -> None:
    known.install("noisette-soft", SOFT.format(name="soft"))
    made = load_plugin(checkpoint(SOFTLY, ("soft", "noisette-soft", "1.5")), "schedule")
    assert made.options() == SOFTLY


def test_a_missing_package_is_named_with_its_version_and_how_to_get_it(known: Site) -> None:
    with pytest.raises(CheckpointError) as caught:
        load_plugin(checkpoint(SOFTLY, ("soft", "noisette-soft", "1.4")), "schedule")
    assert str(caught.value).startswith(
        "runs/x/checkpoints/step-1: needs the schedule 'soft' of noisette-soft 1.4: "
    )
    assert str(caught.value).endswith("pip install noisette-soft==1.4")


def test_another_packages_plugin_of_the_same_name_is_not_taken(known: Site) -> None:
    known.install("noisette-other", SOFT.format(name="soft"))
    with pytest.raises(CheckpointError, match=r"of noisette-soft 1\.4: .*noisette-other:soft.*noisette-soft==1\.4"):
        load_plugin(checkpoint(SOFTLY, ("soft", "noisette-soft", "1.4")), "schedule")


def test_of_two_packages_with_the_name_the_right_one_is_taken(known: Site) -> None:
    for package in ("noisette-soft", "noisette-other"):
        known.install(package, SOFT.format(name="soft"))
    made = load_plugin(checkpoint(SOFTLY, ("soft", "noisette-other", "1.5")), "schedule")
    assert type(made).__module__ == "noisette_other"


def test_options_that_are_refused_now_ask_for_the_version_of_then(known: Site) -> None:
    known.install("noisette-soft", SOFT.format(name="soft"))
    with pytest.raises(CheckpointError, match=r"width: unknown key.*pip install noisette-soft==1\.4$"):
        load_plugin(checkpoint({**SOFTLY, "width": 1}, ("soft", "noisette-soft", "1.4")), "schedule")


def test_a_missing_plugin_inside_another_is_the_one_to_install(known: Site) -> None:
    inside = {"name": "zero-terminal", "of": SOFTLY}
    origins = (("zero-terminal", "noisette", "0.1.0"), ("soft", "noisette-soft", "1.4"))
    with pytest.raises(CheckpointError, match=r"of: no schedule 'soft'.*pip install noisette-soft==1\.4$"):
        load_plugin(checkpoint(inside, *origins), "schedule")
    known.install("noisette-soft", SOFT.format(name="soft"))
    assert load_plugin(checkpoint(inside, *origins), "schedule").options() == inside


def test_a_class_of_no_package_is_looked_for_by_name(known: Site) -> None:
    with pytest.raises(
        CheckpointError, match=r"needs the schedule 'soft' of a script or notebook, .*noisette\.register"
    ) as caught:
        load_plugin(checkpoint(SOFTLY, ("soft", "unknown", "?")), "schedule")
    assert "pip install" not in str(caught.value)
    linear = checkpoint({"name": "linear"}, ("linear", "unknown", "?"))
    assert load_plugin(linear, "schedule").options()["name"] == "linear"


def test_a_checkpoint_holds_the_origins_of_all_its_plugins(root: Path) -> None:
    about = train(tiny(), root).about
    assert [(origin["kind"], origin["name"]) for origin in about["plugins"]] == [
        ("schedule", "linear"),
        ("objective", "eps"),
        ("backbone", "unet"),
        ("dataset", "digits"),
    ]
    packages = {(origin["distribution"], origin["version"]) for origin in about["plugins"]}
    assert packages == {("noisette", version("noisette"))}


def test_plugins_inside_plugins_have_their_origins_told(site: Site) -> None:
    site.install("noisette-soft", SOFT.format(name="soft"))
    registry: Registry = site.registry()
    soft = registry.find("schedule", "soft").plugin()
    outer = registry.find("schedule", "zero-terminal").plugin(of=soft)
    told = [(origin["name"], origin["distribution"], origin["version"]) for origin in registry.origins_of([outer])]
    assert told == [
        ("zero-terminal", "noisette", registry.origin_of(outer)["version"]),
        ("soft", "noisette-soft", "1.5"),
    ]
