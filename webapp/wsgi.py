"""The server entry for gunicorn."""

import os
import sys

import cv2
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
cv2.setNumThreads(1)  # the server has threads of its own
sys.setswitchinterval(0.0005)  # s; an answer of 3 ms waits for a calculation at every turn, for 5 ms each by default
application = get_wsgi_application()
