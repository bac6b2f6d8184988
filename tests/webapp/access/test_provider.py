"""Sign-in by the hospital's provider, over HTTP with a provider that the test serves."""

from __future__ import annotations

import urllib.error
import urllib.request
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.recorded import recorded
from tests.webapp.access.provider import CLIENT, SECRET, Provider
from webapp.access.models import ProviderIdentity
from webapp.audit.models import Action
from webapp.slides.models import Membership, Study
from webapp.slides.provider_groups import read_groups

GROUPS = """
administrators = ["mitoscope-admins"]
[[role]]
group = "pathology"
study = "Breast"
role = "reader"
[[role]]
group = "heads"
study = "Breast"
role = "manager"
[[role]]
group = "students"
study = "Teaching"
role = "viewer"
"""


@pytest.fixture
def provider(settings, db):
    provider = Provider()
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = provider.issuer, CLIENT, SECRET
    yield provider
    provider.close()


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def there(client: Client, then: str = "") -> str:
    """To the provider; the address to which it sends the browser back."""
    address = client.get("/provider/", {"next": then})["Location"]
    try:
        urllib.request.build_opener(_Stay).open(address)
    except urllib.error.HTTPError as answer:
        return answer.headers["Location"]
    raise AssertionError("the provider did not send the browser back")


def sign_in(client: Client, then: str = ""):
    back = urlsplit(there(client, then))
    return client.get(f"{back.path}?{back.query}")


def problem(answer, client: Client) -> str:
    assert answer["Location"] == "/login/"
    return client.get("/login/").content.decode()


def test_who_comes_for_the_first_time_gets_an_account_and_is_known_again(provider):
    client = Client()
    answer = sign_in(client, "/jobs/")
    assert (answer.status_code, answer["Location"]) == (302, "/jobs/")
    assert client.get("/jobs/").status_code == 200
    dora = User.objects.get()
    assert (dora.username, dora.email, dora.has_usable_password()) == ("dora", "dora@example.org", False)
    provider.claims["preferred_username"] = "dora-married"  # names change, the subject does not
    assert sign_in(Client())["Location"] == "/"
    assert User.objects.get() == dora
    assert [who for who, _, _ in recorded(Action.SIGNED_IN)] == ["dora", "dora"]


def test_nobody_gets_the_account_of_somebody_who_has_the_same_name(provider, root):
    provider.claims["preferred_username"] = "root"
    client = Client()
    said = problem(sign_in(client), client)
    assert "There is an account called root already" in said and "s-1" in said
    assert client.get("/jobs/").status_code == 302
    ProviderIdentity.objects.create(user=root, issuer=provider.issuer, subject="s-1")  # as an administrator does
    assert sign_in(client)["Location"] == "/"


@pytest.mark.parametrize("spoil", [{"aud": "another"}, {"exp": 1}, {"nonce": "another"}, {"iss": "http://elsewhere"}])
def test_a_token_that_is_not_for_this_sign_in_lets_nobody_in(provider, spoil):
    provider.spoil, client = spoil, Client()
    assert "did not sign you in" in problem(sign_in(client), client)
    assert not User.objects.exists() and len(recorded(Action.SIGN_IN_FAILED)) == 1


def test_an_answer_to_somebody_elses_question_lets_nobody_in(provider):
    back = urlsplit(there(Client()))
    other = Client()
    other.get("/provider/")
    assert "was not begun in this browser" in problem(other.get(f"{back.path}?{back.query}"), other)
    assert not User.objects.exists()


def test_who_is_locked_here_stays_locked(provider):
    sign_in(Client())
    User.objects.update(is_active=False)
    client = Client()
    assert "not in use" in problem(sign_in(client), client)


def test_a_provider_that_is_away_and_an_address_elsewhere(provider, settings):
    assert sign_in(Client(), "https://evil.example.org/")["Location"] == "/"
    settings.OIDC_ISSUER = "http://127.0.0.1:9"
    client = Client()
    assert "does not answer" in problem(client.get("/provider/"), client)
    settings.OIDC_ISSUER = ""
    assert client.get("/provider/").status_code == 404


def test_groups_give_roles_and_take_them(provider, settings, study, tmp_path):
    (tmp_path / "groups.toml").write_text(GROUPS)
    settings.OIDC_GROUPS = str(tmp_path / "groups.toml")
    elsewhere = Study.objects.create(name="Elsewhere")

    def roles(*groups):
        provider.claims["groups"] = list(groups)
        sign_in(Client())
        return dict(Membership.objects.values_list("study__name", "role")), User.objects.get().is_superuser

    assert roles("pathology", "others") == ({"Breast": "reader"}, False)
    Membership.objects.create(study=elsewhere, user=User.objects.get(), role="viewer")
    assert roles("heads", "pathology") == ({"Breast": "manager", "Elsewhere": "viewer"}, False)
    assert roles("students", "mitoscope-admins") == ({"Teaching": "viewer", "Elsewhere": "viewer"}, True)
    assert roles() == ({"Elsewhere": "viewer"}, False)
    assert [after["role"] for _, _, after in recorded(Action.ROLE, study)] == ["reader", "manager", None]


