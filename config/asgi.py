"""The ASGI application that the web server runs: static files, then Django."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# Requests come on changing threads: connections are pooled per process instead of kept per thread.
os.environ.setdefault("APG_DATABASE_POOL_SIZE", "10")

from django.conf import settings
from django.contrib.staticfiles.finders import AppDirectoriesFinder
from django.core.asgi import get_asgi_application
from servestatic import ServeStaticASGI

from core.body_limit import BodyLimit

# In front of Django, not among its middleware: an asynchronous one there costs every request two thread hops.
files = ServeStaticASGI(get_asgi_application())
for storage in AppDirectoriesFinder().storages.values():
    files.add_files(storage.location, prefix=settings.STATIC_URL)

application = BodyLimit(files, settings.APG_MAX_BODY_BYTES)
