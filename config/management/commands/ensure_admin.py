"""`manage.py ensure_admin`: the first administrator, from APG_ADMIN_EMAIL and APG_ADMIN_PASSWORD."""

from typing import Any

from django.core.management.base import BaseCommand

from accounts.services import ensure_administrator
from config import env


class Command(BaseCommand):
    """Makes the administrator where there is none with that e-mail; changes nothing otherwise."""

    help = __doc__ or ""

    def handle(self, *args: Any, **options: Any) -> None:
        email, password = env.text("APG_ADMIN_EMAIL"), env.text("APG_ADMIN_PASSWORD")
        made = ensure_administrator(email=email, password=password)
        self.stdout.write(f"Administrator {email} " + ("made" if made else "is there already"))
