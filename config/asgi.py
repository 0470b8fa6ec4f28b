"""The ASGI application that the web server runs: static files, then Django."""

import gc
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django
from django.conf import settings
from django.contrib.staticfiles.finders import AppDirectoriesFinder
from servestatic import ServeStaticASGI

from core.body_limit import BodyLimit
from core.threaded_handler import ThreadedHandler

django.setup(set_prefix=False)

# In front of Django, not among its middleware: files need no thread.
files = ServeStaticASGI(ThreadedHandler(settings.WEB_THREADS))
for storage in AppDirectoriesFinder().storages.values():
    files.add_files(storage.location, prefix=settings.STATIC_URL)

application = BodyLimit(files, settings.APG_MAX_BODY_BYTES)

# What is loaded now stays for ever: full collections need not walk it each time, a tenth of a second in which no
# request is served.
gc.collect()
gc.freeze()
