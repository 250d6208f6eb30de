"""New packages of plugins: templates, and how they are filled in."""

from __future__ import annotations

from noisette_flows.scaffold.names import HOOKS, Names
from noisette_flows.scaffold.package import write_package

__all__ = ["HOOKS", "Names", "write_package"]
