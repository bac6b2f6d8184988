"""All settings, from environment variables with defaults that run. `.env.example` lists them."""

from __future__ import annotations

import contextlib
import os
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any

import dj_database_url
import django_stubs_ext
from botocore.config import Config

from detector import paper
from webapp.core import environment
from webapp.results.rules import BUILT_IN, read_rules

django_stubs_ext.monkeypatch()  # lets admin classes name their model for the type checker

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(environment.text("DATA_DIR", str(BASE_DIR / "var"))).resolve()
UPLOAD_DIR = DATA_DIR / "uploads"
SLIDE_DIR = DATA_DIR / "slides"
DICOM_DIR = DATA_DIR / "dicom"  # what came by DICOMweb and is no slide yet
SET_DIR = DATA_DIR / "sets"  # labelled sets that were imported
TRAINING_DIR = DATA_DIR / "trainings"
MODEL_DIR = Path(environment.text("MODEL_DIR", str(BASE_DIR / "detector" / "weights"))).resolve()

S3_BUCKET = environment.text("S3_BUCKET", "")  # empty: slides are kept in SLIDE_DIR
SLIDE_CACHE_BYTES = environment.integer("SLIDE_CACHE_GB", 100, low=1, high=1_000_000) * 1024**3
MAX_UPLOAD_BYTES = environment.integer("MAX_UPLOAD_GB", 50, low=1, high=10_000) * 1024**3
USER_QUOTA_BYTES = environment.integer("USER_QUOTA_GB", 2000, low=1, high=1_000_000) * 1024**3
UPLOADS_PER_USER = environment.integer("UPLOADS_PER_USER", 1000, low=1, high=1_000_000)  # unfinished ones
UPLOAD_KEPT = timedelta(days=environment.integer("UPLOAD_DAYS", 7, low=1, high=365))
WATCH_FOLDER = environment.text("WATCH_FOLDER", "")  # from which slides come in by themselves: `import_slides`
WATCH_STUDY = environment.text("WATCH_STUDY", "")
WATCH_PATTERN = environment.text("WATCH_PATTERN", "")
WATCH_IN_PLACE = environment.boolean("WATCH_IN_PLACE", False)
WATCH_SECONDS = environment.integer("WATCH_SECONDS", 30, low=1, high=86_400)
DEMO_SLIDE_PIXELS = environment.integer("DEMO_SLIDE_PIXELS", 20_000, low=0, high=100_000)  # 0: no demonstration slide
DETECT_SHARDS = environment.integer("DETECT_SHARDS", 1, low=1, high=256)
JOBS_PER_USER = environment.integer("JOBS_PER_USER", 10_000, low=1, high=10_000_000)
LEASE_SECONDS = environment.integer("LEASE_SECONDS", 120, low=5, high=3600)
STORED_SCORE_FLOOR = paper.STORED_SCORE_FLOOR  # candidates below are not kept
DEFAULT_MIN_SCORE = paper.SCORE_THRESHOLD
MATCH_RADIUS_UM = paper.um(paper.MATCH_RADIUS)
MINING_FIRST_LOOK, MINING_AGREEMENT = paper.MINING_FIRST_LOOK, paper.MINING_AGREEMENT
HOTSPOT_MM2 = 2.0  # about ten high-power fields of 0.5 mm; a rule for another area brings its own

_own_rules = environment.text("SCORE_RULES", "")
try:
    SCORE_RULES = read_rules(BUILT_IN, *([Path(_own_rules)] if _own_rules else []))
except ValueError as error:
    raise SystemExit(str(error)) from error
CALLS_PER_MINUTE = environment.integer("CALLS_PER_MINUTE", 30_000, low=0, high=10_000_000)  # of one person; 0: any
CALLS_PER_MINUTE_UNKNOWN = environment.integer("CALLS_PER_MINUTE_UNKNOWN", 600, low=0, high=10_000_000)
PROXIES = environment.integer("PROXIES", 0, low=0, high=10)  # in front of the web, that add to X-Forwarded-For
DICOM_PATIENT_ID = environment.choice("DICOM_PATIENT_ID", "pseudonym", of=("pseudonym", "file"))  # in DICOM exports
SCORE_RULE = environment.text("SCORE_RULE", "per-mm2")  # which of them holds where nobody names another
if SCORE_RULE not in SCORE_RULES:
    raise SystemExit(f"SCORE_RULE={SCORE_RULE} is not known; there are {', '.join(SCORE_RULES)}")


