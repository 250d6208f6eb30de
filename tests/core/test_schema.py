"""The JSON schema takes what configs may say, third-party options too, and refuses what they may not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from support.packages import RALSTON, Site

from noisette import Experiment
from noisette.config import load, read_yaml
from noisette.config.schema import config_schema
from noisette.plugins import registry

REPOSITORY = Path(__file__).parent.parent.parent
CONFIGS = sorted((REPOSITORY / "configs").glob("*.yaml"))
LISTS = {"sampler": ("sampling", "samplers"), "metric": ("evaluation", "metrics")}


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    return validator(config_schema())


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


class _Reader(yaml.SafeLoader):
    """Reads numbers as YAML 1.2's core schema does."""


_Reader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if not pair[0].endswith((":int", ":float"))]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_WHOLE = re.compile(r"^[-+]?[0-9]+$")
_NUMBER = re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")
_Reader.add_implicit_resolver("tag:yaml.org,2002:int", _WHOLE, list("-+0123456789"))
_Reader.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+.0123456789"))


def naming(kind: str, value: Any) -> dict[str, Any]:
    """Return a config that names a plugin where its kind is named."""
    if kind in LISTS:
        section, key = LISTS[kind]
        return {"dataset": "digits", section: {key: [value]}}
    if kind == "features":
        return {"dataset": "digits", "evaluation": {"features": value}}
    return {"dataset": "digits", kind: value}


def test_there_are_configs_to_try() -> None:
    assert len(CONFIGS) >= 5


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_is_valid(schema: Draft202012Validator, path: Path) -> None:
    assert list(schema.iter_errors(read_yaml(path))) == []


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_with_all_defaults_spelt_out_is_valid(schema: Draft202012Validator, path: Path) -> None:
    assert list(schema.iter_errors(load(path).options())) == []


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_is_valid_as_an_editor_reads_it(schema: Draft202012Validator, path: Path) -> None:
    """Readers of YAML 1.2 take 50_000 for text, and 1e-4 for a number."""

    read = yaml.load(path.read_text(), Loader=_Reader)
    assert read != read_yaml(path) or "_0" not in path.read_text()
    assert list(schema.iter_errors(read)) == []


@pytest.mark.parametrize("found", registry().found, ids=lambda found: f"{found.plugin.kind}-{found.plugin.name}")
def test_every_plugin_is_taken_by_name_and_with_its_options(schema: Draft202012Validator, found: Any) -> None:
    plugin, fields = found.plugin, found.plugin.model_fields
    required = {key: "/somewhere" for key, field in fields.items() if field.is_required()}
    options = {key: [0.1, 0.2] for key in required} if plugin.name == "given" else required
    spelt_out = plugin.model_validate(options).options()
    assert schema.is_valid(naming(plugin.kind, spelt_out))
    assert schema.is_valid(naming(plugin.kind, plugin.name)) == (not required)
    assert schema.is_valid(naming(plugin.kind, {**spelt_out, "name": f"noisette:{plugin.name}"}))
    assert not schema.is_valid(naming(plugin.kind, {**spelt_out, "no-such-option": 1}))
    assert not schema.is_valid(naming(plugin.kind, f"{plugin.name}-x"))


@pytest.mark.parametrize("found", registry().found, ids=lambda found: f"{found.plugin.kind}-{found.plugin.name}")
def test_every_option_has_its_description(found: Any) -> None:
    definition = config_schema()["$defs"][f"{found.plugin.kind}.{found.plugin.name}"]
    assert definition["description"]
    assert set(definition["properties"]) == {"name", *found.plugin.model_fields}
    assert [
        key for key, option in definition["properties"].items() if key != "name" and not option["description"]
    ] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"dataset": "digitz"},
        {"dataset": "other:digits"},
        {"dataset": {"size": 8}},
        {"dataset": "digits", "trainig": {}},
        {"dataset": "digits", "name": "a b"},
        {"dataset": "digits", "timesteps": 0},
        {"dataset": "digits", "training": {"stepz": 1}},
        {"dataset": "digits", "training": {"steps": -1}},
        {"dataset": "digits", "training": {"steps": "many"}},
        {"dataset": "digits", "training": {"steps": "5_"}},
        {"dataset": "digits", "training": {"steps": 1.5}},
        {"dataset": "digits", "training": {"lr_schedule": "cosin"}},
        {"dataset": "digits", "training": {"adam_betas": [0.9]}},
        {"dataset": "digits", "preparation": {"channels": 2}},
        {"dataset": "digits", "schedule": {"name": "linear", "start": 5}},
        {"dataset": "digits", "schedule": {"name": "zero-terminal", "of": "linaer"}},
        {"dataset": "digits", "schedule": {"name": "zero-terminal", "of": {"name": "linear", "start": 5}}},
        {"dataset": "digits", "sampling": {"samplers": "ddim"}},
        {"dataset": "digits", "sampling": {"samplers": [{"name": "ddim", "eta": 2}]}},
        {"dataset": "digits", "sampling": {"samplers": [{"name": "ddpm", "eta": 0.5}]}},
        {"dataset": "digits", "evaluation": {"metrics": ["kid", "fidd"]}},
    ],
    ids=str,
)
def test_what_a_config_may_not_say_is_refused_by_both(schema: Draft202012Validator, wrong: dict[str, Any]) -> None:
    assert not schema.is_valid(wrong)
    with pytest.raises(Exception, match="problem"):
        Experiment.parse({"name": "x", **wrong})


