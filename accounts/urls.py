"""Addresses below /api/v1/auth/."""

from django.urls import path

from accounts import staff_views, views

urlpatterns = [
    path("login", views.LoginView.as_view()),
    path("refresh", views.RefreshView.as_view()),
    path("logout", views.LogoutView.as_view()),
    path("me", views.MeView.as_view()),
    path("password", views.PasswordView.as_view()),
    path("api-keys", views.ApiKeyListView.as_view()),
    path("api-keys/<id:key_id>", views.ApiKeyView.as_view()),
    path("users", staff_views.UserListView.as_view()),
    path("users/<id:user_id>", staff_views.UserView.as_view()),
    path("groups", staff_views.GroupListView.as_view()),
    path("groups/<id:group_id>", staff_views.GroupView.as_view()),
]
