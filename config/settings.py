"""All settings, read from the environment and checked at start; `.env.example` lists every variable."""

import ssl
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from kombu import Exchange, Queue

from config import env

BASE_DIR = Path(__file__).resolve().parent.parent

APG_VERSION = "1.0.0"
DATA_DIR = env.folder("APG_DATA_DIR", BASE_DIR / "var")
# Touched every two seconds by a worker, a webhook worker or beat, for health checks; one a process.
ALIVE_FILE = env.read("APG_ALIVE_FILE") or None

# --- safety -------------------------------------------------------------------------------------------------
DEBUG = env.boolean("APG_DEBUG", default=False)
SECRET_KEY = env.secret_key("APG_SECRET_KEY", debug=DEBUG)
# 32 random bytes each, base64; the first seals, all open. Without the variable one is derived from the secret key.
ENCRYPTION_KEYS = env.words("APG_ENCRYPTION_KEYS")
ALLOWED_HOSTS = env.words("APG_ALLOWED_HOSTS", default=("localhost", "127.0.0.1", "[::1]"))
CSRF_TRUSTED_ORIGINS = env.words("APG_TRUSTED_ORIGINS")
# Proxies whose word about a caller is taken: its address, and that it came over TLS. Nobody else's is.
TRUSTED_PROXIES = env.addresses("APG_TRUSTED_PROXIES")
HTTPS = env.boolean("APG_HTTPS", default=False)
if HTTPS and not TRUSTED_PROXIES:
    raise ImproperlyConfigured("APG_HTTPS needs APG_TRUSTED_PROXIES: the address of the proxy that ends TLS")
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 31536000 if HTTPS else 0
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
# Of the admin; the API has no cookies.
SESSION_COOKIE_AGE = 8 * 3600
# `env.secret_key` asks for more than W009's fifty characters; W005 and W021 would have HSTS speak for every other
# host of the domain.
SILENCED_SYSTEM_CHECKS = ["security.W009", "security.W005", "security.W021"]

