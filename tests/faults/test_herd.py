"""Very many executions due in one second (F41)."""

import os
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

from django.utils import timezone

from accounts.models import User
from executions.models import Execution
from tests.faults.harness import World


def test_f41_a_thundering_herd_keeps_to_the_tier(world: World, figure: Callable[[str, str], None]) -> None:
    herd = int(os.environ.get("APG_FAULT_HERD", "400"))
    User.objects.filter(pk=world.user.pk).update(tier="pro")
    world.user.refresh_from_db()
    workflow = world.workflow({"id": "a", "type": "log", "config": {"message": "m"}})
    due = timezone.now() + timedelta(seconds=max(3, herd / 100))
    for _ in range(herd):
        world.execute(workflow, scheduled_at=due)
    world.worker(2)
    world.worker(2)
    world.settle(timeout=60 + herd / 10)
    done = time.time() - due.timestamp()
    world.check()
    ended = Execution.objects.filter(created_by=world.user)
    assert Counter(ended.values_list("status", flat=True)) == {"completed": herd}
    figure("executions due in one second", f"{herd} on 25 slots, all done {done:.1f} s after")
