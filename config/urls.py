"""One list of API addresses, mounted at each base of the contract (§1)."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, register_converter
from django.urls.converters import StringConverter

from config import schema_views, system
from config.graphql_views import GraphQLView
from config.metrics_views import MetricsView
from core.ids import IdConverter
from executions import hook_views
from workflows.definition_schema import COMPONENT_ID


class ComponentId(StringConverter):
    """`<component:…>`: the id of a component; anything else is no match, hence 404."""

    regex = COMPONENT_ID


register_converter(IdConverter, "id")
register_converter(hook_views.HookToken, "hook")
register_converter(ComponentId, "component")

# Bulk and batch answer below version 2 of either base, and below `v2` of either base of version 1.
bulk: list[URLPattern | URLResolver] = [
    path("", include("workflows.bulk_urls")),
    path("", include("executions.bulk_urls")),
]

resources: list[URLPattern | URLResolver] = [
    path("", include("workflows.urls")),
    path("", include("executions.urls")),
    path("", include("templates_app.urls")),
    path("", include("webhooks.urls")),
    path("", include("accounts.resource_urls")),
    path("v2/", include(bulk)),
    path("health", system.HealthView.as_view()),
    path("stats", system.StatsView.as_view()),
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/workflow_orchestration/", include(resources)),
    path("api/v1/auth/", include("accounts.urls")),
    path("api/v1/hooks/<hook:token>", hook_views.HookView.as_view()),
    path("api/v1/oauth/", include("accounts.oauth_urls")),
    path("api/v1/schema", schema_views.schema),
    path("api/v1/docs", schema_views.docs),
    path("api/v1/", include(resources)),
    path("api/v2/workflow_orchestration/", include(bulk)),
    path("api/v2/", include(bulk)),
    path("api/beta/graphql", GraphQLView.as_view()),
    path("metrics", MetricsView.as_view()),
    path("admin/", admin.site.urls),
]

handler400 = "core.exception_handler.bad_request"
handler403 = "core.exception_handler.forbidden"
handler404 = "core.exception_handler.not_found"
handler500 = "core.exception_handler.server_error"
