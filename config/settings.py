"""All settings. Every environment variable is read here and nowhere else (config/embedded.py reads PLUMBLINE_VAR too).

A variable that begins with PLUMBLINE_ and is not known stops the start: a misspelt setting must not pass silently.
"""

from __future__ import annotations

import os
import secrets
import time
from datetime import timedelta
from pathlib import Path

import structlog
from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from environs import Env

from config import embedded

env = Env()
BASE_DIR = Path(__file__).resolve().parent.parent

# ---- what is read from the environment ---------------------------------------------------------------------------

KNOWN = {
    "PLUMBLINE_VAR": "the folder of all state; default: var/ in the project",
    "PLUMBLINE_SECRET_KEY": "signs sessions and links, at least 50 characters; the embedded mode makes one in var/",
    "PLUMBLINE_DEBUG": "Django's debug mode; local hosts only; default: off",
    "PLUMBLINE_HOSTS": "the host names that are served, separated by commas; default: local ones",
    "PLUMBLINE_ORIGINS": "origins that may post, as https://example.org; default: none besides the hosts",
    "PLUMBLINE_HUB_TOKEN": "a token that may write to the hub; read by push_release alone; default: none",
    "PLUMBLINE_HTTPS": "cookies for https only, HSTS and redirect; default: on with DATABASE_URL, off without",
    "PLUMBLINE_BEHIND_PROXY": "trust X-Forwarded-Proto and -For of one proxy in front; default: off",
    "PLUMBLINE_LEADS_NEED_TOTP": "leads and admins need a second factor; default: on with DATABASE_URL, off without",
    "PLUMBLINE_LOG_LEVEL": "DEBUG, INFO, WARNING or ERROR; default: INFO",
    "PLUMBLINE_MODELS": "folders under which local models may lie, separated by commas; default: models/ in the state",
    "PLUMBLINE_EMAIL_URL": "the mail server for password resets, as smtp://user:password@host:port; default: none",
    "PLUMBLINE_EMAIL_FROM": "the sender's address of mails; default: plumbline@localhost",
    "PLUMBLINE_DEVICE": "where a worker computes models: cpu, cuda, cuda:1; default: CUDA where there is one",
    "PLUMBLINE_HUB": "workers may fetch models from the Hugging Face hub, pinned ones only; default: off",
    "PLUMBLINE_ENDPOINT_KEYS": "keys of OpenAI-compatible endpoints, as https://host/v1=key, separated by commas",
    "DATABASE_URL": "PostgreSQL 15 or newer; default: the embedded one under var/",
    "BROKER_URL": "Redis or RabbitMQ; default: folders under var/",
}
_unknown = sorted(name for name in os.environ if name.startswith("PLUMBLINE_") and name not in KNOWN)
if _unknown:
    raise ImproperlyConfigured(
        f"Unknown setting {', '.join(_unknown)}. Known are: {', '.join(sorted(KNOWN))}. Correct the name or unset it."
    )

VAR = embedded.var_folder()
EMBEDDED = not env.str("DATABASE_URL", "")
DEBUG = env.bool("PLUMBLINE_DEBUG", False)
LOCAL_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
ALLOWED_HOSTS = env.list("PLUMBLINE_HOSTS", LOCAL_HOSTS)
CSRF_TRUSTED_ORIGINS: list[str] = env.list("PLUMBLINE_ORIGINS", [])
HTTPS = env.bool("PLUMBLINE_HTTPS", not EMBEDDED)
LEADS_NEED_TOTP = env.bool("PLUMBLINE_LEADS_NEED_TOTP", not EMBEDDED)


def _secret_key() -> str:
    """The key from the environment; in the embedded mode one that is made on first use and kept in var/."""
    key = env.str("PLUMBLINE_SECRET_KEY", "")
    if key:
        if len(key) < 50 or len(set(key)) < 5:
            raise ImproperlyConfigured("PLUMBLINE_SECRET_KEY is too weak: give at least 50 random characters.")
        return key
    if not EMBEDDED:
        raise ImproperlyConfigured("PLUMBLINE_SECRET_KEY is not set. Give at least 50 random characters.")
    file = VAR / "secret_key"
    VAR.mkdir(parents=True, exist_ok=True)
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
            handle.write(secrets.token_urlsafe(64))
    except FileExistsError:
        pass
    # Another process may have created the file and not filled it yet.
    for _ in range(100):
        key = file.read_text()
        if key:
            return key
        time.sleep(0.01)
    raise ImproperlyConfigured(f"{file} is empty. Delete it, and a new key is made.")


