"""Settings of the console, all from the environment; `docs/operations.md` lists every variable.

Nothing secret has a default: `console.first_run` makes the files on the first start.
"""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dj_database_url
from csp.constants import NONE, SELF

from console import api_names, env, first_run
from sdm.contract import cookies

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.text("CONSOLE_DATA_DIR", str(BASE_DIR / "var"))).absolute()

SECRET_KEY = env.secret("CONSOLE_SECRET_KEY", DATA_DIR / "secrets" / "django.key")
# Where the keys that seal credentials are kept, newest first; `sealing.keyring` says how they look.
SEALING_KEYS = env.text("CONSOLE_SEALING_KEYS")
SEALING_KEYS_FILE = Path(env.text("CONSOLE_SEALING_KEYS_FILE", str(DATA_DIR / "secrets" / "sealing.keys")))
DEBUG = False

# --- Where the console is reached -------------------------------------------------------------

CONSOLE_URL = env.origin("CONSOLE_URL", first_run.listen().url)
_url = urlsplit(CONSOLE_URL)
_https = _url.scheme == "https"
CONSOLE_HOST = _url.hostname or ""
ALLAUTH_TRUSTED_PROXY_COUNT = env.integer("CONSOLE_TRUSTED_PROXIES", 0, low=0, high=10)
if _https and not ALLAUTH_TRUSTED_PROXY_COUNT:
    # The console speaks plain HTTP itself: whoever says https and trusts no proxy is redirected for ever.
    raise env.SettingError(
        f"CONSOLE_URL={CONSOLE_URL!r} needs a proxy that ends TLS: set CONSOLE_TRUSTED_PROXIES to how many there are, "
        "usually 1."
    )

ALLOWED_HOSTS = [CONSOLE_HOST, "127.0.0.1", "localhost", "[::1]"]
CSRF_TRUSTED_ORIGINS = [CONSOLE_URL] if _https else []
SECURE_SSL_REDIRECT = _https
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _https else None
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if _https else 0
# One console has no say over other hosts below its name, nor over the browsers' preload lists.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
_cookie_prefix = cookies.HOST_PREFIX if _https else ""
SESSION_COOKIE_SECURE = _https
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_NAME = _cookie_prefix + cookies.SESSION
CSRF_COOKIE_SECURE = _https
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_NAME = _cookie_prefix + cookies.CSRF
CSRF_FAILURE_VIEW = "console.views.csrf_failure"
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
    }
}

# Where the API is served, and the files of its certificate: workers connect to it.
API_LISTEN = str(first_run.api_listen())
API_TLS_CERT_FILE, API_TLS_KEY_FILE = first_run.api_certificate()
# Without files the authority of the control plane signs its certificate. In the clear on this machine alone.
API_OWN_CERTIFICATE = not API_TLS_CERT_FILE and not first_run.api_listen().only_here
# What workers and the sdm command are told to connect to: host, or host:port.
APP_DOMAIN = env.text("CONSOLE_APP_DOMAIN", str(first_run.Listen(CONSOLE_HOST, first_run.api_listen().port)))
# What that certificate is for.
API_NAMES = api_names.names(APP_DOMAIN, first_run.api_listen()) if API_OWN_CERTIFICATE else []
# How often workers say that they are there; three times without, and one counts as dead.
WORKER_HEARTBEAT_SECONDS = 10
# The image that the ready command for Docker names.
WORKER_IMAGE = env.text("CONSOLE_WORKER_IMAGE", "sdm-worker:latest")

# --- Parts ------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.forms",
    "template_partials",
    "django_htmx",
    "heroicons",
    "csp",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "ui",
    "search",
    "sealing",
    "events",
    "audit",
    "accounts",
    "authority",
    "logins",
    "clusters",
    "keys",
    "resources",
    "access",
    "api",
    "console",
]

MIDDLEWARE = [
    "console.middleware.HealthMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "ui.middleware.NoStoreMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.middleware.SignInRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "audit.middleware.AuditMiddleware",
    "console.middleware.NotAllowedMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]

ROOT_URLCONF = "console.urls"
WSGI_APPLICATION = "console.wsgi.application"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "ui.context_processors.navigation",
                "ui.context_processors.stylesheets",
            ],
            "builtins": ["ui.templatetags.ui", "template_partials.templatetags.partials"],
        },
    }
]
FORM_RENDERER = "ui.forms.Renderer"

# --- Storage ----------------------------------------------------------------------------------

