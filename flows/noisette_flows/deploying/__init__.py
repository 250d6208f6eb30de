"""Flows started by Prefect: deployments, automations and worker processes."""
