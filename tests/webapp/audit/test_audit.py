"""The audit table: written with what it records, chained, never changed, searched and exported by administrators."""

from __future__ import annotations

import csv
import io
import json
import threading
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.db import DatabaseError, OperationalError, connection, transaction
from django.test import Client

from tests.recorded import recorded, take_guards_away
from webapp.access.services import token_make
from webapp.annotations.models import Label, Region
from webapp.annotations.services import figure_judge, region_draw, region_remove
from webapp.audit.models import Action, Entry
from webapp.audit.services import audit_faults, audit_head, chain_on, record, record_many
from webapp.core import environment
from webapp.core.errors import DomainError
from webapp.jobs.models import Job
from webapp.slides.models import Slide
from webapp.slides.services import slide_delete


@pytest.fixture
def entries(db, root):
    for number in range(5):
        record(Action.SETTINGS, who=root, after={"number": number})
    chain_on()
    return list(Entry.objects.order_by("number"))


def behind_its_back(sql, *values):
    """What somebody does who may write into the database, and takes its guards away first."""
    take_guards_away()
    with connection.cursor() as cursor:
        cursor.execute(sql, values)


def test_what_is_written_is_whole(entries):
    assert [one.number for one in entries] == [*range(entries[0].number, entries[0].number + len(entries))]
    assert not list(audit_faults(head=audit_head()))
    call_command("audit_verify", stdout=(out := io.StringIO()))
    number, chain = audit_head()
    assert f"{number}:{chain}" in out.getvalue()


@pytest.mark.parametrize("field", ["who", "origin", "action", "object", "before", "after", "at"])
def test_a_changed_entry_is_named(entries, field):
    value = "'2020-01-01 00:00:00+00:00'" if field == "at" else "'another'"
    behind_its_back(f"UPDATE audit_entry SET {field} = {value} WHERE number = %s", entries[2].number)
    (fault,) = audit_faults()
    assert fault.startswith(f"Entry {entries[2].number} (") and "was changed" in fault


def test_an_entry_that_is_not_there_any_more_is_named(entries):
    behind_its_back("DELETE FROM audit_entry WHERE number = %s", entries[2].number)
    (fault,) = audit_faults()
    assert f"1 entry is missing before entry {entries[3].number}" in fault


def test_entries_in_another_order_break_the_chain(entries):
    one, other = entries[1].pk, entries[2].pk
    number = entries[1].number
    for pk, value in ((one, 10**6), (other, number), (one, number + 1)):
        behind_its_back("UPDATE audit_entry SET number = %s WHERE id = %s", value, pk)
    assert any(f"The chain breaks at entry {number} (" in fault for fault in audit_faults())


def test_an_end_that_was_cut_off_is_seen_by_what_was_noted(entries, settings):
    head = audit_head()
    behind_its_back("DELETE FROM audit_entry WHERE number > %s", entries[3].number)
    (beside_the_key,) = audit_faults()
    settings.AUDIT_HEAD.unlink()  # who can do this needs what was noted elsewhere
    assert not list(audit_faults())
    (fault,) = audit_faults(head=head)
    assert fault == beside_the_key
    assert str(head[0]) in fault
    with pytest.raises(CommandError, match="1 faults"):
        call_command("audit_verify", head=f"{head[0]}:{head[1]}", stderr=(said := io.StringIO()))
    assert fault in said.getvalue()


def test_an_end_that_was_cut_off_is_not_forgotten_when_the_table_grows_on(entries, root):
    behind_its_back("DELETE FROM audit_entry WHERE number > %s", audit_head()[0] - 3)
    for _ in range(6):
        record(Action.ADMIN, root)
        chain_on()
    assert any("the end was cut off" in fault for fault in audit_faults())


@pytest.mark.parametrize("note", [b"", b"\xff\xfe", "²:abc".encode(), b"many:x"])
def test_a_note_of_the_end_that_is_none_is_said_and_stays(entries, root, settings, note):
    settings.AUDIT_HEAD.write_bytes(note)
    record(Action.SETTINGS, who=root)
    chain_on()
    assert settings.AUDIT_HEAD.read_bytes() == note
    assert any("holds no end of the chain" in fault for fault in audit_faults())


