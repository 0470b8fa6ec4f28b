"""The ASGI application that the web server runs."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# Requests come on changing threads: connections are pooled per process instead of kept per thread.
os.environ.setdefault("APG_DATABASE_POOL_SIZE", "10")

from django.core.asgi import get_asgi_application

application = get_asgi_application()