# --- application --------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    # First: its templates of the admin are found before Django's own.
    "accounts",
    "config.admin_config.APGAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "django_filters",
    # The command `spectacular`, and the files of the documentation page.
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "channels",
    "graphene_django",
    "oauth2_provider",
    "events",
    "workflows",
    "executions",
    "templates_app",
    "webhooks",
    "config",
]
MIDDLEWARE = [
    "core.request_watch.request_watch_middleware",
    "core.proxies.proxies_middleware",
    "core.request_id.request_id_middleware",
    "accounts.audit.origin_middleware",
    "core.security_headers.security_headers_middleware",
    "core.exception_handler.api_errors_middleware",
    "accounts.throttling.RatesMiddleware",
    "core.front_door.refusal_middleware",
    "config.system.liveness_middleware",
    "core.slashes.trailing_slash_middleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
LANGUAGE_CODE = "en"
USE_I18N = False
FORMAT_MODULE_PATH = "config.formats"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "/static/"
TEST_RUNNER = "django.test.runner.DiscoverRunner"

# --- accounts -----------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
PASSWORD_HASHERS = ["accounts.hashers.Argon2Hasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    # No rule: it is told of every stored password, wherever it was changed, and ends what the old one opened.
    {"NAME": "accounts.passwords.EndsAccess"},
]
SIMPLE_JWT: dict[str, Any] = {
    "ACCESS_TOKEN_LIFETIME": timedelta(seconds=env.integer("APG_ACCESS_TOKEN_SECONDS", 3600, low=60, high=86400)),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=env.integer("APG_REFRESH_TOKEN_DAYS", 14, low=1, high=365)),
    "ALGORITHM": "HS256",
    "SIGNING_KEY": SECRET_KEY,
    "ISSUER": "apg",
    "AUDIENCE": "apg-api",
    "USER_ID_FIELD": "id",
    "USER_ID_CLAIM": "sub",
    "UPDATE_LAST_LOGIN": False,
}
LOGIN_URL = "/api/v1/oauth/login"
# Swapped models with ULID keys, which keep no credential; so the toolkit itself has no table and no migration.
MIGRATION_MODULES = {"oauth2_provider": None}
OAUTH2_PROVIDER_APPLICATION_MODEL = "accounts.OAuthApplication"
OAUTH2_PROVIDER_GRANT_MODEL = "accounts.OAuthGrant"
OAUTH2_PROVIDER_ACCESS_TOKEN_MODEL = "accounts.OAuthAccessToken"  # noqa: S105 - the name of a class
OAUTH2_PROVIDER_REFRESH_TOKEN_MODEL = "accounts.OAuthRefreshToken"  # noqa: S105 - the name of a class
OAUTH2_PROVIDER_ID_TOKEN_MODEL = "accounts.OAuthUnused"  # noqa: S105 - the name of a class
OAUTH2_PROVIDER_DEVICE_GRANT_MODEL = "accounts.OAuthUnused"
OAUTH2_PROVIDER = {
    "OAUTH2_VALIDATOR_CLASS": "accounts.oauth_server.Validator",
    "OAUTH2_SERVER_CLASS": "accounts.oauth_server.Server",
    "OAUTH2_BACKEND_CLASS": "accounts.oauth_server.Core",
    "SCOPES_BACKEND_CLASS": "accounts.oauth_server.Scopes",
    "ACCESS_TOKEN_EXPIRE_SECONDS": int(SIMPLE_JWT["ACCESS_TOKEN_LIFETIME"].total_seconds()),
    # Of an unused refresh token, from the end of its access token on.
    "REFRESH_TOKEN_EXPIRE_SECONDS": int(SIMPLE_JWT["REFRESH_TOKEN_LIFETIME"].total_seconds()),
    "AUTHORIZATION_CODE_EXPIRE_SECONDS": 60,
    "CLIENT_SECRET_GENERATOR_LENGTH": 64,
    "REFRESH_TOKEN_REUSE_PROTECTION": True,
    # Those of this machine are allowed by our own model.
    "ALLOWED_REDIRECT_URI_SCHEMES": ["https"],
    **{
        f"COMPLIANT_BCP_RFC9700_{rule}": True
        for rule in (
            "IMPLICIT_GRANT", "PASSWORD_GRANT", "PKCE_METHOD", "PKCE_REQUIRED", "ACCESS_TOKEN_TRANSPORT",
            "AUTHZ_RESPONSE_ISS", "TOKEN_STORAGE", "REFRESH_TOKEN", "REDIRECT_URI_SCHEME", "REDIRECT_URI_MATCHING",
        )
    },
}  # fmt: skip
ANONYMOUS_REQUESTS_PER_HOUR = env.integer("APG_ANONYMOUS_REQUESTS_PER_HOUR", 1000, low=1, high=10**9)
HOOK_REQUESTS_PER_MINUTE = env.integer("APG_HOOK_REQUESTS_PER_MINUTE", 600, low=1, high=10**6)
# Requests an hour and concurrent executions of the API reference's tiers.
TIERS = {"free": (1_000, 5), "pro": (10_000, 25), "enterprise": (100_000, 100)}

# --- REST ---------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.CredentialAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.permissions.HasScope"],
    "DEFAULT_THROTTLE_CLASSES": ["accounts.throttling.TierThrottle"],
    "DEFAULT_PARSER_CLASSES": ["core.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["core.envelope.EnvelopeRenderer"],
    "EXCEPTION_HANDLER": "core.exception_handler.handle",
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,
    # Imported when the OpenAPI document is made, not before.
    "DEFAULT_SCHEMA_CLASS": "core.openapi.ViewSchema",
}
SPECTACULAR_SETTINGS = {
    "OAS_VERSION": "3.1.1",
    "TITLE": "APG Workflow Orchestration",
    "VERSION": APG_VERSION,
    "PREPROCESSING_HOOKS": ["config.openapi.canonical_only"],
    "POSTPROCESSING_HOOKS": ["config.openapi.complete"],
    "ENFORCE_NON_BLANK_FIELDS": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "SORT_OPERATION_PARAMETERS": False,
}
# Of graphene-django only this is used; its own debugging middleware is never loaded.
GRAPHENE: dict[str, Any] = {"MIDDLEWARE": []}
APG_MAX_BODY_BYTES = env.integer("APG_MAX_BODY_BYTES", 5 * 1024 * 1024, low=1024, high=2**30)
DATA_UPLOAD_MAX_MEMORY_SIZE = APG_MAX_BODY_BYTES
# Requests that a web process serves at once, and its connections to PostgreSQL.
WEB_THREADS = env.integer("APG_WEB_THREADS", 8, low=1, high=200)

