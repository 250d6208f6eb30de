"""What Prefect's pages show of a flow run: progress and the last grid as it goes on, the comparison at its end."""

from __future__ import annotations

from noisette_flows.artifacts.progress import ProgressArtifacts
from noisette_flows.artifacts.report import send_report
from noisette_flows.artifacts.sender import ArtifactSender

__all__ = ["ArtifactSender", "ProgressArtifacts", "send_report"]
