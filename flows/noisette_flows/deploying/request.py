"""`noisette deploy run`: check the parameters, create a flow run, and watch it until it ends."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from rich.console import Console
from rich.table import Table

from noisette.formatting import format_number
from noisette.plugins.registry import suggest
from noisette_flows.deploying.serve import LOCAL, ServeError, require_server
from noisette_flows.params import check_parameters, flow_run_name

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun
    from prefect.client.schemas.responses import DeploymentResponse

__all__ = ["parse_parameters", "request"]

_EVERY = 2.0  # seconds between two requests for the state of a flow run
_PAGE = 200  # log lines per request


def parse_parameters(texts: Sequence[str]) -> dict[str, Any]:
    """Parse NAME=VALUE parameters, where the value is JSON or else text.

    Raises:
        ServeError: if a parameter has no name.
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise ServeError(f"--param: expected NAME=VALUE, such as config=digits; got {text!r}")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def request(flow: str, deployment: str, parameters: dict[str, Any], watch: bool, console: Console) -> bool:
    """Create a flow run; return whether it completed, or True if it is not watched.

    Args:
        flow: name of the flow.
        deployment: name of its deployment; for `noisette serve`, the parameters are checked first.
        parameters: of the flow.
        watch: whether to wait until the flow run ends.
        console: for the output.

    Raises:
        ConfigError: if a config, a sampler or the workers have problems.
        NoisetteError: if the package of the workers is not installed.
        ServeError: if there is no server or no such deployment, or the server rejects the parameters.
    """
    if deployment == LOCAL:
        check_parameters(parameters)
    url = require_server().removesuffix("/api")
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        found = _find_deployment(client, f"{flow}/{deployment}")
        _check_names(flow, parameters, (found.parameter_openapi_schema or {}).get("properties", {}))
        flow_run = _create_flow_run(
            client, found.id, parameters, flow_run_name(flow, parameters) if deployment == LOCAL else None
        )
        for line in (flow_run.name, f"id: {flow_run.id}", f"page: {url}/runs/flow-run/{flow_run.id}"):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        return not watch or _watch(client, flow_run, console)


def _find_deployment(client: SyncPrefectClient, name: str) -> DeploymentResponse:
    from prefect.exceptions import ObjectNotFound

    try:
        return client.read_deployment_by_name(name)
    except ObjectNotFound:
        raise ServeError(
            f"Prefect's server has no deployment {name}: `noisette serve` makes those called local, "
            "`prefect deploy --all` those of prefect.yaml"
        ) from None


def _check_names(flow: str, parameters: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    for name in parameters:
        if name not in known:
            raise ServeError(
                f"{flow} has no parameter {name!r}; {suggest(name, list(known))} It takes {', '.join(known)}"
            )


def _create_flow_run(
    client: SyncPrefectClient, deployment: UUID, parameters: dict[str, Any], name: str | None
) -> FlowRun:
    from prefect.exceptions import PrefectHTTPStatusError

    try:
        return client.create_flow_run_from_deployment(deployment, parameters=parameters, name=name)
    except PrefectHTTPStatusError as error:
        if error.response.status_code not in (409, 422):
            raise
        raise ServeError(f"Prefect's server refuses the parameters: {_detail(error.response.json())}") from None


def _detail(answer: Mapping[str, Any]) -> str:
    detail = answer.get("detail", answer.get("exception_detail", answer))
    return detail if isinstance(detail, str) else json.dumps(detail)


def _watch(client: SyncPrefectClient, flow_run: FlowRun, console: Console) -> bool:
    """Print the states and the log of a flow run until it ends, then its comparison or its error."""
    state, printed = "", 0
    while True:
        found = client.read_flow_run(flow_run.id)
        for line in _log_lines(client, flow_run.id, printed):
            printed += 1
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        if found.state is not None and found.state.name != state:
            state = found.state.name or ""
            console.print(state, markup=False, highlight=False)
        if found.state is not None and found.state.is_final():
            break
        time.sleep(_EVERY)
    if not found.state.is_completed():
        console.print(
            f"{found.name}: {found.state.message or state}", markup=False, highlight=False, soft_wrap=True
        )
        return False
    for table in _tables(client, flow_run.id):
        console.print(table)
    console.print(f"{found.name}: finished successfully", markup=False, highlight=False, soft_wrap=True)
    return True


def _log_lines(client: SyncPrefectClient, flow_run: UUID, offset: int) -> Iterator[str]:
    from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
    from prefect.client.schemas.sorting import LogSort

    query = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[flow_run]))
    for line in client.read_logs(query, limit=_PAGE, offset=offset, sort=LogSort.TIMESTAMP_ASC):
        yield line.message


def _tables(client: SyncPrefectClient, flow_run: UUID) -> Iterator[Table]:
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterType

    query = ArtifactFilter(
        flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run]), type=ArtifactFilterType(any_=["table"])
    )
    for artifact in client.read_artifacts(artifact_filter=query):
        rows = json.loads(str(artifact.data))
        table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="bold")
        for number, column in enumerate(rows[0] if rows else ()):
            table.add_column(column, justify="right" if number else "left")
        for row in rows:
            table.add_row(*map(_cell, row.values()))
        yield table


def _cell(value: object) -> str:
    return "" if value is None else format_number(value, 4) if isinstance(value, float) else str(value)
