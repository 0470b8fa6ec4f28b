"""Addresses of batches, below version 2 of the API."""

from django.urls import path

from executions import views

urlpatterns = [path("workflows/execute-batch", views.ExecuteBatchView.as_view())]
