from __future__ import annotations

from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Report the count that proves the conformance kit: wrong plugins caught, right ones passed."""
    lines = []
    for what, tests in (
        ("wrong plugins caught", ("test_wrong.py::test_wrong_plugin_is_caught",)),
        ("right ones passed", ("test_wrong.py::test_right_twin_passes", "test_right.py::")),
    ):
        ends = {
            end: sum(
                report.when == "call" and any(f"conformance/{test}" in report.nodeid for test in tests)
                for report in terminalreporter.stats.get(end, [])
            )
            for end in ("passed", "failed")
        }
        if sum(ends.values()):
            lines.append(f"{what} {ends['passed']}/{sum(ends.values())}")
    if lines:
        terminalreporter.write_line("conformance: " + ", ".join(lines))
