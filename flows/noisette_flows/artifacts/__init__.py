"""Artifacts of a flow run in Prefect's pages: progress and the last preview, then the comparison."""

from __future__ import annotations

from noisette_flows.artifacts.progress import ProgressArtifacts
from noisette_flows.artifacts.report import send_report
from noisette_flows.artifacts.sender import ArtifactSender

__all__ = ["ArtifactSender", "ProgressArtifacts", "send_report"]
