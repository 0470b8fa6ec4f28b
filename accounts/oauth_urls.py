"""Addresses below /api/v1/oauth/."""

from django.urls import path

from accounts import oauth_views

urlpatterns = [
    path("authorize", oauth_views.AuthorizeView.as_view()),
    path("token", oauth_views.TokenView.as_view()),
    path("revoke_token", oauth_views.RevokeTokenView.as_view()),
    path("introspect", oauth_views.IntrospectView.as_view()),
    path("login", oauth_views.SignInView.as_view(), name="sign-in"),
    path("logout", oauth_views.SignOutView.as_view(), name="sign-out"),
]
