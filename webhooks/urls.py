"""Addresses of webhooks, relative to each base of the contract."""

from django.urls import path

from webhooks import views

urlpatterns = [
    path("webhooks", views.WebhookListView.as_view()),
    path("webhooks/<id:webhook_id>", views.WebhookView.as_view()),
    path("webhooks/<id:webhook_id>/test", views.WebhookTestView.as_view()),
    path("webhooks/<id:webhook_id>/rotate-secret", views.RotateSecretView.as_view()),
    path("webhooks/<id:webhook_id>/deliveries", views.DeliveryListView.as_view()),
    path("webhooks/<id:webhook_id>/deliveries/<id:delivery_id>", views.DeliveryView.as_view()),
    path("webhooks/<id:webhook_id>/deliveries/<id:delivery_id>/redeliver", views.RedeliverView.as_view()),
]