def test_odd_characters_in_seal_and_chain_are_named(entries):
    behind_its_back("UPDATE audit_entry SET chain = 'é', seal = 'é' WHERE number = %s", entries[2].number)
    faults = list(audit_faults())
    assert any(f"breaks at entry {entries[2].number}" in one for one in faults)
    assert any(f"Entry {entries[2].number} (" in one and "was changed" in one for one in faults)


def test_a_chain_that_was_made_anew_without_an_entry_is_seen(entries):
    behind_its_back("DELETE FROM audit_entry WHERE number = %s", entries[1].number)
    behind_its_back("UPDATE audit_entry SET number = NULL, chain = '' WHERE number > %s", entries[1].number)
    chain_on()  # as the program does with what a killed process has left
    (fault,) = audit_faults()
    assert "is not the one that was noted" in fault


def test_a_copy_of_an_entry_is_named(entries):
    copy = Entry.objects.get(pk=entries[0].pk)
    copy.pk, copy.number, copy.chain = None, None, ""
    Entry.objects.bulk_create([copy])
    assert "not written by this program" in next(iter(audit_faults()))
    chain_on()
    assert "is a copy of an earlier one" in next(iter(audit_faults()))


def test_an_entry_without_a_place_is_told_of_after_a_while(entries, root, monkeypatch):
    record(Action.SETTINGS, who=root)
    assert not list(audit_faults())
    monkeypatch.setattr("webapp.audit.services._PATIENCE", timedelta(0))
    assert "has no number" in next(iter(audit_faults()))


def test_thousands_of_entries_are_chained_in_parts(db, root):
    record_many(Action.SETTINGS, [(None, None, {"number": number}) for number in range(2500)], who=root)
    chain_on()
    assert not Entry.objects.filter(number=None).exists() and not list(audit_faults(head=audit_head()))


def test_an_entry_from_elsewhere_is_named_before_and_after_it_is_chained(entries):
    copy = Entry.objects.get(pk=entries[0].pk)
    copy.pk, copy.number, copy.chain, copy.who = None, None, "", "mallory"
    Entry.objects.bulk_create([copy])
    assert "mallory" in next(iter(audit_faults()))
    chain_on()
    assert "mallory" in next(iter(audit_faults()))


@pytest.mark.parametrize(
    "sql", ["UPDATE audit_entry SET who = 'x'", "DELETE FROM audit_entry", "UPDATE audit_entry SET number = number + 9"]
)
def test_the_database_refuses_changes(entries, sql):
    if connection.vendor == "sqlite" and sql.startswith("DELETE"):
        pytest.skip("the tests take this guard away, as they empty tables by deleting")
    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql.format("audit_entry"))
    with pytest.raises(TypeError):
        entries[0].delete()
    assert not list(audit_faults())


def test_an_entry_and_what_it_records_are_there_both_or_neither(make_slide, make_run, alice):
    slide = make_slide()
    make_run(slide, [(100, 100, 0.9)])
    with pytest.raises(RuntimeError), transaction.atomic():
        figure_judge(slide=slide, by=alice, x=100, y=100, label=Label.MITOTIC)
        raise RuntimeError
    assert not recorded(Action.VERDICT)
    figure_judge(slide=slide, by=alice, x=100, y=100, label=Label.MITOTIC)
    with pytest.raises(DomainError):
        figure_judge(slide=slide, by=alice, x=100, y=100, label=Label.NON_MITOTIC)
    ((who, before, after),) = recorded(Action.VERDICT, slide)
    assert (who, before["verdict"], after["verdict"], after["version"]) == ("alice", "", "mitotic", 1)


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_each_gets_its_place(root):
    if connection.vendor != "postgresql":
        pytest.skip("the tests' SQLite is in memory, where two connections do not wait for each other")

    def write():
        for _ in range(10):
            with transaction.atomic():
                record(Action.SETTINGS, who=root)
        connection.close()

    before = Entry.objects.count()
    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Entry.objects.count() == before + 40 and not Entry.objects.filter(number=None).exists()
    assert not list(audit_faults(head=audit_head()))


