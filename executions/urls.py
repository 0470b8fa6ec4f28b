"""Addresses of executions, relative to each base of the contract."""

from django.urls import path

from executions import views

urlpatterns = [
    path("workflows/<id:workflow_id>/execute", views.ExecuteView.as_view()),
    path("executions", views.ExecutionListView.as_view()),
    path("executions/<id:execution_id>", views.ExecutionView.as_view()),
    path("executions/<id:execution_id>/cancel", views.CancelView.as_view()),
    path("executions/<id:execution_id>/logs", views.LogListView.as_view()),
    path("executions/<id:execution_id>/events", views.EventListView.as_view()),
    path("executions/<id:execution_id>/components", views.ComponentRunListView.as_view()),
]
