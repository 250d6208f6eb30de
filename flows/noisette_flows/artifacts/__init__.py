"""What Prefect's pages show of a flow run: progress and the last grid as it goes on, the comparison at its end."""

from __future__ import annotations

from noisette_flows.artifacts.conclusion import conclude
from noisette_flows.artifacts.progress import Board
from noisette_flows.artifacts.sender import Poster

__all__ = ["Board", "Poster", "conclude"]