# --- data ---------------------------------------------------------------------------------------------------
# DATABASE_URL leads to PgBouncer with pool_mode = transaction.
PGBOUNCER = env.boolean("APG_PGBOUNCER", default=False)
DATABASES = {"default": env.database("DATABASE_URL", pgbouncer=PGBOUNCER)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
REDIS_URL, CELERY_BROKER_URL = env.redis_urls("REDIS_URL")
# RabbitMQ for messages, where it is named; rates and live views stay with Redis.
AMQP_URL = env.amqp_url("APG_BROKER_URL")
if AMQP_URL:
    CELERY_BROKER_URL = AMQP_URL
CELERY_BROKER_USE_SSL: dict[str, Any] | None = None
if AMQP_URL.startswith("amqps:"):
    CELERY_BROKER_USE_SSL = {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": None}
REDIS_TIMEOUT_SECONDS = 1
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        # redis-py's default read timeout would end idle subscriptions.
        "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_timeout": None}], "prefix": "apg"},
    }
}

# --- engine -------------------------------------------------------------------------------------------------
_LEASE_SECONDS = env.integer("APG_LEASE_SECONDS", 15, low=3, high=3600)
ENGINE: dict[str, Any] = {
    "LEASE_SECONDS": _LEASE_SECONDS,
    "RENEW_SECONDS": _LEASE_SECONDS / 5,
    "TICK_SECONDS": 0.5,
    "RING_AGAIN_SECONDS": 5,
    "KEEP_SUCCESSOR_SECONDS": 0.25,
    "MAX_CRASHES": 3,
    # How often a worker looks at its processes; what they are given to react before they are killed: past their
    # deadline, after a cancel, and after a SIGTERM of the worker.
    "LOOK_SECONDS": 0.1,
    "KILL_SECONDS": 2,
    "CANCEL_SECONDS": 10,
    # Claiming and recording take milliseconds.
    "STUCK_SECONDS": 60,
    "DRAIN_SECONDS": env.integer("APG_DRAIN_SECONDS", 30, low=0, high=86400),
}
COMPONENT_LIMITS = {
    "MEMORY_MB": env.integer("APG_COMPONENT_MEMORY_MB", 2048, low=256, high=2**20),
    "OPEN_FILES": env.integer("APG_COMPONENT_OPEN_FILES", 1024, low=128, high=2**20),
    "PROCESSES": env.integer("APG_COMPONENT_PROCESSES", 64, low=0, high=10_000),
    "WORKER_MEMORY_MB": env.integer("APG_WORKER_MEMORY_MB", 512, low=128, high=2**20),
}
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
# One for each kind of component (docs/operations/queues.md); a worker without -Q serves all of them.
CELERY_TASK_DEFAULT_QUEUE = "default"
# Messages that a queue keeps (in Redis, of each priority): each makes a worker ask whose turn it is, whichever run it
# names, so that more would only fill the broker while workers are busy for long.
MAX_DOORBELLS = 5_000
CELERY_TASK_QUEUES = [
    Queue(name, Exchange(name), routing_key=name, queue_arguments={"x-max-length": MAX_DOORBELLS})
    for name in ("default", "io", "script")
]
# RabbitMQ's classic queues with the contract's priorities, all queues alike, and beat's ticks among the urgent.
CELERY_TASK_QUEUE_MAX_PRIORITY = 10
CELERY_TASK_DEFAULT_PRIORITY = 10 if AMQP_URL else 0
# A message is a doorbell: it is acknowledged when taken, and recovery is the leases' and sweeps' work.
CELERY_TASK_ACKS_LATE = False
CELERY_TASK_REJECT_ON_WORKER_LOST = False
CELERY_TASK_PUBLISH_RETRY = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# After a reconnection, Celery would raise the prefetch count again step by step, each from the thread that takes a
# message: two threads then read one connection, and the event loop waits for ever for an answer that the other has.
CELERY_WORKER_ENABLE_PREFETCH_COUNT_REDUCTION = False
# Celery would close the process's connection to PostgreSQL before and after every task, and with it all prepared
# statements; the engine lets go of a broken one itself.
CELERY_DB_REUSE_MAX = 10**9
CELERY_WORKER_POOL = "executions.pool:ComponentPool"
CELERY_WORKER_MAX_MEMORY_PER_CHILD = COMPONENT_LIMITS["WORKER_MEMORY_MB"] * 1024
# The lease of a killed process's run is seen to at once; its place in the pool need not wait for results either.
CELERY_WORKER_LOST_WAIT = 1.0
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# For ever: a worker outlives any outage of its broker.
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_WORKER_CONSUMER = "executions.consumer:DoorbellConsumer"
CELERY_BROKER_CONNECTION_TIMEOUT = 2
# RabbitMQ's; a frozen one is noticed after two of them.
CELERY_BROKER_HEARTBEAT = 10
_AMQP_OPTIONS: dict[str, Any] = {"write_timeout": 2}
_REDIS_OPTIONS: dict[str, Any] = {
    "queue_order_strategy": "priority",
    "priority_steps": list(range(10)),
    "sep": ":",
    # No list of messages taken and not acknowledged in Redis, two round trips a message: see above.
    "ack_emulation": False,
    "socket_timeout": 2,
    "socket_connect_timeout": 2,
    "health_check_interval": 10,
}
CELERY_BROKER_TRANSPORT_OPTIONS = _AMQP_OPTIONS if AMQP_URL else _REDIS_OPTIONS
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "config.beat:StatelessScheduler"
CELERY_BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "sweep": {"task": "executions.sweep", "schedule": 5.0, "options": {"ignore_result": True}},
    # One that comes late has nothing to do: the next one, or a worker's own sweep, has done it.
    "fire_schedules": {"task": "executions.fire_schedules", "schedule": 1.0, "options": {"expires": 5}},
    "sweep_webhooks": {
        "task": "webhooks.sweep",
        "schedule": 5.0,
        # What nobody takes in time would only be done several times over.
        "options": {"ignore_result": True, "queue": "webhooks", "expires": 5.0},
    },
    "forget_ended_access": {"task": "accounts.forget_ended_access", "schedule": 3600.0},
}
if AMQP_URL:
    # Beat keeps one connection, and makes a new one only when it tries again.
    for _entry in CELERY_BEAT_SCHEDULE.values():
        _entry["options"] = {**_entry.get("options", {}), "retry": True, "retry_policy": {"max_retries": 1}}
