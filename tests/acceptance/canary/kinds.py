"""The table of secret kinds, one canary each; credentials that the platform makes itself are added as it makes them."""

import base64
import secrets
from enum import StrEnum

from tests.acceptance.canary.search import Searcher, new_plain_text, new_text


class Kind(StrEnum):
    """What must not leave; the value says it in a report."""

    # Kept by the platform for its owner
    SECRET = "a secret"
    REPLACED_SECRET = "a secret's value before it was replaced"
    SECRET_PARAMETER = "a declared secret parameter"
    SENSITIVE_PARAMETER = "a parameter declared sensitive"
    NAMED_PARAMETER = "a parameter with a secret-looking name"
    NESTED = "a value 20 deep under a secret-looking key"
    SIGNAL = "a secret-looking field of a signal's data"
    SIGNAL_VALUE = "a secret parameter's value inside a signal's data"
    DATABASE_URL = "the password in a secret that is a database's URL"
    WEBHOOK_SECRET = "a webhook's secret"
    ROTATED_WEBHOOK_SECRET = "a webhook's secret after its rotation"
    MADE_WEBHOOK_SECRET = "a webhook's secret that the platform made"
    # Literals of a definition
    DEFAULT_VALUE = "a default value of a secret parameter"
    HEADER = "a literal Authorization header in a definition"
    AUTH = "a literal token of http_request's auth"
    QUERY = "a literal secret-looking query parameter"
    URL_PASSWORD = "a literal password in a URL"
    BODY_FIELD = "a literal secret-looking field in a component's config"
    # Literals that come and go
    EARLIER = "a literal of an earlier version"
    IMPORTED = "a literal in an imported definition"
    BROKEN_IMPORT = "a literal in an import that cannot be read"
    IN_BULK = "a literal in an operation of many"
    REFUSED_IN_BULK = "a literal in an operation of many that is refused or undone"
    IN_A_TEMPLATE = "a literal in a template, which is refused"
    FILLED_IN = "a secret that was filled in a template's form"
    # Ways on which a known secret may get out
    ECHOED = "a secret that the far end echoes"
    ECHOED_ERROR = "a secret that the far end repeats in its error"
    ENCODED = "a secret that the far end encodes"
    REDIRECTED = "a secret in a query that the far end redirects"
    URL_OF_SECRET = "a secret that is a URL with a password"
    THROWN = "a secret in the message of fail"
    RAISED = "a secret parameter in a script's exception"
    PRINTED = "a secret parameter that a script prints"
    EXPRESSION = "a secret that an expression cannot read"
    UNFIT = "a secret that does not fit a config"
    UNFIT_SCHEMA = "a secret that does not fit the schema of validate"
    LOGGED = "a secret in a log component's message"
    ITEM = "a secret as an item of a loop"
    CHILD = "a secret in a sub-workflow's parameters"
    SIGNALLED = "a secret in the name of a signal"
    MAILED = "a secret in an e-mail that is not sent"
    QUERIED = "a secret bound to a statement and read back"
    KILLED = "a secret in use while its worker is killed"
    BROKEN_OFF = "a secret in a cancelled and in a timed-out component"
    # Cut short in the middle
    CUT_FAILURE = "a secret at the place where a failure's message is cut"
    CUT_LOG = "a secret at the place where a log line is cut"
    CUT_PRINT = "a secret parameter at the place where what is printed is cut"
    CUT_RAISED = "a secret parameter at the place where a script's exception is cut"
    CUT_UNFIT = "a secret at the place where an unfit config is cut"
    # Credentials
    ADMINISTRATOR = "the first administrator's password"
    PASSWORD = "a user's password"
    NEW_PASSWORD = "a user's changed password"
    SET_PASSWORD = "a password that staff set"
    WRONG_PASSWORD = "a mistyped password"
    WRONG_TOKEN = "a bearer token that is none"
    ACCESS_TOKEN = "an access token's signature"
    REFRESH_TOKEN = "a refresh token's signature"
    API_KEY = "an API key"
    # OAuth
    CLIENT_SECRET = "the secret of an OAuth client"
    AUTHORIZATION_CODE = "an authorization code"
    CODE_VERIFIER = "a PKCE verifier"
    OAUTH_ACCESS_TOKEN = "an OAuth access token"
    OAUTH_REFRESH_TOKEN = "an OAuth refresh token"
    WRONG_CREDENTIAL = "a client's secret, code, verifier or token that is none"
    SESSION_KEY = "the key of a browser's session"
    # Inbound hooks
    HOOK_TOKEN = "the token of an inbound hook"
    HOOK_SECRET = "a literal secret that a hook's deliveries are signed with"
    HOOK_BODY = "a secret-looking field of a delivery's body"
    HOOK_SENDER = "a credential that a sender has in its headers"
    # Of the operator
    SECRET_KEY = "APG_SECRET_KEY"
    ENCRYPTION_KEY = "a key of APG_ENCRYPTION_KEYS"
    NEXT_ENCRYPTION_KEY = "the next key of APG_ENCRYPTION_KEYS"
    MAIL_PASSWORD = "the password in APG_EMAIL_URL"
    METRICS_TOKEN = "APG_METRICS_TOKEN"


# What processes are given, and the platform's own therefore have in their environment.
IN_THE_ENVIRONMENT = frozenset(
    {
        Kind.SECRET_KEY,
        Kind.ENCRYPTION_KEY,
        Kind.NEXT_ENCRYPTION_KEY,
        Kind.MAIL_PASSWORD,
        Kind.ADMINISTRATOR,
        Kind.METRICS_TOKEN,
    }
)
# Made by the platform while it is used.
_MADE_LATER = frozenset({
    Kind.ACCESS_TOKEN, Kind.REFRESH_TOKEN, Kind.API_KEY, Kind.CLIENT_SECRET, Kind.AUTHORIZATION_CODE,
    Kind.OAUTH_ACCESS_TOKEN, Kind.OAUTH_REFRESH_TOKEN, Kind.SESSION_KEY, Kind.HOOK_TOKEN,
    Kind.MADE_WEBHOOK_SECRET,
})  # fmt: skip
# Places that take no quotes and backslashes.
_PLAIN = frozenset({
    Kind.SECRET_KEY, Kind.SIGNALLED, Kind.WRONG_TOKEN, Kind.WRONG_CREDENTIAL, Kind.CODE_VERIFIER, Kind.HEADER,
    Kind.EARLIER, Kind.IMPORTED, Kind.BROKEN_IMPORT, Kind.IN_BULK, Kind.REFUSED_IN_BULK, Kind.IN_A_TEMPLATE,
    Kind.FILLED_IN, Kind.HOOK_SECRET, Kind.HOOK_SENDER, Kind.METRICS_TOKEN,
})  # fmt: skip


def make_canaries(searcher: Searcher) -> dict[Kind, str]:
    """One value for each kind that exists before the run."""
    values: dict[Kind, str] = {}
    for kind in Kind:
        if kind in _MADE_LATER:
            continue
        if kind in {Kind.ENCRYPTION_KEY, Kind.NEXT_ENCRYPTION_KEY}:
            key = secrets.token_bytes(32)
            values[kind] = searcher.add(kind, base64.b64encode(key).decode())
            searcher.add(kind, key.hex())
        else:
            values[kind] = searcher.add(kind, new_plain_text() if kind in _PLAIN else new_text())
    return values
