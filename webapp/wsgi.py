"""The server entry for gunicorn."""

import os

import cv2
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
cv2.setNumThreads(1)  # the server has threads of its own
application = get_wsgi_application()