MAX_OUTPUT_BYTES = env.integer("APG_MAX_OUTPUT_BYTES", 1024 * 1024, low=1024, high=2**28)
MAX_RESULTS_BYTES = env.integer("APG_MAX_RESULTS_BYTES", 16 * 1024 * 1024, low=1024, high=2**27)
# What is larger is stored beside the database; None: nothing is.
_output_storage = env.output_storage("APG_OUTPUT_STORAGE", DATA_DIR / "outputs")
_inline_bytes = env.integer("APG_OUTPUT_INLINE_BYTES", 64 * 1024, low=1024, high=2**28)
OUTPUT_INLINE_BYTES = None if _output_storage is None else _inline_bytes
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    # What was stored before outputs were kept in their rows is still read from the folder.
    "outputs": _output_storage or env.output_files(DATA_DIR / "outputs"),
}
# How large a definition may be; what was accepted under other limits still runs.
MAX_COMPONENTS = env.integer("APG_MAX_COMPONENTS", 2_000, low=1, high=100_000)
MAX_CONNECTIONS = env.integer("APG_MAX_CONNECTIONS", 5_000, low=1, high=500_000)
MAX_NESTING = env.integer("APG_MAX_NESTING", 32, low=4, high=60)
MAX_DEFINITION_BYTES = env.integer("APG_MAX_DEFINITION_BYTES", 1024 * 1024, low=1024, high=2**28)
OUTBOUND_ALLOW = env.networks("APG_OUTBOUND_ALLOW")