_KEY_LENGTH = 20  # characters; fewer can be guessed
_LOST = {
    "secret_key": "everybody signs in anew",
    "signing_key": "reports and audit entries from before do not pass their checks any more",
}


def _key(given: str, name: str) -> str:
    """The key that was given, else one made at first run and kept beside the data under this name."""
    if given:
        if _is_guessed(given):
            raise SystemExit(
                f"{name.upper()} has {len(given)} characters, {len(set(given))} different ones, and is guessed; give "
                f"it {_KEY_LENGTH} or more, or none: one is made then, and kept beside the data. With another one "
                f"{_LOST[name]}"
            )
        return given
    path = DATA_DIR / name
    try:
        DATA_DIR.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make_key(path)
        key = path.read_text("utf-8")
    except OSError as error:
        raise SystemExit(
            f"DATA_DIR={DATA_DIR} cannot be written ({error.strerror}); name a folder of your own"
        ) from error
    if _is_guessed(key):
        raise SystemExit(
            f"{path} holds no key (was the disk full, or a copy broken off?); put it back from a backup. With a "
            f"new one, which is made where there is no such file, {_LOST[name]}"
        )
    return key


def _is_guessed(key: str) -> bool:
    return len(key.strip()) < _KEY_LENGTH or len(set(key)) < _KEY_LENGTH // 3


