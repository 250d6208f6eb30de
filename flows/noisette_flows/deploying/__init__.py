"""Flows that Prefect starts: deployments, what they count on, and those whose process was killed."""
