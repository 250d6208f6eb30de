"""Plugin checks as pytest parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from noisette.contracts import Plugin
from noisette.testing.options import format_plugin
from noisette.testing.run import ExpectedFailures, checks_for, resolve_expected_failures, to_instance

if TYPE_CHECKING:
    import pytest

__all__ = ["parametrize_with_checks"]


def parametrize_with_checks(
    plugins: Iterable[Plugin | type[Plugin]],
    expected_failed: ExpectedFailures | None = None,
    *,
    slow: bool = False,
) -> pytest.MarkDecorator:
    """Return a decorator that runs a test once for each plugin and each of its checks.

        @parametrize_with_checks([Heun(), Heun(steps=20)])
        def test_heun(plugin, check):
            check(plugin)

    Args:
        plugins: plugins, or classes whose defaults are checked.
        expected_failed: names of checks that are expected to fail, with reasons: they become strict xfails. A
            function from a plugin to such a mapping distinguishes several plugins.
        slow: whether to run slow checks too, such as that of torch.compile.

    Raises:
        PluginError: if one is not a plugin, or a name is not a check of its kind.
    """
    import pytest

    parameters = []
    for plugin in map(to_instance, plugins):
        checks = checks_for(plugin)
        reasons = resolve_expected_failures(plugin, checks, expected_failed)
        for check in checks:
            if check.slow and not slow:
                continue
            reason = reasons.get(check.name)
            marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason is not None else []
            parameters.append(pytest.param(plugin, check, marks=marks, id=f"{format_plugin(plugin)}-{check.name}"))
    return pytest.mark.parametrize(("plugin", "check"), parameters)
