"""Flows that Prefect starts: deployments, automations, and the processes of workers."""
