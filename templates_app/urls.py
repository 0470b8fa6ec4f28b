"""Addresses of templates, relative to each base of the contract."""

from django.urls import path

from templates_app import views

urlpatterns = [
    path("templates", views.TemplateListView.as_view()),
    path("templates/<id:template_id>", views.TemplateView.as_view()),
    path("templates/<id:template_id>/create-workflow", views.TemplateCreateWorkflowView.as_view()),
    path("templates/<id:template_id>/rate", views.TemplateRateView.as_view()),
]
