"""The ASGI application that the web server runs: static files, Django, and the sockets."""

import gc
import os
from wsgiref.headers import Headers

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django
from channels.routing import ProtocolTypeRouter
from django.conf import settings
from django.contrib.staticfiles.finders import AppDirectoriesFinder
from servestatic import ServeStaticASGI

from core import measures
from core.front_door import FrontDoor
from core.metrics_sending import sender
from core.security_headers import PLAIN
from core.threaded_handler import ThreadedHandler

django.setup(set_prefix=False)

from config.sockets import sockets  # noqa: E402 - its models need Django set up


def _protect(headers: Headers, path: str, url: str) -> None:
    for name, value in PLAIN.items():
        headers[name] = value


measures.WEB_PROCESSES.tell(lambda: 1)
sender.keep_sending()

handler = ThreadedHandler(settings.WEB_THREADS)
# In front of Django, not among its middleware: files need no thread.
files = ServeStaticASGI(handler, add_headers_function=_protect)
for storage in AppDirectoriesFinder().storages.values():
    files.add_files(storage.location, prefix=settings.STATIC_URL)

application = FrontDoor(ProtocolTypeRouter({"http": files, "websocket": sockets}), handler, settings.APG_MAX_BODY_BYTES)

# What is loaded now stays for ever: full collections need not walk it each time, a tenth of a second in which no
# request is served.
gc.collect()
gc.freeze()
