"""Where sockets are, and what those who watch the system are told."""

from channels.consumer import AsyncConsumer
from channels.exceptions import StopConsumer
from channels.routing import URLRouter
from django.urls import re_path

from config import notices
from config.graphql_socket import GraphQLSocket
from executions import hub
from executions.consumers import WorkflowSocket

hub.sources.extend([notices.tell_announcements, notices.tell_alerts])


class _NoSocket(AsyncConsumer):  # type: ignore[misc]  # without types
    """Any other address: refused with 403, before the handshake."""

    async def websocket_connect(self, message: object) -> None:
        await self.send({"type": "websocket.close"})

    async def websocket_disconnect(self, message: object) -> None:
        raise StopConsumer


sockets = URLRouter(
    [
        re_path(r"^api/v1/ws/?$", WorkflowSocket.as_asgi()),
        re_path(r"^api/beta/graphql/?$", GraphQLSocket.as_asgi()),
        re_path("", _NoSocket.as_asgi()),
    ]
)
