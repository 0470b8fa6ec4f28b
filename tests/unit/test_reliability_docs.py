"""The table of states and sweeps in docs/reliability.md is the code's."""

import re
from pathlib import Path

from executions.maintenance import SWEEPS
from executions.states import FINAL_EXECUTION, FINAL_RUN, ExecutionStatus, ItemStatus, RunStatus
from webhooks.maintenance import SWEEPS as SWEEPS_OF_WEBHOOKS
from webhooks.states import FINAL as FINAL_DELIVERY
from webhooks.states import DeliveryStatus

PAGE = Path(__file__).parent.parent.parent / "docs" / "reliability.md"
ROW = re.compile(r"^\| (execution|run|item|delivery) `(\w+)` \| `(\w+)` \|$", re.MULTILINE)


def test_every_state_that_is_not_final_has_a_sweep_that_exists() -> None:
    rows = ROW.findall(PAGE.read_text())
    told = {(table, status) for table, status, _ in rows}
    assert told == {
        *(("execution", str(status)) for status in ExecutionStatus if status not in FINAL_EXECUTION),
        *(("run", str(status)) for status in RunStatus if status not in FINAL_RUN),
        *(("item", str(status)) for status in (ItemStatus.BLOCKED, ItemStatus.RUNNING)),
        *(("delivery", str(status)) for status in DeliveryStatus if status not in FINAL_DELIVERY),
    }
    assert {sweep for _, _, sweep in rows} <= {*SWEEPS, *SWEEPS_OF_WEBHOOKS}


def test_every_sweep_is_named() -> None:
    text = PAGE.read_text()
    assert [sweep for sweep in (*SWEEPS, *SWEEPS_OF_WEBHOOKS) if f"`{sweep}`" not in text] == []
