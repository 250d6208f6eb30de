from __future__ import annotations

from typing import ClassVar

import pytest
from support.packages import RALSTON, Site

from noisette import Experiment, PluginError, Sampler
from noisette.config import reference
from noisette.layout import samples_directory
from noisette.plugins import Registry
from noisette.plugins.code import code_of
from noisette.plugins.discovery import BrokenPlugin, FoundPlugin, Origin, PluginSource
from noisette.plugins.registry import suggest


def sampler(name: str) -> type[Sampler]:
    class Walk(Sampler):
        """A walk."""

        def trajectory(self, denoise, x, noise):
            yield x

    Walk.name = name
    return Walk


def registry(*offers: tuple[str, type[Sampler]], broken: str = "") -> Registry:
    sources = []
    for distribution, plugin in offers:
        origin = Origin(distribution, "1.0", "main")
        sources.append(PluginSource(origin, found=[FoundPlugin(plugin, origin)]))
    if broken:
        origin = Origin("bad", "0.1", "main")
        sources.append(PluginSource(origin, broken=[BrokenPlugin(origin, broken)]))
    return Registry(sources)


def test_plugins_are_listed_by_kind_and_name() -> None:
    class Zero(reference.Schedule):
        name: ClassVar[str] = "zero"

    origin = Origin("z", "1", "main")
    known = Registry(
        [
            PluginSource(origin, found=[FoundPlugin(sampler("b"), origin), FoundPlugin(sampler("a"), origin)]),
            PluginSource(origin, found=[FoundPlugin(Zero, origin)]),
        ]
    )
    assert [found.plugin.name for found in known.found] == ["zero", "a", "b"]
    assert known.names("sampler") == ["a", "b"]
    assert known.names("metric") == []


def test_a_missing_name_is_met_with_the_nearest_the_known_and_the_broken() -> None:
    known = registry(("one", sampler("ddim")), ("two", sampler("heun")), broken="ImportError: no")
    with pytest.raises(PluginError) as caught:
        known.find("sampler", "huen")
    assert str(caught.value) == (
        "no sampler 'huen'; there is ddim, heun; did you mean 'heun'?; "
        "broken: bad 0.1, entry point 'main': ImportError: no"
    )
    with pytest.raises(PluginError, match="no metric 'huen'; there is none"):
        known.find("metric", "huen")


def test_one_name_of_two_packages_is_refused_until_the_config_says_which() -> None:
    first, second = sampler("heun"), sampler("heun")
    known = registry(("acme", first), ("zeta", second), ("one", sampler("ddim")))
    with pytest.raises(PluginError) as caught:
        known.find("sampler", "heun")
    assert str(caught.value) == "2 packages have a sampler 'heun': write acme:heun or zeta:heun"
    assert known.find("sampler", "acme:heun").plugin is first
    assert known.find("sampler", "zeta:heun").plugin is second
    assert known.find("sampler", "ddim").origin.distribution == "one"


def test_a_name_of_a_package_that_does_not_give_it_is_refused() -> None:
    known = registry(("acme", sampler("heun")))
    assert known.find("sampler", "acme:heun")
    with pytest.raises(PluginError, match="no sampler 'zeta:heun'; there is acme:heun"):
        known.find("sampler", "zeta:heun")


def test_a_class_that_is_offered_twice_counts_once() -> None:
    heun = sampler("heun")
    known = registry(("acme", heun), ("acme", heun))
    assert known.find("sampler", "heun").plugin is heun


def test_a_class_that_nobody_offers_has_no_origin() -> None:
    stranger = sampler("heun")
    assert registry().origin_of(stranger()) == {
        "kind": "sampler",
        "name": "heun",
        "distribution": "unknown",
        "version": "?",
        "code": code_of(stranger),
    }


@pytest.mark.parametrize(
    ("word", "hint"),
    [("dim", "did you mean 'ddim'?"), ("DDIM", ""), ("", ""), ("xyz", ""), ("ddmp", "did you mean 'ddpm'?")],
)
def test_the_nearest_word_is_near(word: str, hint: str) -> None:
    assert suggest(word, ["ddim", "ddpm", "heun"]) == hint


def test_the_name_of_a_built_in_plugin_cannot_be_taken_over(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.install("acme-ddim", RALSTON.replace('"ralston"', '"ddim"'))
    known = site.registry()
    monkeypatch.setattr(reference, "registry", lambda: known)
    monkeypatch.setattr("noisette.layout.registry", lambda: known)

    def experiment(name: str) -> Experiment:
        return Experiment.parse({"name": "x", "dataset": "digits", "sampling": {"samplers": [name]}})

    with pytest.raises(
        PluginError, match="2 packages have a sampler 'ddim': write acme-ddim:ddim or noisette:ddim"
    ):
        known.find("sampler", "ddim")
    ours, theirs = experiment("noisette:ddim"), experiment("acme-ddim:ddim")
    assert type(ours.sampling.samplers[0]).__module__ == "noisette_plugins.samplers.ddim"
    assert type(theirs.sampling.samplers[0]).__module__ == "acme_ddim"
    assert Experiment.parse(theirs.options()) == theirs
    assert Experiment.parse(ours.options()) == ours
    folders = {samples_directory(site.folder, "key", e.sampling.samplers[0], e).name for e in (ours, theirs)}
    assert len(folders) == 2


@pytest.mark.parametrize(
    ("kind", "name", "hint"),
    [
        ("sampler", "dpm++", "did you mean 'dpmpp-2m'?"),
        ("sampler", "DPM-Solver++", "did you mean 'dpmpp-2m'?"),
        ("sampler", "euler", "did you mean 'ddim'?"),
        ("sampler", "plms", "did you mean 'pndm'?"),
        ("metric", "fid", "fid is 'frechet' with evaluation.features: inception"),
        ("metric", "FID", "fid is 'frechet' with evaluation.features: inception"),
        ("metric", "frechett", "did you mean 'frechet'?"),
    ],
)
def test_the_names_of_the_field_lead_to_ours(kind: str, name: str, hint: str) -> None:
    from noisette import registry as installed

    with pytest.raises(PluginError) as caught:
        installed().find(kind, name)
    assert hint in str(caught.value)