def test_what_people_do_is_recorded(client_of, make_slide, make_run, alice, root, study):
    slide = make_slide()
    make_run(slide, [(100, 100, 0.9)])
    page = client_of(alice)
    page.get(f"/slides/{slide.pk}/")
    page.get(f"/api/v1/slides/{slide.pk}/export/?format=csv")
    region = region_draw(slide=slide, by=alice, kind=Region.Kind.TUMOUR, polygon=[[0, 0], [50, 0], [0, 50]])
    region_remove(region=region, by=alice)
    for action in (Action.SLIDE_OPENED, Action.EXPORTED, Action.REGION_DRAWN, Action.REGION_REMOVED):
        assert [who for who, _, _ in recorded(action, slide)] == ["alice"], action
    client_of(root).post("/admin/auth/group/add/", {"name": "pathologists"})
    assert recorded(Action.SLIDE_OPENED, slide) == [("alice", None, None)]
    ((who, _, after),) = recorded(Action.ADMIN)
    assert (who, after["what"]) == ("root", "Addition")
    slide_delete(slide=Slide.objects.get())
    assert recorded(Action.SLIDE_DELETED, slide) and recorded(Action.SLIDE_OPENED, slide)


def test_an_entry_says_from_where(settings, alice, make_slide):
    slide, client = make_slide(), Client(REMOTE_ADDR="10.1.1.1", headers={"X-Forwarded-For": "6.6.6.6, 192.0.2.7"})
    client.force_login(alice)
    client.get(f"/slides/{slide.pk}/", headers={"X-Request-ID": "r1"})
    settings.PROXIES = 1
    client.get(f"/slides/{slide.pk}/")
    settings.PROXIES = 3  # more than there are: the header is of somebody else
    client.get(f"/slides/{slide.pk}/")
    opened = Entry.objects.filter(action=Action.SLIDE_OPENED).order_by("id")
    assert [one.origin for one in opened] == ["10.1.1.1", "192.0.2.7", "10.1.1.1"]
    assert opened[0].request == "r1"


def test_administrators_search_and_take_it_away(client_of, root, alice, make_slide):
    slide = make_slide("=1+1.tif")
    record(Action.VERDICT, slide, who=alice, after={"verdict": "mitotic"})
    record(Action.SIGN_IN_FAILED, named="<script>")
    page = client_of(root)
    shown = page.get("/audit/", {"search": str(slide.pk)}).content.decode()
    assert "mitotic" in shown and "<script>" not in shown.replace('<script src="', "")
    assert "alice" not in page.get("/audit/", {"who": "bob"}).content.decode()
    assert "A date is a year" in page.get("/audit/", {"since": "2026-13-40"}).content.decode()
    assert page.get("/audit/", {"action": "none such"}).status_code == 200
    rows = list(csv.DictReader(io.StringIO(page.get("/audit/?as=csv").getvalue().decode())))
    assert next(row for row in rows if row["action"] == "verdict")["object"] == "'=1+1.tif"
    lines = [json.loads(line) for line in page.get("/audit/?as=jsonl&who=alice").getvalue().decode().splitlines()]
    assert [line["object_id"] for line in lines if line["action"] == "verdict"] == [str(slide.pk)]
    assert len(recorded(Action.EXPORTED)) == 2
    assert client_of(alice).get("/audit/").status_code == 403
    assert client_of(None).get("/audit/").status_code == 302


def test_a_line_of_the_log_is_not_forged_by_an_address(client_of, alice, capsys):
    import logging

    from webapp.core.logs import PlainFormatter

    line = PlainFormatter("%(levelname)s %(message)s").format(
        logging.makeLogRecord({"levelname": "INFO", "msg": "GET %s", "args": ("/a\n2026 INFO forged\x1b[2J",)})
    )
    assert line == "INFO GET /a\\n2026 INFO forged\\x1b[2J"


