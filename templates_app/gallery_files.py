"""The templates that ship with the platform: files of the folder `gallery`, and how they get into the database."""

import json
from dataclasses import dataclass, fields
from pathlib import Path

from django.db import transaction
from django.utils import timezone

from core.types import JSONObject
from templates_app.models import Template
from templates_app.services import checked_content

FOLDER = Path(__file__).parent / "gallery"
_PLAIN = (
    "name",
    "description",
    "category",
    "tags",
    "version",
    "complexity_level",
    "estimated_setup_time_minutes",
)


@dataclass(frozen=True, slots=True)
class Loaded:
    """How many templates a load has changed."""

    created: int = 0
    updated: int = 0
    deleted: int = 0

    def __str__(self) -> str:
        return ", ".join(f"{getattr(self, each.name)} {each.name}" for each in fields(self))


def read_gallery(folder: Path = FOLDER) -> dict[str, JSONObject]:
    """The columns of each template by its key, the name of its file; checked as users' own are.

    Raises ValidationFailedError.
    """
    return {path.stem: _columns(json.loads(path.read_text("utf-8"))) for path in sorted(folder.glob("*.json"))}


def load_gallery(folder: Path = FOLDER) -> Loaded:
    """Bring the database's gallery to the files'; a second call changes nothing.

    Ids, ratings, uses, and whether staff have hidden it stay with a template whose file changes; one whose file is gone
    goes, and the workflows made of it stay. Opens its own transaction.
    """
    wanted = read_gallery(folder)
    created = updated = 0
    with transaction.atomic():
        gallery = Template.objects.filter(gallery_key__isnull=False).select_for_update()
        stored = {template.gallery_key: template for template in gallery}
        for key, columns in wanted.items():
            template = stored.pop(key, None)
            if template is None:
                Template.objects.create(gallery_key=key, published=True, **columns)
                created += 1
                continue
            changed = [name for name, value in columns.items() if getattr(template, name) != value]
            if changed:
                for name in changed:
                    setattr(template, name, columns[name])
                template.updated_at = timezone.now()
                template.save(update_fields=[*changed, "updated_at"])
                updated += 1
        Template.objects.filter(pk__in=[template.pk for template in stored.values()]).delete()
    return Loaded(created, updated, len(stored))


def _columns(raw: JSONObject) -> JSONObject:
    content = checked_content(raw["workflow_definition"], raw["parameters"], "workflow_definition")
    return {
        **{name: raw[name] for name in _PLAIN},
        # As lines, so that people can read and compare it.
        "documentation": "\n".join(raw["documentation"]) + "\n",
        **content.columns,
    }