SECRET_KEY = _secret_key()

# ---- apps and middleware -------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django.forms",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "axes",
    "csp",
    "drf_spectacular",
    "rest_framework",
    "rest_framework.authtoken",
    "annotation",
    "curation",
]

MIDDLEWARE = [
    "config.middleware.RequestLog",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "config.middleware.SecurityHeaders",
    "config.languages.Language",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "axes.middleware.AxesMiddleware",
]

# W002: the header is set by config.middleware.SecurityHeaders.
SILENCED_SYSTEM_CHECKS = ["security.W002"]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

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
            ],
            # Every template may hold texts that are translated.
            "builtins": ["django.templatetags.i18n"],
        },
    }
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"

# ---- database ------------------------------------------------------------------------------------------------------


def _database() -> dict[str, object]:
    if EMBEDDED:
        cluster = embedded.cluster()
        database: dict[str, object] = {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": embedded.DATABASE,
            "USER": embedded.USER,
            "HOST": os.fspath(cluster.socket_folder),
            "PORT": str(embedded.PORT),
        }
    else:
        database = dict(env.dj_db_url("DATABASE_URL"))
        if database.get("ENGINE") != "django.db.backends.postgresql":
            raise ImproperlyConfigured(
                "DATABASE_URL must name a PostgreSQL, as postgresql://user:password@host:5432/name."
            )
    # Persistent connections and prepared statements carry the hot path; figures: docs/design/0002-assigning.md.
    database["CONN_MAX_AGE"] = None
    database["CONN_HEALTH_CHECKS"] = True
    options = {"server_side_binding": True, "prepare_threshold": 0, "connect_timeout": 5}
    database["OPTIONS"] = {**database.get("OPTIONS", {}), **options}  # type: ignore[dict-item]
    return database


DATABASES = {"default": _database()}

# ---- accounts ------------------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "annotation.User"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "annotation.signing_in.Backend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "annotation.signing_in.AccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = False
ACCOUNT_REAUTHENTICATION_REQUIRED = True
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = "Plumbline"
# Sign-in is throttled by account and address together: nobody can lock a colleague out from elsewhere.
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=5)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_USERNAME_FORM_FIELD = "login"
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False
AXES_ENABLE_ACCESS_FAILURE_LOG = False
AXES_USERNAME_CALLABLE = "annotation.signing_in.account_named"
AXES_LOCKOUT_CALLABLE = "annotation.views.errors.locked_out"
# axes throttles by account and address; allauth's own limits would come first and count a whole house as one.
ACCOUNT_RATE_LIMITS = {"login": "300/m/ip", "login_failed": None}

SESSION_ENGINE = "config.sessions"
SESSION_COOKIE_NAME = "__Host-plumbline" if HTTPS else "plumbline"
SESSION_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 14 * 24 * 3600
CSRF_COOKIE_NAME = "__Host-csrf" if HTTPS else "plumbline_csrf"
CSRF_COOKIE_SECURE = HTTPS
CSRF_COOKIE_HTTPONLY = True  # Pages carry the token in a form field or a header of theirs.
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "annotation.views.errors.csrf_failure"

# ---- headers -------------------------------------------------------------------------------------------------------

SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^health$"]  # A container asks its own health over http.
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if env.bool("PLUMBLINE_BEHIND_PROXY", False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    AXES_IPWARE_PROXY_COUNT = 1

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [NONCE],
        "style-src": [SELF],
        "font-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "worker-src": [SELF],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "object-src": [NONE],
        "frame-ancestors": [NONE],
    }
}

# ---- files ---------------------------------------------------------------------------------------------------------

STATIC_URL = "/static/"
STATIC_ROOT = VAR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
# In the embedded mode files are served from where they lie; in production the copies that `collectstatic` makes.
WHITENOISE_USE_FINDERS = EMBEDDED
WHITENOISE_AUTOREFRESH = DEBUG
WHITENOISE_MAX_AGE = 0 if DEBUG else 300
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage" if EMBEDDED else "config.static.Storage"
    },
}
MEDIA_ROOT = VAR / "media"
UPLOADS = VAR / "uploads"
RELEASES = VAR / "releases"
HUB_TOKEN = env.str("PLUMBLINE_HUB_TOKEN", "")
# Models that come along, by name; the register calls them "shipped:NAME".
SHIPPED_MODELS = {"toy": BASE_DIR / "workers" / "toy_model"}
MODEL_ROOTS: list[str] = env.list("PLUMBLINE_MODELS", [os.fspath(VAR / "models")])
FILE_UPLOAD_TEMP_DIR = None
DATA_UPLOAD_MAX_MEMORY_SIZE = 4 * 2**20
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000
# The largest file that the import page takes. The command line takes any.
UPLOAD_MAX_BYTES = 2 * 2**30

