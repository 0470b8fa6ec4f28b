"""`manage.py load_gallery`: the templates that ship with this release."""

from typing import Any

from django.core.management.base import BaseCommand

from templates_app.gallery_files import load_gallery


class Command(BaseCommand):
    """Brings the gallery in the database to the files of this release; a second call changes nothing."""

    help = __doc__ or ""

    def handle(self, *args: Any, **options: Any) -> None:
        loaded = load_gallery()
        if options["verbosity"]:
            self.stdout.write(f"Gallery: {loaded}")
