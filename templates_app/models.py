"""A template: a definition to start from, the form that fills it in, and what users think of it."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from core.ids import id_field


class Complexity(models.TextChoices):
    """How much a template asks of who sets it up (API reference, "Template Model")."""

    BEGINNER = "beginner"
    INTERMEDIATE = "intermediate"
    ADVANCED = "advanced"
    EXPERT = "expert"


class Template(models.Model):
    """One template; `gallery_key` is the name of its file for those that ship with the platform, which nobody owns.

    `parameters` is the form, `definition` a definition that declares them too (`templates_app.parameters`).
    """

    id = id_field()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="templates"
    )
    gallery_key = models.CharField(max_length=100, null=True, unique=True)  # noqa: DJ001 - null is in no gallery
    name = models.CharField(max_length=255)
    description = models.CharField(max_length=1000, blank=True)
    documentation = models.TextField(blank=True)
    category = models.CharField(max_length=100, blank=True)
    tags = ArrayField(models.CharField(max_length=100), default=list)
    definition = models.JSONField()
    parameters = models.JSONField(default=list)
    secret_names = ArrayField(models.CharField(max_length=64), default=list)
    component_count = models.PositiveIntegerField()
    version = models.CharField(max_length=32, default="1.0.0")
    complexity_level = models.CharField(max_length=12, choices=Complexity.choices, default=Complexity.BEGINNER)
    estimated_setup_time_minutes = models.PositiveIntegerField(default=5)
    published = models.BooleanField(default=False)
    usage_count = models.PositiveIntegerField(default=0)
    rating = models.FloatField(default=0)
    rating_count = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["created_by", "name"], name="template_name_unique_per_owner"),
            models.CheckConstraint(
                condition=models.Q(created_by__isnull=True) ^ models.Q(gallery_key__isnull=True),
                name="template_owner_or_gallery",
            ),
            models.CheckConstraint(condition=models.Q(rating__range=(0, 5)), name="template_rating_range"),
        ]
        indexes = [
            models.Index(fields=["created_by", "-created_at"], name="template_owner_created"),
            models.Index(fields=["-created_at"], name="template_published", condition=models.Q(published=True)),
        ]

    def __str__(self) -> str:
        return self.name


class TemplateRating(models.Model):
    """What one user thinks of a template; the template keeps the mean."""

    id = id_field()
    template = models.ForeignKey(Template, on_delete=models.CASCADE, related_name="ratings")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    rating = models.PositiveSmallIntegerField()
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["template", "user"], name="template_rating_once"),
            models.CheckConstraint(condition=models.Q(rating__range=(1, 5)), name="template_rating_stars"),
        ]

    def __str__(self) -> str:
        return f"{self.template_id} {self.rating}"
