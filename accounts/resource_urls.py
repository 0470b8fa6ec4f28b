"""Addresses of secrets and of the audit log, relative to each base of the contract."""

from django.urls import path, re_path

from accounts import staff_views, views
from accounts.models import SECRET_NAME

urlpatterns = [
    path("secrets", views.SecretListView.as_view()),
    path("audit", staff_views.AuditListView.as_view()),
    # What is no name of a secret is no address: 404, before any query.
    re_path(rf"^secrets/(?P<name>{SECRET_NAME})\Z", views.SecretView.as_view()),
]