# ---- models --------------------------------------------------------------------------------------------------------

MODELS = VAR / "models"  # What workers fetched from the hub, a folder per name and commit.
MODELS_FROM_HUB = env.bool("PLUMBLINE_HUB", False)
DEVICE = env.str("PLUMBLINE_DEVICE", "auto")
# The key of an endpoint by its base address: a key goes nowhere else.
_endpoints: list[str] = env.list("PLUMBLINE_ENDPOINT_KEYS", [])
ENDPOINT_KEYS = {address.strip().rstrip("/"): key for address, _, key in (entry.partition("=") for entry in _endpoints)}
if not all(ENDPOINT_KEYS.values()):
    raise ImproperlyConfigured("PLUMBLINE_ENDPOINT_KEYS must be address=key, separated by commas. One has no key.")

# ---- queue ---------------------------------------------------------------------------------------------------------

QUEUE_FOLDER = VAR / "queue"
CELERY_BROKER_URL = env.str("BROKER_URL", "filesystem://localhost")
if CELERY_BROKER_URL.startswith("filesystem:"):
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": os.fspath(QUEUE_FOLDER / "messages"),
        "data_folder_out": os.fspath(QUEUE_FOLDER / "messages"),
        "control_folder": os.fspath(QUEUE_FOLDER / "control"),
        "store_processed": False,
    }
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_TIMEOUT = 2
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # A worker waits for its broker for as long as it is away.
CELERY_TASK_PUBLISH_RETRY = False  # The row is the truth: a bell that does not ring now is rung by the sweeper.
CELERY_TIMEZONE = "UTC"

# ---- REST ----------------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_PAGINATION_CLASS": None,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.UserRateThrottle"],
    "DEFAULT_THROTTLE_RATES": {"user": "6000/min"},
    "EXCEPTION_HANDLER": "annotation.api.errors.exception_handler",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Plumbline",
    "DESCRIPTION": "Projects, prompts, pairs, judgements, releases.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "annotation.api.errors.declare_errors",
    ],
    # Both are called verdict: what is stored, and what is chosen on the screen.
    "ENUM_NAME_OVERRIDES": {
        "VerdictEnum": "annotation.models.judgements.Verdict",
        "ControlEnum": "annotation.answering.CONTROLS",
        "TemplateKindEnum": "annotation.phrasing.KINDS",
        "AnnotatorKindEnum": "annotation.models.people.Annotator.Kind",
        "RoleEnum": "annotation.models.people.Role",
        "ProjectStateEnum": "annotation.models.projects.Project.State",
    },
}

# ---- language, time, mail, log -------------------------------------------------------------------------------------

# The first is what everybody gets whose language is not here. To add one: docs/translating.md.
LANGUAGE_CODE = "en-gb"
LANGUAGES = [("en-gb", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = ["config.formats"]
LANGUAGE_COOKIE_NAME = "plumbline_language"
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
LANGUAGE_COOKIE_SECURE = HTTPS
LANGUAGE_COOKIE_HTTPONLY = True
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

if env.str("PLUMBLINE_EMAIL_URL", ""):
    _mail = env.dj_email_url("PLUMBLINE_EMAIL_URL")
    EMAIL_HOST, EMAIL_PORT = _mail["EMAIL_HOST"], _mail["EMAIL_PORT"]
    EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _mail["EMAIL_HOST_USER"], _mail["EMAIL_HOST_PASSWORD"]
    EMAIL_USE_TLS, EMAIL_USE_SSL = _mail.get("EMAIL_USE_TLS", False), _mail.get("EMAIL_USE_SSL", False)
else:
    EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
DEFAULT_FROM_EMAIL = env.str("PLUMBLINE_EMAIL_FROM", "plumbline@localhost")

LOG_LEVEL = env.str("PLUMBLINE_LOG_LEVEL", "INFO")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": structlog.stdlib.ProcessorFormatter,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
            "foreign_pre_chain": [
                structlog.stdlib.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {"axes": {"level": "WARNING"}, "django.request": {"level": "ERROR"}},
}
structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
