"""New packages of plugins: templates, and how they are filled in."""

from __future__ import annotations

from noisette_flows.scaffold.names import Names
from noisette_flows.scaffold.package import write_package

__all__ = ["Names", "write_package"]
