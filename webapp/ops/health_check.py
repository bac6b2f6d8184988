"""`python -m webapp.ops.health_check PORT`: whether the web of this machine answers; exit status 1 where it does not.

It asks by a name that ALLOWED_HOSTS has, whatever that is.
"""

from __future__ import annotations

import sys
import urllib.request

from webapp.core import environment


def main() -> int:
    """Ask once."""
    request = urllib.request.Request(f"http://127.0.0.1:{int(sys.argv[1])}/api/v1/health/")
    request.add_header("Host", _name_of(environment.words("ALLOWED_HOSTS", "")))
    try:
        with urllib.request.urlopen(request, timeout=10):  # noqa: S310  this machine
            return 0
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _name_of(allowed: list[str]) -> str:
    """A host name that the server answers to."""
    name = next((name for name in allowed if name != "*"), "localhost")
    return f"health{name}" if name.startswith(".") else name


if __name__ == "__main__":
    sys.exit(main())
