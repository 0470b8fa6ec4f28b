"""Addresses of workflows and components, relative to each base of the contract."""

from django.urls import path, register_converter

from core.shapes import integer
from workflows import lifecycle_views, views


class VersionNumber:
    """`<number:…>`: a version from 1 that PostgreSQL can count."""

    regex = r"[1-9][0-9]{0,8}"
    shape = integer("A version from 1", 1, 999_999_999)

    def to_python(self, value: str) -> int:
        return int(value)

    def to_url(self, value: int) -> str:
        return str(value)


register_converter(VersionNumber, "number")

urlpatterns = [
    path("workflows", views.WorkflowListView.as_view()),
    path("workflows/validate", views.ValidateView.as_view()),
    path("workflows/import", lifecycle_views.ImportView.as_view()),
    path("workflows/<id:workflow_id>", views.WorkflowView.as_view()),
    path("workflows/<id:workflow_id>/validate", views.ValidateStoredView.as_view()),
    path("workflows/<id:workflow_id>/activate", lifecycle_views.ActivateView.as_view()),
    path("workflows/<id:workflow_id>/deactivate", lifecycle_views.DeactivateView.as_view()),
    path("workflows/<id:workflow_id>/archive", lifecycle_views.ArchiveView.as_view()),
    path("workflows/<id:workflow_id>/duplicate", lifecycle_views.DuplicateView.as_view()),
    path("workflows/<id:workflow_id>/export", lifecycle_views.ExportView.as_view()),
    path("workflows/<id:workflow_id>/versions", lifecycle_views.VersionListView.as_view()),
    path("workflows/<id:workflow_id>/versions/<number:number>", lifecycle_views.VersionView.as_view()),
    path("workflows/<id:workflow_id>/versions/<number:number>/restore", lifecycle_views.RestoreView.as_view()),
    path("workflows/<id:workflow_id>/shares", views.ShareListView.as_view()),
    path("workflows/<id:workflow_id>/shares/<id:share_id>", views.ShareView.as_view()),
    path("workflows/<id:workflow_id>/triggers/<component:component_id>/rotate", lifecycle_views.RotateView.as_view()),
    path("components", views.ComponentListView.as_view()),
    path("components/<str:component_type>/schema", views.ComponentSchemaView.as_view()),
]