# --- webhooks -----------------------------------------------------------------------------------------------
_WEBHOOK_TIMEOUT_SECONDS = 10
WEBHOOKS: dict[str, Any] = {
    "QUEUE": "webhooks",
    # Attempts at once in one worker, and to one webhook in all of them.
    "THREADS": env.integer("APG_WEBHOOK_THREADS", 32, low=1, high=500),
    "PER_ENDPOINT": 4,
    # Of an attempt, all in all; a claim outlives it.
    "TIMEOUT_SECONDS": _WEBHOOK_TIMEOUT_SECONDS,
    "LEASE_SECONDS": _WEBHOOK_TIMEOUT_SECONDS + 5,
    "TICK_SECONDS": 0.2,
    "SWEEP_SECONDS": 1.0,
    "RING_AGAIN_SECONDS": 15,
    # How long a sender goes on with one webhook before others get their turn.
    "TURN_SECONDS": 1.0,
    "OLD_SECRET_HOURS": 24,
    "KEEP_DAYS": env.integer("APG_WEBHOOK_DELIVERY_DAYS", 30, low=1, high=3650),
    "MAX_PER_USER": env.integer("APG_WEBHOOKS_PER_USER", 100, low=1, high=100_000),
}

# --- retention ----------------------------------------------------------------------------------------------
RETENTION: dict[str, Any] = {
    # Of ended executions, with all that is theirs; 0: for ever. A workflow's own settings may say less.
    "EXECUTION_DAYS": env.integer("APG_KEEP_EXECUTION_DAYS", 90, low=0, high=36_500),
    "EXECUTIONS_PER_WORKFLOW": env.integer("APG_KEEP_EXECUTIONS_PER_WORKFLOW", 0, low=0, high=10**9),
    # Of what the ledger tells of workflows, and of executions that were deleted with theirs.
    "LEDGER_DAYS": env.integer("APG_KEEP_LEDGER_DAYS", 90, low=2, high=36_500),
    # The database refuses to delete entries younger than 30 days, whatever stands here.
    "AUDIT_DAYS": env.integer("APG_KEEP_AUDIT_DAYS", 365, low=30, high=36_500),
    # Of slots of schedules that were started: for so long no backfill starts one again.
    "SLOT_DAYS": env.integer("APG_KEEP_SLOT_DAYS", 400, low=32, high=36_500),
    # How often a worker looks for what is old, how long it prunes at a time, and how long it pauses between batches.
    "TICK_SECONDS": 60.0,
    "TURN_SECONDS": 1.0,
    "PAUSE_SECONDS": 0.02,
    # Rows of a batch of executions, all their tables together.
    "BATCH_ROWS": 10_000,
}

# --- e-mail -------------------------------------------------------------------------------------------------
_mail = env.mail_server("APG_EMAIL_URL")
EMAIL_HOST, EMAIL_PORT = _mail.host, _mail.port
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _mail.user, _mail.password
EMAIL_USE_TLS, EMAIL_USE_SSL = _mail.starttls, _mail.tls
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.sender("APG_EMAIL_FROM", default="apg@localhost", required=bool(EMAIL_HOST))

# --- metrics, traces ----------------------------------------------------------------------------------------
METRICS_TOKEN = env.token("APG_METRICS_TOKEN")
# The OTLP/HTTP address of a collector, without /v1/traces; "" for no traces.
TRACES_ENDPOINT = env.collector("APG_OTEL_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

# --- logs ---------------------------------------------------------------------------------------------------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "request_id": {"()": "core.request_id.RequestIdFilter"},
        "hook_tokens": {"()": "core.log_filters.HookTokenFilter"},
        "context": {"()": "core.log_lines.ContextFilter"},
    },
    "formatters": {
        "text": {"format": "{asctime} {levelname} {name} [{request_id}] {message}", "style": "{"},
        "json": {"()": "core.log_lines.JSONLines"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": env.one_of("APG_LOG_FORMAT", ("text", "json")),
            "filters": ["request_id", "hook_tokens", "context"],
        }
    },
    "loggers": {
        # A forged host is answered 400; a traceback for each would be a stranger's way to fill the disk.
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        # `python -m config.web` writes no access log; another way to run the server may, with each path in it.
        "uvicorn.access": {"filters": ["hook_tokens"], "propagate": True},
        # At DEBUG they write codes and tokens.
        "oauthlib": {"level": "INFO"},
        "oauth2_provider": {"level": "INFO"},
        # A traceback every second while Redis is away, of which the health says enough.
        "channels_redis": {"level": "CRITICAL"},
    },
    "root": {"handlers": ["console"], "level": env.text("APG_LOG_LEVEL", default="INFO")},
}