@pytest.mark.parametrize(
    ("text", "words"),
    [("[[role]]\ngroup = 'g'\n", "a group, a study and a role"), ("administrators = 'x'", "a list of names"),
     ("[[role]]\ngroup='g'\nstudy='s'\nrole='king'", "the roles are viewer"), ("x = ", "cannot be read")],
)  # fmt: skip
def test_a_file_of_groups_that_is_wrong_says_where(tmp_path, text, words):
    (tmp_path / "g.toml").write_text(text)
    with pytest.raises(ValueError, match=words):
        read_groups(tmp_path / "g.toml")


def test_roles_are_the_persons_own_whoever_is_signed_in_in_that_browser(provider, settings, study, tmp_path, root):
    (tmp_path / "groups.toml").write_text(GROUPS)
    settings.OIDC_GROUPS = str(tmp_path / "groups.toml")
    provider.claims["groups"] = ["heads", "mitoscope-admins"]
    client = Client()
    client.force_login(root)
    sign_in(client)
    assert recorded(Action.ROLE)[-1][0] == "dora"
    assert {who for who, before, _ in recorded(Action.PERSON) if before and "is_superuser" in before} == {"dora"}
    User.objects.filter(username="dora").update(is_active=False)
    sign_in(Client())
    assert recorded(Action.SIGN_IN_REFUSED)[-1] == ("dora", None, {"why": "the account is not in use"})
    User.objects.filter(username="dora").update(is_active=True)
    (tmp_path / "groups.toml").write_text("x = ")
    sign_in(Client())
    assert "cannot be read" in recorded(Action.SIGN_IN_REFUSED)[-1][2]["why"]


@pytest.mark.parametrize(
    "claims",
    [{"email": "a" * 300 + "@example.org"}, {"email": "do\0ra@example.org"}, {"given_name": "Do\0ra" + "x" * 400},
     {"email": ["dora"]}, {"preferred_username": "do\0\u202era"}],
)  # fmt: skip
def test_claims_that_cannot_be_kept_are_cut_or_left_out(provider, claims):
    provider.claims.update(claims)
    assert sign_in(Client())["Location"] == "/"
    dora = User.objects.get()
    assert dora.username == "dora" and len(dora.first_name) <= 150 and "\0" not in dora.first_name + dora.email


@pytest.mark.parametrize("claims", [{"sub": "s" * 300}, {"sub": "s\0"}])
def test_a_subject_that_cannot_be_kept_lets_nobody_in(provider, claims):
    provider.claims.update(claims)
    client = Client()
    assert "cannot be kept" in problem(sign_in(client), client)
    assert not User.objects.exists()


def test_coming_back_from_nowhere_counts_as_no_failure_of_an_address(provider):
    client = Client()
    for _ in range(55):
        assert client.get("/provider/callback/?code=x&state=y").status_code == 302
    assert not recorded(Action.SIGN_IN_FAILED)


def test_who_fails_at_the_provider_is_recorded_and_in_the_end_not_any_more(provider):
    client = Client()
    for _ in range(55):
        back = urlsplit(there(client))
        state = parse_qs(back.query)["state"][0]
        assert client.get(f"{back.path}?code=wrong&state={state}").status_code == 302
    assert len(recorded(Action.SIGN_IN_FAILED)) == 50


def test_groups_that_cannot_be_read_let_nobody_in_and_are_said(provider, settings, tmp_path):
    settings.OIDC_GROUPS = str(tmp_path / "away.toml")
    client = Client()
    assert "tell an administrator" in problem(sign_in(client), client)


def test_groups_that_are_too_many_to_be_named_take_no_role(provider, settings, study, tmp_path):
    (tmp_path / "groups.toml").write_text(GROUPS)
    settings.OIDC_GROUPS, provider.claims["groups"] = str(tmp_path / "groups.toml"), ["pathology"]
    sign_in(Client())
    del provider.claims["groups"]
    provider.claims["_claim_names"] = {"groups": "elsewhere"}
    assert sign_in(Client())["Location"] == "/login/"
    assert Membership.objects.get().role == "reader"


@pytest.mark.parametrize("groups", ["pathology", 5, {"a": 1}, None])
def test_groups_that_are_no_list_are_taken_as_one_or_none(provider, settings, study, tmp_path, groups):
    (tmp_path / "groups.toml").write_text(GROUPS)
    settings.OIDC_GROUPS, provider.claims["groups"] = str(tmp_path / "groups.toml"), groups
    assert sign_in(Client())["Location"] == "/"
    assert Membership.objects.exists() == (groups == "pathology")
