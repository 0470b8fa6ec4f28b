"""Addresses of bulk operations, below version 2 of the API."""

from django.urls import path

from workflows import bulk_views

urlpatterns = [path("workflows/bulk", bulk_views.BulkView.as_view())]
