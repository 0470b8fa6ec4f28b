"""Addresses of workflows and components, relative to each base of the contract."""

from django.urls import path

from workflows import views

urlpatterns = [
    path("workflows", views.WorkflowListView.as_view()),
    path("workflows/validate", views.ValidateView.as_view()),
    path("workflows/<id:workflow_id>", views.WorkflowView.as_view()),
    path("workflows/<id:workflow_id>/validate", views.ValidateStoredView.as_view()),
    path("workflows/<id:workflow_id>/shares", views.ShareListView.as_view()),
    path("workflows/<id:workflow_id>/shares/<id:share_id>", views.ShareView.as_view()),
    path("components", views.ComponentListView.as_view()),
    path("components/<str:component_type>/schema", views.ComponentSchemaView.as_view()),
]
