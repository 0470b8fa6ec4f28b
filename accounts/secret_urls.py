"""Addresses of secrets, relative to each base of the contract."""

from django.urls import path

from accounts import views

urlpatterns = [
    path("secrets", views.SecretListView.as_view()),
    path("secrets/<str:name>", views.SecretView.as_view()),
]
