"""What executions are in the database.

Log lines are ledger events of type `log`: one table holds all that an execution tells.
"""

from executions.models.execution import Execution, ExecutionQuerySet
from executions.models.run import ComponentRun, LoopItem, Signal
from executions.models.upkeep import (
    BulkCancel,
    ExecutionTally,
    IdempotencyKey,
    MaintenanceMode,
    Reaction,
    StoredOutput,
    TallyState,
    Worker,
)

__all__ = [
    "BulkCancel",
    "ComponentRun",
    "Execution",
    "ExecutionQuerySet",
    "ExecutionTally",
    "IdempotencyKey",
    "LoopItem",
    "MaintenanceMode",
    "Reaction",
    "Signal",
    "StoredOutput",
    "TallyState",
    "Worker",
]