def test_who_takes_pixels_without_the_page_has_looked_at_the_slide(client_of, alice, make_slide):
    slide = make_slide()
    for address in ("tiles_files/8/0_0.jpeg", "crop.jpeg?x=100&y=100", "tiles_files/9/0_0.jpeg"):
        assert client_of(alice).get(f"/api/v1/slides/{slide.pk}/{address}").status_code == 200
    assert recorded(Action.SLIDE_OPENED, slide) == [("alice", None, {"by": "its pixels"})]


def test_who_looks_while_the_database_is_locked_is_recorded_when_it_is_not(client_of, alice, make_slide, monkeypatch):
    slide = make_slide()
    tile = f"/api/v1/slides/{slide.pk}/tiles_files/8/0_0.jpeg"
    client = client_of(alice)
    client.raise_request_exception = False

    def locked(*_, **__):
        raise OperationalError("database is locked")

    with monkeypatch.context() as broken:
        broken.setattr("webapp.slides.opened.record", locked)
        assert client.get(tile).status_code == 503
    assert client.get(tile).status_code == 200
    assert recorded(Action.SLIDE_OPENED, slide) == [("alice", None, {"by": "its pixels"})]


def test_jobs_deleted_in_the_admin_are_recorded_one_by_one(client_of, root, make_slide):
    jobs = [Job.objects.create(kind=Job.Kind.INGEST, slide=make_slide(name), state="failed") for name in "ab"]
    sent = {"action": "delete_selected", "_selected_action": [job.pk for job in jobs], "post": "yes"}
    client_of(root).post("/admin/jobs/job/", sent)
    assert not Job.objects.exists()
    assert [who for who, _, _ in recorded(Action.DELETED)] == ["root", "root"]


def test_people_their_rights_and_deletions_are_recorded_by_whatever_door(client_of, root, alice, study):
    alice.is_superuser = True
    alice.save()
    assert recorded(Action.PERSON, alice)[-1][1]["is_superuser"] is False
    alice.groups.add(Group.objects.create(name="pathologists"))
    assert recorded(Action.PERSON, alice)[-1][2] == {"group": ["pathologists"]}
    token_make(user=alice)
    people = [User.objects.create_user(f"person {number}").pk for number in range(2)]
    sent = {"action": "delete_selected", "_selected_action": people, "post": "yes"}
    client_of(root).post("/admin/auth/user/", sent)
    assert [who for who, _, _ in recorded(Action.DELETED)] == ["root", "root"]
    alice.delete()
    assert recorded(Action.TOKEN_REVOKED) and recorded(Action.ROLE)[-1][1]["role"] == "reader"


def test_settings_are_recorded_where_they_have_changed_and_secrets_never(db, monkeypatch):
    monkeypatch.setattr("webapp.core.environment._asked", {"PORT": "1"})
    monkeypatch.setenv("SECRET_KEY", "a secret that nobody reads")
    assert environment.text("SECRET_KEY", "") and environment.integer("UPLOAD_DAYS", 7, low=1, high=9) == 7
    call_command("record_settings")
    call_command("record_settings")
    monkeypatch.setenv("UPLOAD_DAYS", "8")
    environment.integer("UPLOAD_DAYS", 7, low=1, high=9)
    call_command("record_settings")
    (_, nothing, first), (_, before, after) = recorded(Action.SETTINGS)
    assert (nothing, first["all"]) == (None, {"PORT": "1", "UPLOAD_DAYS": "7"})
    assert (before, after["changed"]) == ({"UPLOAD_DAYS": "7"}, {"UPLOAD_DAYS": "8"})


def test_limits_that_are_named_after_a_person_are_no_secrets(monkeypatch, tmp_path):
    monkeypatch.setattr("webapp.core.environment._asked", {})
    (tmp_path / "zone").write_text("Europe/Vienna\n")
    monkeypatch.setenv("TIME_ZONE_FILE", str(tmp_path / "zone"))
    for name in ("JOBS_PER_USER", "TIME_ZONE", "DATABASE_URL", "EMAIL_PASSWORD", "S3_ACCESS_KEY"):
        environment.text(name, "7")
    assert environment.asked() == {"JOBS_PER_USER": "7", "TIME_ZONE": "Europe/Vienna"}
