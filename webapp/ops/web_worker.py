"""The worker class of the web server: connections spread evenly over its processes.

All processes wait at one socket, and the one that runs already is the first to see a new connection. So one process
got all the connections of a browser, which it keeps open, and the others none. SO_REUSEPORT would spread them too, but
loses those that wait at a process when it ends.
"""

from __future__ import annotations

import time
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

_SECONDS = 0.0003  # for each connection that it has
_MOST = 20  # of these


class EvenWorker(ThreadWorker):  # type: ignore[misc]  # its types are not known
    """Leaves a new connection to the others for a moment, the longer the more connections it has."""

    def accept(self, listener: Any) -> None:
        """Accept a connection that is still there."""
        time.sleep(_SECONDS * min(self.nr_conns, _MOST))
        super().accept(listener)
