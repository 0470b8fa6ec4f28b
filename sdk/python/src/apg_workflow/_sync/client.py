"""The client: one server, one credential, and all that can be asked of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType

from typing_extensions import Self

from apg_workflow._sync.accounts import ApiKeys, Auth, Groups, Secrets, Users
from apg_workflow._sync.catalogue import Components, Templates
from apg_workflow._sync.executions import Executions
from apg_workflow._sync.io import HttpTransport
from apg_workflow._sync.system import Audit, System
from apg_workflow._sync.transport import Transport
from apg_workflow._sync.triggers import Hooks, Schedules
from apg_workflow._sync.webhooks import Webhooks
from apg_workflow._sync.workflows import Workflows
from apg_workflow._version import __version__
from apg_workflow.calls import Retries, api_root
from apg_workflow.credentials import Credentials
from apg_workflow.models import Tokens


class SyncWorkflowClient:
    """A client of one server; use it as a context manager, or close it.

    `base_url` ends in `/api/v1`. The credential is one of `api_key`; `token`, an access token, which `refresh_token`
    renews; `username` and `password`; `client_id` and `client_secret` of an OAuth application, with `scopes`.
    `on_tokens` is told each new pair of tokens, so that it can be kept. `timeout` is in seconds, for each request.
    `http_transport` is how httpx reaches the server; WebSockets do not use it. Proxies and certificates of your own are
    better named by `HTTPS_PROXY` and `SSL_CERT_FILE`, which both read.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        token: str | None = None,
        refresh_token: str | None = None,
        username: str | None = None,
        password: str | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
        scopes: Sequence[str] = (),
        on_tokens: Callable[[Tokens], None] | None = None,
        retries: Retries | None = None,
        timeout: float = 30.0,
        http_transport: HttpTransport | None = None,
    ) -> None:
        credentials = Credentials(
            api_key=api_key,
            access_token=token,
            refresh_token=refresh_token,
            username=username,
            password=password,
            client_id=client_id,
            client_secret=client_secret,
            scopes=scopes,
            on_tokens=on_tokens,
        )
        transport = Transport(
            api_root(base_url),
            credentials,
            retries or Retries(),
            timeout=timeout,
            user_agent=f"apg-workflow-client/{__version__}",
            http_transport=http_transport,
        )
        self._transport = transport
        self.auth = Auth(transport)
        self.api_keys = ApiKeys(transport)
        self.audit = Audit(transport)
        self.components = Components(transport)
        self.executions = Executions(transport)
        self.groups = Groups(transport)
        self.hooks = Hooks(transport)
        self.schedules = Schedules(transport)
        self.secrets = Secrets(transport)
        self.system = System(transport)
        self.templates = Templates(transport)
        self.users = Users(transport)
        self.webhooks = Webhooks(transport)
        self.workflows = Workflows(transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back the connections; the client is of no use after that."""
        self._transport.close()
