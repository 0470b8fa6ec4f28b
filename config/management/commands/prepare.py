"""`manage.py prepare`: migrations, the gallery, the first administrator and the demo workflow, in one process."""

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand

from accounts.models import User
from accounts.services import ensure_administrator
from config import demo, env
from workflows.models import Workflow
from workflows.services import create_workflow


class Command(BaseCommand):
    """Brings a database, new or old, to what this release serves; a second call changes nothing."""

    help = __doc__ or ""

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", verbosity=0)
        call_command("load_gallery", verbosity=0)
        email = env.text("APG_ADMIN_EMAIL")
        made = ensure_administrator(email=email, password=env.text("APG_ADMIN_PASSWORD"))
        # Only a new installation gets the demo: one that its owner deleted stays deleted.
        if made and not Workflow.objects.exists():
            owner = User.objects.by_login(email)
            assert owner is not None
            create_workflow(
                user=owner,
                name=demo.NAME,
                description="Fetches the platform's own component catalogue, checks it, and counts it by category",
                category="demo",
                tags=["demo"],
                definition=demo.DEFINITION,
            )
