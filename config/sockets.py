"""Where sockets are, and what those who watch the system are told."""

from channels.routing import URLRouter
from django.urls import re_path

from config import notices
from config.graphql_socket import GraphQLSocket
from executions import hub
from executions.consumers import WorkflowSocket

hub.sources.extend([notices.tell_announcements, notices.tell_alerts])

sockets = URLRouter(
    [
        re_path(r"^api/v1/ws/?$", WorkflowSocket.as_asgi()),
        re_path(r"^api/beta/graphql/?$", GraphQLSocket.as_asgi()),
    ]
)
