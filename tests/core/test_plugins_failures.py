"""A defect of a plugin is reported with the plugin, its package, and the author's line."""

from __future__ import annotations

import pytest
from support.packages import RALSTON, Site

from noisette.plugins import Registry, failures
from noisette.plugins.failures import describe_failure

DEFECT = RALSTON.replace("        yield x\n", "        yield x / len(self.name[:0])\n")


@pytest.fixture
def known(site: Site, monkeypatch: pytest.MonkeyPatch) -> Registry:
    assert DEFECT != RALSTON
    site.install("acme-ralston", DEFECT)
    registry = site.registry()
    monkeypatch.setattr(failures, "registry", lambda: registry)
    return registry


def test_the_plugin_its_package_and_the_line_are_named(known: Registry, site: Site) -> None:
    plugin = known.find("sampler", "ralston").plugin
    with pytest.raises(ZeroDivisionError) as caught:
        list(plugin().trajectory(None, 1, None))
    line = next(n for n, text in enumerate(DEFECT.splitlines(), 1) if "yield x / " in text)
    assert describe_failure(caught.value) == (
        "sampler 'ralston' of acme-ralston 1.5 failed: ZeroDivisionError: division by zero\n"
        f"  {site.folder / 'acme_ralston.py'}, line {line}, in trajectory"
    )


def test_a_defect_elsewhere_is_nobody_of_theirs(known: Registry) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        print(1 / len(""))
    assert describe_failure(caught.value) == ""
