"""Addresses of executions, relative to each base of the contract."""

from django.urls import path, register_converter
from django.urls.converters import StringConverter

from executions import trigger_views, views


class SignalName(StringConverter):
    """`<signal:…>`: a name that a component may wait for."""

    regex = r"[A-Za-z0-9_.-]{1,128}"


register_converter(SignalName, "signal")

urlpatterns = [
    path("workflows/<id:workflow_id>/execute", views.ExecuteView.as_view()),
    path(
        "workflows/<id:workflow_id>/triggers/<component:component_id>/events",
        trigger_views.TriggerEventListView.as_view(),
    ),
    path("schedules", trigger_views.ScheduleListView.as_view()),
    path("schedules/<id:schedule_id>", trigger_views.ScheduleView.as_view()),
    path("schedules/<id:schedule_id>/preview", trigger_views.SchedulePreviewView.as_view()),
    path("schedules/<id:schedule_id>/events", trigger_views.ScheduleEventListView.as_view()),
    path("schedules/<id:schedule_id>/pause", trigger_views.SchedulePauseView.as_view()),
    path("schedules/<id:schedule_id>/resume", trigger_views.ScheduleResumeView.as_view()),
    path("schedules/<id:schedule_id>/run", trigger_views.ScheduleRunView.as_view()),
    path("schedules/<id:schedule_id>/backfill", trigger_views.ScheduleBackfillView.as_view()),
    path("executions", views.ExecutionListView.as_view()),
    path("executions/<id:execution_id>", views.ExecutionView.as_view()),
    path("executions/<id:execution_id>/cancel", views.CancelView.as_view()),
    path("executions/<id:execution_id>/retry", views.RetryView.as_view()),
    path("executions/<id:execution_id>/signals/<signal:name>", views.SignalView.as_view()),
    path("executions/<id:execution_id>/diagnosis", views.DiagnosisView.as_view()),
    path("executions/<id:execution_id>/logs", views.LogListView.as_view()),
    path("executions/<id:execution_id>/events", views.EventListView.as_view()),
    path("executions/<id:execution_id>/components", views.ComponentRunListView.as_view()),
]
