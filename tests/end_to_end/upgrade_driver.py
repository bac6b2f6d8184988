"""A process of the present code on a data folder: a line of JSON is a list of steps, answered by a line of answers."""

from __future__ import annotations

import base64
import io
import json
import sys

import django

django.setup()

from django.contrib.auth import get_user_model  # noqa: E402  settings must be there first
from django.core.files.uploadedfile import SimpleUploadedFile  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.management.color import no_style  # noqa: E402
from django.db import connections, transaction  # noqa: E402
from django.db.migrations.executor import MigrationExecutor  # noqa: E402
from django.db.migrations.recorder import MigrationRecorder  # noqa: E402
from django.test import Client  # noqa: E402


def manage(name, *arguments, **options):
    call_command(name, *arguments, **options, stdout=io.StringIO())


def task(name, shard):
    from worker.app import app

    app.tasks[name](shard_pk=shard)


def call(method, path, token="", headers=None, data=None, kind="application/json", raw=None):
    client.cookies.clear()
    headers = {**(headers or {}), **({"authorization": f"Token {token}"} if token else {})}
    if raw is not None:
        data = base64.b64decode(raw)
    given = {} if data is None else {"data": data, "content_type": kind}
    return packed(getattr(client, method)(path, **given, headers=headers))


def packed(answer):
    body = b"".join(answer) if answer.streaming else answer.content
    return {"status": answer.status_code, "headers": dict(answer.headers), "body": base64.b64encode(body).decode()}


def page(path, file=None):
    client.force_login(get_user_model().objects.get(username="admin"))
    if file is None:
        answer = client.get(path)
    else:
        answer = client.post(path, {"file": SimpleUploadedFile("report.pdf", base64.b64decode(file))})
    return packed(answer)


def copy(sqlite):
    """As a PostgreSQL of that version: the migrations that the SQLite file had, and then its rows."""
    connections.settings["old"] = {
        **connections.settings["default"],
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": sqlite,
        "OPTIONS": {},
    }
    new, old = connections["default"], connections["old"]
    applied = sorted(MigrationRecorder(old).applied_migrations())
    executor = MigrationExecutor(new)
    apps = executor.migrate(list(dict(applied).items())).apps
    models = apps.get_models(include_auto_created=True)
    with transaction.atomic():
        for model in models:
            for row in model._base_manager.using("old").order_by("pk"):
                row.save_base(raw=True, using="default", force_insert=True)
        for line in new.ops.sequence_reset_sql(no_style(), models):
            new.cursor().execute(line)
    old.close()
    del connections.settings["old"]


client = Client(SERVER_NAME="localhost", raise_request_exception=False)
doors = {"manage": manage, "task": task, "call": call, "page": page, "copy": copy}
for line in sys.stdin:
    answers = [doors[door](*given, **named) for door, given, named in json.loads(line)]
    print(json.dumps(answers), flush=True)  # noqa: T201