# Twelve seconds of waiting for SQLite's single writer is longer than any write of ours; what is
# not served by then is an error that the log shows.
_SQLITE_OPTIONS = {
    "timeout": 12,
    "transaction_mode": "IMMEDIATE",
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-32768;",
}
# The threads of a process share a pool, and all pools together leave some of PostgreSQL's default 100
# connections to others.
_POOL = {"min_size": 1, "max_size": max(4, 80 // first_run.workers()), "timeout": 5}
_POSTGRES_OPTIONS = {"pool": _POOL, "connect_timeout": 5}
_DATABASE_URL_HELP = (
    "DATABASE_URL: give postgres://user:password@host:5432/name or sqlite:////path/of/a/file."
)


def _database(url: str) -> dict[str, Any]:
    try:
        database: dict[str, Any] = dict(dj_database_url.parse(url))
    except ValueError:  # not shown: it may hold a password
        raise env.SettingError(_DATABASE_URL_HELP) from None
    engine = str(database["ENGINE"])
    if engine.endswith("sqlite3"):
        database["OPTIONS"] = {**_SQLITE_OPTIONS, **database.get("OPTIONS", {})}
        # Opening SQLite and its pragmas costs more than most of our queries.
        database["CONN_MAX_AGE"] = None
    elif engine.endswith("postgresql"):
        database["OPTIONS"] = {**_POSTGRES_OPTIONS, **database.get("OPTIONS", {})}
    else:
        raise env.SettingError(_DATABASE_URL_HELP)
    return database


DATABASES = {"default": _database(env.text("DATABASE_URL", f"sqlite:///{DATA_DIR}/console.sqlite3"))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# The cache holds the counters of the sign-in limits, so it is shared by all processes.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "console_cache",
        # A full cache drops what it holds, counters of running limits too. The default of 300 is filled in a
        # moment by somebody who tries one address after another.
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
# A megabyte of text is three when each character is escaped in a form; what is over this is refused unread.
DATA_UPLOAD_MAX_MEMORY_SIZE = 4 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5_000

# --- People -----------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.Account"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}", "OPTIONS": options}
    for name, options in [
        ("UserAttributeSimilarityValidator", {}),
        ("MinimumLengthValidator", {"min_length": 12}),
        ("CommonPasswordValidator", {}),
        ("NumericPasswordValidator", {}),
    ]
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "account_login"

ACCOUNT_ADAPTER = "accounts.adapters.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
# People are let in by administrators, who know their addresses.
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = False
# How long a proof of who is at the keyboard holds before keys are made or people let in.
ACCOUNT_REAUTHENTICATION_TIMEOUT = 600
ACCOUNT_FORMS = {
    "login": "accounts.forms.SignInForm",
    "reauthenticate": "accounts.forms.ConfirmForm",
    "change_password": "accounts.forms.PasswordForm",
}
# Attempts by address and by account; allauth's counters, kept in the cache that all processes share.
ACCOUNT_RATE_LIMITS = {
    "login": "30/m/ip",
    "login_failed": "10/m/ip,5/5m/key",
    "reauthenticate": "10/m/user",
    "change_password": "5/m/user",
    "reset_password": "5/m/ip,3/h/key",
    "one_time_link": "20/m/ip",
}

MFA_ADAPTER = "accounts.adapters.MFAAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_RECOVERY_CODES_SHOW_ONCE = True
MFA_FORMS = {
    "authenticate": "accounts.factor_forms.AuthenticateForm",
    "reauthenticate": "accounts.factor_forms.ReauthenticateForm",
    "activate_totp": "accounts.factor_forms.ActivateTOTPForm",
    "add_webauthn": "accounts.factor_forms.AddKeyForm",
    "edit_webauthn": "accounts.factor_forms.RenameKeyForm",
    "authenticate_webauthn": "accounts.factor_forms.AuthenticateKeyForm",
    "reauthenticate_webauthn": "accounts.factor_forms.ReauthenticateKeyForm",
    "login_webauthn": "accounts.factor_forms.SignInKeyForm",
}

# --- Mail: invitations and lost passwords, where there is a server ------------------------------

EMAIL_HOST = env.text("CONSOLE_SMTP_HOST")
EMAIL_PORT = env.integer("CONSOLE_SMTP_PORT", 587, low=1, high=65535)
EMAIL_HOST_USER = env.text("CONSOLE_SMTP_USER")
EMAIL_HOST_PASSWORD = env.secret("CONSOLE_SMTP_PASSWORD")
_smtp_security = env.choice("CONSOLE_SMTP_SECURITY", ("starttls", "tls", "none"))
EMAIL_USE_TLS = _smtp_security == "starttls"
EMAIL_USE_SSL = _smtp_security == "tls"
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.text("CONSOLE_MAIL_FROM", f"proxy-clusters@{CONSOLE_HOST}")

# --- Machines that people and services log in with sdm ---------------------------------------------

# How long a login is good for: until then its certificate is renewed.
LOGIN_HOURS = env.integer("CONSOLE_LOGIN_HOURS", 168, low=1, high=2160)

# --- Limits -----------------------------------------------------------------------------------

KEYS_PER_CLUSTER = env.integer("CONSOLE_KEYS_PER_CLUSTER", 4, low=1, high=100)
# Sessions and queries are removed after that; thirteen months let one compare a month with that of last year.
REQUEST_LOG_DAYS = env.integer("CONSOLE_REQUEST_LOG_DAYS", 396, low=1, high=36_500)

# --- Language, time, log ----------------------------------------------------------------------

LANGUAGE_CODE = "en"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"

_LOG_FORMAT = env.choice("CONSOLE_LOG_FORMAT", ("text", "json"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"},
        "json": {
            "()": "pythonjsonlogger.json.JsonFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
        },
    },
    "filters": {
        "hide_tokens": {"()": "accounts.tokens.HideTokens"},
        "refusals": {"()": "console.logs.RefusalsInOneLine"},
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": _LOG_FORMAT,
            "filters": ["refusals", "hide_tokens"],
        }
    },
    "loggers": {
        # Any stranger can send a wrong Host header, as often as they like; 400 is answer enough.
        "django.security.DisallowedHost": {"handlers": [], "propagate": False},
    },
    "root": {"handlers": ["stderr"], "level": "INFO"},
}
