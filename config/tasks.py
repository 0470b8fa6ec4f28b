"""What Celery loads of this app: no tasks, but the janitor, whose signals start it in the engine's workers."""

from config import janitor as janitor
