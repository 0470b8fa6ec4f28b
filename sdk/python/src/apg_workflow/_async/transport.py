"""Sends calls: with a credential, again where that is safe, and reads what comes back."""

from __future__ import annotations

from base64 import b64encode
from typing import Any, TypeVar

import httpx

from apg_workflow._async.io import HttpClient, HttpTransport, Lock, sleep
from apg_workflow.calls import Call, Repeat, Retries, one, path, post, read_answer, refusal, socket_address, version_2
from apg_workflow.credentials import Credentials
from apg_workflow.errors import APIError, AuthenticationError, ConnectionFailedError
from apg_workflow.models import OAuthToken, Tokens

T = TypeVar("T")

# Nothing has been sent by then; after all others something may have arrived.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
# Less than any server or proxy holds an idle connection, so that none is used in the moment in which it is closed.
_IDLE_SECONDS = 3.0


class Transport:
    """One server and one credential."""

    def __init__(
        self,
        root: str,
        credentials: Credentials,
        retries: Retries,
        *,
        timeout: float,
        user_agent: str,
        http_transport: HttpTransport | None,
    ) -> None:
        self.root = root
        self.retries = retries
        self.timeout = timeout
        self.credentials = credentials
        self._renewing = Lock()
        self._http = HttpClient(
            headers={"User-Agent": user_agent, "Accept": "application/json"},
            timeout=timeout,
            limits=httpx.Limits(keepalive_expiry=_IDLE_SECONDS),
            transport=http_transport,
        )

    @property
    def socket_address(self) -> str:
        """Where the WebSocket API is."""
        return socket_address(self.root)

    async def send(self, call: Call[T], *, version: int = 1) -> T:
        """What the call gives. Raises APIError and ConnectionFailedError."""
        if call.anonymous:
            return read_answer(call, await self._exchange(call, version, {}))
        await self.renew_if_stale()
        secret = self.credentials.secret
        try:
            return read_answer(call, await self._exchange(call, version, self.credentials.headers()))
        except AuthenticationError:
            # Refused before anything is done, so it may be sent again whatever it is.
            if not await self.renew(secret):
                raise
        return read_answer(call, await self._exchange(call, version, self.credentials.headers()))

    async def close(self) -> None:
        """Give back the connections."""
        await self._http.aclose()

    async def renew_if_stale(self) -> None:
        """Get a token if there is none, or one that is about to end. Raises as `send`."""
        if self.credentials.stale:
            await self.renew(self.credentials.secret)

    async def renew(self, used: str | None) -> bool:
        """Get another token than `used`; whether there is one. Raises as `send`.

        One at a time: a refresh token that is used twice ends the login.
        """
        credentials = self.credentials
        if not credentials.renewable:
            return False
        async with self._renewing:
            if credentials.secret != used:
                return True
            if credentials.client_id is not None:
                await self._ask_oauth()
                return True
            if credentials.refresh_token is not None and await self._refreshed(credentials.refresh_token):
                return True
            if credentials.username is None:
                return False
            body = {"username": credentials.username, "password": credentials.password}
            login = post(path("auth", "login"), one(Tokens), body, anonymous=True)
            credentials.take_login(await self.send(login))
            return True

    async def _refreshed(self, refresh_token: str) -> bool:
        call = post(path("auth", "refresh"), one(Tokens), {"refresh_token": refresh_token}, anonymous=True)
        try:
            self.credentials.take_login(await self.send(call))
        except AuthenticationError:
            self.credentials.refresh_token = None
            return False
        return True

    async def _ask_oauth(self) -> None:
        credentials = self.credentials
        basic = b64encode(f"{credentials.client_id}:{credentials.client_secret}".encode()).decode()
        call = Call(
            "POST",
            path("oauth", "token"),
            OAuthToken.model_validate,
            form={"grant_type": "client_credentials", "scope": " ".join(credentials.scopes)},
            headers={"Authorization": f"Basic {basic}"},
            repeat=Repeat.SAFE,
            anonymous=True,
        )
        token = await self.send(call)
        credentials.take_token(token.access_token, token.expires_in)

    async def _exchange(self, call: Call[Any], version: int, credential: dict[str, str]) -> httpx.Response:
        root = self.root if version == 1 else version_2(self.root)
        attempt = 0
        while True:
            attempt += 1
            try:
                response = await self._http.request(
                    call.method,
                    root + call.path,
                    params=dict(call.params),
                    json=call.body,
                    content=call.text,
                    data=call.form,
                    headers={**call.headers, **credential},
                    timeout=self.timeout + call.patience,
                )
            except httpx.TransportError as error:
                sent = not isinstance(error, _NOT_SENT)
                wait = self.retries.wait_after_failure(sent=sent, repeat=call.repeat, attempt=attempt)
                if wait is None:
                    told = str(error) or type(error).__name__
                    raise ConnectionFailedError(f"No answer from {self.root}: {told}", sent=sent) from error
            else:
                if response.status_code < 400:
                    return response
                refused: APIError = refusal(response)
                wait = self.retries.wait_after_refusal(refused, call.repeat, attempt)
                if wait is None:
                    raise refused
            await sleep(wait)
