"""The heartbeat rows of workers; recovery does not depend on them."""

from datetime import timedelta

from django.db.models.functions import Now

from executions.models import Worker

_KEPT = timedelta(days=1)


def beat(name: str, component_types: list[str], queues: list[str], processes: int) -> None:
    """The worker lives, can run these and serves those; forget those that have not been heard of for a day."""
    Worker.objects.bulk_create(
        [Worker(name=name, component_types=component_types, queues=queues, processes=processes)],
        update_conflicts=True,
        unique_fields=["name"],
        update_fields=["component_types", "queues", "processes", "heartbeat_at"],
    )
    Worker.objects.filter(heartbeat_at__lt=Now() - _KEPT).delete()


def leave(name: str) -> None:
    """The worker ended by itself."""
    Worker.objects.filter(name=name).delete()
