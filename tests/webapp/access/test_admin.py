"""The admin: what is changed there is recorded with its values; who may change people is no matter of staff."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User

from tests.recorded import recorded
from webapp.audit.models import Action
from webapp.slides.models import Case, Membership, Study


@pytest.fixture
def staff(study):
    user = User.objects.create_user("staff", password="pw", is_staff=True)
    user.user_permissions.set(Permission.objects.all())
    Membership.objects.create(study=study, user=user, role=Membership.Role.MANAGER)
    return user


def test_what_is_changed_in_the_admin_is_recorded_with_its_values(client_of, root, study):
    case, other = Case.objects.create(study=study, identifier="c"), Study.objects.create(name="other")
    address = f"/admin/slides/case/{case.pk}/change/"
    assert client_of(root).post(address, {"identifier": "other name", "study": other.pk}).status_code == 302
    assert [entry[0] for entry in recorded(Action.ADMIN, case)] == ["root"]
    case.refresh_from_db()
    assert (case.study, case.identifier) == (other, "c"), "by its name slides and comparisons know a case"


@pytest.mark.parametrize(
    "asked", ["file_name__startswith=M", "name__regex=%5B", "uploaded_at__year=99999999", "case__identifier=x"]
)
def test_nothing_is_read_letter_by_letter(client_of, staff, root, asked):
    for person in (staff, root):
        assert client_of(person).get(f"/admin/slides/slide/?{asked}").status_code == 400
        assert client_of(person).get("/admin/slides/slide/?state__exact=ready&drawn__exact=0").status_code == 200


def test_the_admin_s_own_log_forgets_what_is_deleted(client_of, root, study, make_slide):
    slide = make_slide()
    client = client_of(root)
    other = Case.objects.create(study=study, identifier="other")
    client.post(f"/admin/slides/slide/{slide.pk}/change/", {"name": "Schmidt", "case": other.pk})
    client.post(f"/admin/slides/case/{other.pk}/change/", {"study": Study.objects.create(name="o").pk})
    assert LogEntry.objects.count() == 2
    for address in (f"slide/{slide.pk}", f"case/{other.pk}"):
        assert client.post(f"/admin/slides/{address}/delete/", {"post": "yes"}).status_code == 302
    assert not LogEntry.objects.exists()


def test_staff_make_no_superusers(client_of, staff, alice):
    client = client_of(staff)
    assert client.get("/admin/auth/user/").status_code == 200  # to choose members
    for address in (f"{alice.pk}/change/", f"{alice.pk}/password/", f"{alice.pk}/delete/", "add/"):
        assert client.post(f"/admin/auth/user/{address}", {"is_superuser": "on", "username": "x"}).status_code == 403
    assert client.get("/admin/auth/group/").status_code == 403
    assert not User.objects.filter(is_superuser=True).exists()


def test_nothing_is_moved_where_the_person_is_no_manager(client_of, staff, study):
    other = Study.objects.create(name="other")
    Membership.objects.create(study=other, user=staff, role=Membership.Role.VIEWER)
    case = Case.objects.create(study=study, identifier="c")
    client_of(staff).post(f"/admin/slides/case/{case.pk}/change/", {"identifier": "c", "study": other.pk})
    case.refresh_from_db()
    assert case.study == study


def test_a_member_is_not_told_which_accounts_there_are(client_of, alice, study):
    answers = [client_of(alice).put(f"/api/v1/studies/{study.pk}/members/{name}/") for name in ("alice", "nobody")]
    assert [answer.status_code for answer in answers] == [403, 403]
    assert answers[0].json() == answers[1].json()