@pytest.mark.parametrize(
    "right",
    [
        {"dataset": "digits"},
        {"dataset": {"name": "digits"}, "name": "mine"},
        {"dataset": {"name": "image-folder", "path": "~/images"}},
        {"dataset": "digits", "training": {"steps": 50_000, "ema_decay": None}},
        {"dataset": "digits", "schedule": {"name": "zero-terminal", "of": {"name": "cosine"}}, "objective": "v"},
        {"dataset": "digits", "sampling": {"samplers": [{"name": "ddim", "spacing": [900, 5, 0]}]}},
    ],
    ids=str,
)
def test_what_a_config_may_say_is_taken_by_both(schema: Draft202012Validator, right: dict[str, Any]) -> None:
    assert list(schema.iter_errors(right)) == []
    Experiment.parse({"name": "x", **right})


def test_options_of_other_packages_are_in_it(site: Site) -> None:
    option = '    order: ClassVar[int] = 2\n    corrections: int = Field(1, ge=0, description="how often")\n'
    source = "from pydantic import Field\n" + RALSTON.replace("    order: ClassVar[int] = 2\n", option)
    site.install("noisette-ralston", source)
    schema = validator(config_schema(site.registry()))
    assert schema.is_valid(naming("sampler", "ralston"))
    assert schema.is_valid(naming("sampler", {"name": "ralston", "corrections": 0}))
    assert schema.is_valid(naming("sampler", {"name": "noisette-ralston:ralston", "corrections": 0}))
    assert not schema.is_valid(naming("sampler", {"name": "ralston", "corrections": -1}))
    assert not schema.is_valid(naming("sampler", {"name": "ddim", "corrections": 0}))


def test_of_two_plugins_of_one_name_only_full_names_are_taken(site: Site) -> None:
    for package in ("noisette-a", "noisette-b"):
        site.install(package)
    schema = validator(config_schema(site.registry()))
    assert not schema.is_valid(naming("sampler", "ralston"))
    assert schema.is_valid(naming("sampler", "noisette-a:ralston"))
    assert schema.is_valid(naming("sampler", {"name": "noisette-b:ralston", "steps": 5}))
    assert not schema.is_valid(naming("sampler", {"name": "noisette-b:ralston", "steps": 0}))


PARTS = '''
from typing import Any, ClassVar
from noisette import Sampler, hookimpl
from pydantic import BaseModel, Field

class Part(BaseModel, extra="forbid"):
    weight: float = Field(1.0, gt=0)

class Whole(Sampler):
    """With parts."""
    name: ClassVar[str] = "{name}"
    parts: tuple[Part, ...] = Field((), description="parts")
    {more}

    def trajectory(self, denoise, x, noise):
        yield x

@hookimpl
def plugins():
    yield Whole
'''


def test_models_inside_options_of_two_packages_do_not_mix(site: Site) -> None:
    site.install("noisette-a", PARTS.format(name="a", more=""))
    site.install("noisette-b", PARTS.format(name="b", more="").replace("gt=0", "lt=0").replace("1.0", "-1.0"))
    schema = validator(config_schema(site.registry()))
    for name, right in (("a", 2.0), ("b", -2.0)):
        assert schema.is_valid(naming("sampler", {"name": name, "parts": [{"weight": right}]}))
        assert not schema.is_valid(naming("sampler", {"name": name, "parts": [{"weight": -right}]}))


ODD = '''
from typing import ClassVar
from noisette import Sampler, hookimpl
from pydantic import ConfigDict, Field

class Thing:
    pass

class Odd(Sampler):
    """With an option of a class of its own."""
    model_config = ConfigDict(arbitrary_types_allowed=True)
    name: ClassVar[str] = "odd"
    thing: Thing | None = Field(None, description="a thing")

    def trajectory(self, denoise, x, noise):
        yield x

@hookimpl
def plugins():
    yield Odd
'''


def test_options_that_no_schema_can_describe_spoil_nothing(site: Site) -> None:
    site.install("noisette-odd", ODD)
    known = site.registry()
    assert known.broken == []
    schema = validator(config_schema(known))
    assert schema.is_valid(naming("sampler", {"name": "odd", "steps": 5}))
    assert not schema.is_valid(naming("sampler", {"name": "ddim", "steps": 0}))
    assert "no JSON schema" in config_schema(known)["$defs"]["sampler.odd"]["description"]
