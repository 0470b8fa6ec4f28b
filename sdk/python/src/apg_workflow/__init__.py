"""A client of APG Workflow Orchestration: `WorkflowClient` for asyncio, `SyncWorkflowClient` with the same surface."""

from apg_workflow import errors, models, webhooks
from apg_workflow._async.client import WorkflowClient
from apg_workflow._async.streams import ExecutionStream
from apg_workflow._sync.client import SyncWorkflowClient
from apg_workflow._sync.streams import ExecutionStream as SyncExecutionStream
from apg_workflow._version import __version__
from apg_workflow.builder import WorkflowBuilder
from apg_workflow.calls import Retries

__all__ = [
    "ExecutionStream",
    "Retries",
    "SyncExecutionStream",
    "SyncWorkflowClient",
    "WorkflowBuilder",
    "WorkflowClient",
    "__version__",
    "errors",
    "models",
    "webhooks",
]