def _make_key(path: Path) -> None:
    """Whole or not at all, and the same one for processes that start at the same moment."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    partial.touch(mode=0o600)
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(secrets.token_urlsafe(50))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(partial, path)
    finally:
        partial.unlink()


SECRET_KEY = _key(environment.text("SECRET_KEY", ""), "secret_key")
SIGNING_KEY = _key(environment.text("SIGNING_KEY", ""), "signing_key")  # of the seals of reports; never in the database
AUDIT_HEAD = DATA_DIR / "audit_head"  # the end of the audit chain, where who has the database alone cannot write
DEBUG = environment.boolean("DEBUG", False)
HTTPS = environment.boolean("HTTPS", False)
ALLOWED_HOSTS = environment.words("ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]")
if os.environ.get("SCRIPT_NAME", "").strip("/"):
    raise SystemExit(
        f"SCRIPT_NAME={os.environ['SCRIPT_NAME']}: Mitoscope has no path prefix; give it a host name of its own, such "
        "as mitoscope.example.org"
    )
CSRF_TRUSTED_ORIGINS = environment.words("CSRF_TRUSTED_ORIGINS", "")
CORS_ALLOWED_ORIGINS = environment.origins("CORS_ALLOWED_ORIGINS")  # of pages that may call the API, with a token
CORS_URLS_REGEX = r"^/api/"
CORS_ALLOW_HEADERS = [
    "accept", "authorization", "content-type", "idempotency-key", "if-none-match", "if-range", "range", "tus-resumable",
    "upload-checksum", "upload-length", "upload-metadata", "upload-offset", "x-http-method-override",
]  # fmt: skip
CORS_EXPOSE_HEADERS = [
    "content-disposition", "content-range", "etag", "idempotency-replayed", "location", "mitoscope-slide",
    "retry-after", "tus-extension", "tus-max-size", "tus-resumable", "tus-version", "upload-expires", "upload-length",
    "upload-metadata", "upload-offset",
]  # fmt: skip
CSRF_COOKIE_SECURE = SESSION_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^api/v1/health/$"]  # asked for from within
SECURE_HSTS_SECONDS = environment.integer("HSTS_SECONDS", 31_536_000, low=0, high=100_000_000) if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = environment.boolean("HSTS_SUBDOMAINS", False)
SILENCED_SYSTEM_CHECKS = [] if SECURE_HSTS_INCLUDE_SUBDOMAINS else ["security.W005", "security.W021"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "corsheaders",
    "rest_framework",
    "knox",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "webapp.audit",
    "webapp.access",
    "webapp.slides",
    "webapp.notices",
    "webapp.registry",
    "webapp.jobs",
    "webapp.annotations",
    "webapp.screening",
    "webapp.reports",
    "webapp.retraining",
    "webapp.intake",
    "webapp.dicomweb",
    "webapp.pages",
    "webapp.ops",
]

MIDDLEWARE = [
    "webapp.core.middleware.request_log",
    "webapp.audit.origin.answered_request",
    "webapp.core.middleware.plain_address",
    "webapp.core.middleware.methods_of_pages",
    "webapp.core.middleware.bodies_without_length",
    "django.middleware.security.SecurityMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "webapp.core.middleware.bodies_of_strangers",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "webapp.access.second_factor.SessionPerson",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "webapp.core.middleware.content_security_policy",
]

ROOT_URLCONF = "webapp.urls"
WSGI_APPLICATION = "webapp.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "webapp.pages.notices.bell",
            ],
        },
    }
]

# By an address, or by its parts, in which any character may stand.
_database_url = environment.text("DATABASE_URL", "")
_database_host = environment.text("DATABASE_HOST", "")
DATABASES: dict[str, Any] = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": _database_host,
        "PORT": environment.text("DATABASE_PORT", ""),
        "NAME": environment.text("DATABASE_NAME", "mitoscope"),
        "USER": environment.text("DATABASE_USER", "mitoscope"),
        "PASSWORD": environment.text("DATABASE_PASSWORD", ""),
    }
    if _database_host and not _database_url
    else dj_database_url.parse(_database_url or f"sqlite:///{DATA_DIR / 'db.sqlite3'}")
}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 30,
        "transaction_mode": "IMMEDIATE",
        # temp_store: what is temporary goes to /var/tmp else, where a confined process cannot write.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA temp_store=MEMORY;",
    }
else:
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    # A host that is cut off is given up by both sides within a minute: here, and in the server, where a transaction
    # that nobody can end would keep its locks.
    DATABASES["default"].setdefault("OPTIONS", {}).update(
        connect_timeout=10,
        keepalives_idle=20,
        keepalives_interval=10,
        keepalives_count=3,
        tcp_user_timeout=50_000,
        # Only `webapp.core.cached_sql` prepares statements: at their first call, with one plan whatever the values are.
        prepare_threshold=0,
        options="-c plan_cache_mode=force_generic_plan -c jit=off -c idle_in_transaction_session_timeout=60s "
        "-c tcp_keepalives_idle=20 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3 -c tcp_user_timeout=50s",
    )
DATABASES["default"]["CONN_MAX_AGE"] = 60  # opening one anew costs more than a tile
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = environment.text("REDIS_URL", "redis://127.0.0.1:6379/0")  # unix:///path for a socket

AUTHENTICATION_BACKENDS = ["webapp.access.sign_in.LimitedBackend"]
SIGN_IN_TRIES = environment.integer("SIGN_IN_TRIES", 5, low=0, high=1000)  # of a name from an address in 15 minutes
# Who must have one; administrators: superusers and staff.
SECOND_FACTOR = environment.choice("SECOND_FACTOR", "optional", of=("optional", "administrators", "everybody"))
OTP_TOTP_ISSUER = "Mitoscope"
OTP_TOTP_THROTTLE_FACTOR = OTP_STATIC_THROTTLE_FACTOR = 0  # its own waits grow for days; SIGN_IN_TRIES limits guesses
AUTH_PASSWORD_VALIDATORS = [
    *(
        {"NAME": f"django.contrib.auth.password_validation.{name}"}
        for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
    ),
    {"NAME": "webapp.access.passwords.EndsTokens"},
]
LOGIN_URL = "login"
OIDC_ISSUER = environment.text("OIDC_ISSUER", "")  # empty: no sign-in by a provider
OIDC_CLIENT_ID, OIDC_CLIENT_SECRET = environment.text("OIDC_CLIENT_ID", ""), environment.text("OIDC_CLIENT_SECRET", "")
OIDC_NAME = environment.text("OIDC_NAME", "your hospital")
OIDC_SCOPE = environment.text("OIDC_SCOPE", "openid profile email")
OIDC_GROUPS_CLAIM = environment.text("OIDC_GROUPS_CLAIM", "groups")
OIDC_GROUPS = environment.text("OIDC_GROUPS", "")
if OIDC_ISSUER and not (OIDC_CLIENT_ID and OIDC_CLIENT_SECRET):
    raise SystemExit("OIDC_ISSUER is set; set OIDC_CLIENT_ID and OIDC_CLIENT_SECRET as well")
EMAIL_HOST = environment.text("EMAIL_HOST", "")  # empty: no mail, and nobody resets a password by it
EMAIL_TIMEOUT, PASSWORD_RESET_TIMEOUT = 10, 3600  # seconds
EMAIL_PORT = environment.integer("EMAIL_PORT", 587, low=1, high=65535)
EMAIL_HOST_USER = environment.text("EMAIL_USER", "")
EMAIL_HOST_PASSWORD = environment.text("EMAIL_PASSWORD", "")
_email_security = environment.choice("EMAIL_SECURITY", "starttls", of=("starttls", "tls", "none"))
EMAIL_USE_TLS, EMAIL_USE_SSL = _email_security == "starttls", _email_security == "tls"
DEFAULT_FROM_EMAIL = environment.text("EMAIL_FROM", "mitoscope@localhost")
SITE_ADDRESS = environment.text("SITE_ADDRESS", "").rstrip("/")
if SITE_ADDRESS and not SITE_ADDRESS.startswith(("https://", "http://")):
    raise SystemExit(f"SITE_ADDRESS={SITE_ADDRESS}: write it as https://mitoscope.example.org")
LOGIN_REDIRECT_URL = "worklist"
LOGOUT_REDIRECT_URL = "login"

LANGUAGE_CODE = "en"
TIME_ZONE = environment.text("TIME_ZONE", "UTC")
USE_TZ = True
USE_I18N = False

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
_NODE = BASE_DIR / "node_modules"
STATICFILES_DIRS = [
    BASE_DIR / "static",
    ("vendor/openseadragon", _NODE / "openseadragon" / "build" / "openseadragon"),
    ("vendor/flatbush", _NODE / "flatbush"),
    ("vendor/tus", _NODE / "tus-js-client" / "dist"),
]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
    "slides": {
        "BACKEND": "storages.backends.s3.S3Storage",  # used where S3_BUCKET is set: webapp.slides.storage
        "OPTIONS": {
            "bucket_name": S3_BUCKET,
            "endpoint_url": environment.text("S3_ENDPOINT", "") or None,
            "region_name": environment.text("S3_REGION", "us-east-1"),
            "access_key": environment.text("S3_ACCESS_KEY", "") or None,
            "secret_key": environment.text("S3_SECRET_KEY", "") or None,
            "client_config": Config(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 3}),
        },
    },
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "webapp.access.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["webapp.api.parsers.UnicodeJSONParser"],
    "DEFAULT_PAGINATION_CLASS": "webapp.api.pagination.LimitOffset",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "webapp.api.errors.problem_details",
    "PAGE_SIZE": 100,
    "DEFAULT_THROTTLE_CLASSES": ["webapp.access.throttle.PerMinute"],
    "NUM_PROXIES": PROXIES,
    "URL_FORMAT_OVERRIDE": None,  # ?format= is a parameter of ours
}
KNOX_TOKEN_MODEL = "knox.AuthToken"  # noqa: S105  a name
REST_KNOX = {"TOKEN_TTL": timedelta(days=90), "AUTH_HEADER_PREFIX": "Token"}
SPECTACULAR_SETTINGS = {
    "TITLE": "Mitoscope",
    "DESCRIPTION": "Mitotic figures on H&E slides: slides, detection jobs, candidates, counts. Research use only.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SERVERS": [{"url": "/", "description": "This server."}],
    "CONTACT": {"name": "The administrator of this server"},
    "LICENSE": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
    "COMPONENT_SPLIT_REQUEST": True,  # a file is sent as bytes and answered as an address
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "webapp.api.openapi.describe_what_all_share",
    ],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "ENUM_NAME_OVERRIDES": {
        "SlideState": "webapp.slides.models.Slide.State",
        "JobState": "webapp.jobs.states.State",
        "ModelState": "webapp.registry.models.ModelVersion.State",
        "Label": "webapp.annotations.models.Label",
        "JudgementVerdict": "webapp.retraining.models.Judgement.Verdict",
    },
}

LOG_FORMAT = environment.choice("LOG_FORMAT", "plain", of=("plain", "json"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {
            "()": "webapp.core.logs.PlainFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
        },
        "json": {"()": "webapp.core.logs.JsonFormatter"},
    },
    "filters": {"about": {"()": "webapp.core.logs.About"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT, "filters": ["about"]}},
    "root": {"handlers": ["console"], "level": "INFO"},
}
