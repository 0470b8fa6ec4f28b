"""`manage.py ensure_admin`: the first administrator, from APG_ADMIN_EMAIL and APG_ADMIN_PASSWORD."""

import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.services import ensure_administrator


class Command(BaseCommand):
    """Makes the administrator where there is none with that e-mail; changes nothing otherwise."""

    help = __doc__ or ""

    def handle(self, *args: Any, **options: Any) -> None:
        email, password = os.environ.get("APG_ADMIN_EMAIL", ""), os.environ.get("APG_ADMIN_PASSWORD", "")
        if not email or not password:
            raise CommandError("Set APG_ADMIN_EMAIL and APG_ADMIN_PASSWORD")
        made = ensure_administrator(email=email, password=password)
        self.stdout.write(f"Administrator {email} " + ("made" if made else "is there already"))
