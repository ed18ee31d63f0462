"""Settings, read from the environment once. `.env.example` lists every name; all are optional on one's own machine."""

from __future__ import annotations

import sys
from datetime import timedelta

from celery.schedules import crontab

from progress.redis import layer_host
from tasks.celery.brokers import broker_at

from .engines import BESIDE, chosen
from .environment import (
    BASE_DIR,
    BROKER_SCHEMES,
    DEV_DIR,
    PROJECT,
    THIS_MACHINE,
    address,
    choice,
    database,
    flag,
    json_object,
    number,
    redis_url,
    release,
    script_name,
    secret_key,
    server_port,
    site_url,
    text,
    words,
)

DEBUG = flag("DEBUG", False)
#: Of the web server on this machine.
PORT = server_port("PORT")
ALLOWED_HOSTS = words("ALLOWED_HOSTS", list(THIS_MACHINE))
#: True as soon as others than this machine can reach the site. Then everything is closed that is not opened by name.
PRODUCTION = not DEBUG and any(host not in THIS_MACHINE for host in ALLOWED_HOSTS)
SECRET_KEY = secret_key(shared=PRODUCTION)
CSRF_TRUSTED_ORIGINS = words("CSRF_TRUSTED_ORIGINS")
#: The path of its host that the site is below, such as /app; None at the root. See `subpath.py`.
FORCE_SCRIPT_NAME = script_name()
REDIS_URL = redis_url()
#: With sentinel:// addresses: the name under which Sentinel watches the server, and the Sentinels' own password.
REDIS_SENTINEL_MASTER = text("REDIS_SENTINEL_MASTER", "mymaster")
REDIS_SENTINEL_PASSWORD = text("REDIS_SENTINEL_PASSWORD")
BROKER_URL = address("BROKER_URL", BROKER_SCHEMES) or REDIS_URL

INSTALLED_APPS = [
    # Before staticfiles: it brings the `runserver` that serves sockets. A worker needs neither that nor Twisted.
    *(["daphne"] if "runserver" in sys.argv else []),
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "axes",
    "progress",
    "tasks",
    "tasks.downloads.apps.DownloadsConfig",
    "django_starter.apps.DjangoStarterConfig",
]

MIDDLEWARE = [
    "django_starter.logs.RequestId",
    "django_starter.subpath.CookiePath",
    "django.middleware.security.SecurityMiddleware",
    "django_starter.csp.ContentSecurityPolicy",
    "django_starter.answers.Answers",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django_starter.readable.Readable",
    "django_starter.sessions.Sessions",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "tasks.web.middleware.LoginWhereRequired",
    "tasks.web.middleware.OwnerMiddleware",  # a task started in a view belongs to its caller
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",  # answers for a login that is shut
]

ROOT_URLCONF = "django_starter.urls"
ASGI_APPLICATION = "django_starter.asgi.application"

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
        },
    },
]

# --- database -------------------------------------------------------------------------------------------------------

DATABASES = {"default": database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # One file, several processes: readers beside one writer (WAL), a writer that waits for its turn (timeout in
    # seconds), and transactions that take the write lock at their start instead of failing half way (IMMEDIATE).
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=20000;",
    }
else:
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True  # also what the pool hands out
    if pool := number("DATABASE_POOL", 0, 0, 1000):
        # serve.web sets it: the threads of a web process come and go, and the pool keeps what they opened. While the
        # server is away each try to reach it is short: a longer one grows its pauses, also beyond the server's return.
        options = {"min_size": 1, "max_size": pool, "timeout": 5, "reconnect_timeout": 2}
        DATABASES["default"]["OPTIONS"]["pool"] = options
    else:
        DATABASES["default"]["CONN_MAX_AGE"] = 600

# --- Redis: broker, channel layer, cache ----------------------------------------------------------------------------

#: Prefix of every key and channel of this project in Redis, so that several projects can share one server.
REDIS_PREFIX = text("REDIS_PREFIX", "django_starter")

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "progress.layer.ProgressChannelLayer",
        "CONFIG": {
            "hosts": [layer_host(REDIS_URL, master=REDIS_SENTINEL_MASTER, password=REDIS_SENTINEL_PASSWORD)],
            "prefix": REDIS_PREFIX,
        },
    }
}

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": REDIS_PREFIX,
        # Short: it counts starts, and a start waits for the broker as well; both together take less than 2 s.
        "OPTIONS": {"pool_class": "progress.redis.CachePool", "socket_connect_timeout": 0.3, "socket_timeout": 0.3},
    }
}
SESSION_ENGINE = "django.contrib.sessions.backends.db"  # pages and starts work while Redis is away

# --- live progress --------------------------------------------------------------------------------------------------

PROGRESS_REDIS_URL = REDIS_URL
PROGRESS_PREFIX = REDIS_PREFIX
#: The object that answers who may watch which task, and what the database says of it.
PROGRESS_SOURCE = "tasks.web.source.RunSource"

# --- links and messages ---------------------------------------------------------------------------------------------

#: Who is told of trouble, once when it begins and once when it is over: addresses of Apprise, with spaces between.
TASKS_ALERT_URLS = text("ALERT_URLS").split()
#: Seconds that the oldest of a queue may wait.
TASKS_ALERT_WAIT = number("ALERT_WAIT", 300, 1, 7 * 24 * 3600)
#: Where people find the pages, for links in what is told. By default the first origin, or host, that is let in.
TASKS_SITE_URL = site_url(CSRF_TRUSTED_ORIGINS, ALLOWED_HOSTS, FORCE_SCRIPT_NAME or "", production=PRODUCTION)
#: Where people find Flower: linked from a run's page, looked at by the strip on every page.
FLOWER_URL = text(
    "FLOWER_URL",
    f"http://localhost:{server_port('FLOWER_PORT')}/{text('FLOWER_URL_PREFIX').strip('/')}".rstrip("/"),
)
#: Where people are told what begins and ends: addresses of https://github.com/caronc/apprise, with spaces between.
NOTIFY_URLS = text("NOTIFY_URLS").split()

# --- Celery ---------------------------------------------------------------------------------------------------------

# What the promises need beside these is set by `tasks.install(app)`.
BROKER = broker_at(BROKER_URL, REDIS_PREFIX, master=REDIS_SENTINEL_MASTER, password=REDIS_SENTINEL_PASSWORD)
CELERY_BROKER_URL = BROKER.url
CELERY_BROKER_CHANNEL_ERROR_RETRY = BROKER.channel_error_retry
CELERY_BROKER_TRANSPORT_OPTIONS = BROKER.transport_options
CELERY_BROKER_USE_SSL = BROKER.use_ssl
CELERY_BROKER_HEARTBEAT = BROKER.heartbeat
CELERY_TASK_DEFAULT_QUEUE_TYPE = CELERY_TASK_CREATE_MISSING_QUEUE_TYPE = BROKER.queue_type
CELERY_TASK_DEFAULT_EXCHANGE_TYPE = CELERY_TASK_CREATE_MISSING_QUEUE_EXCHANGE_TYPE = BROKER.exchange_type
#: A message that is due later stays in the database until then.
TASKS_LONGEST_COUNTDOWN = BROKER.longest_countdown
CELERY_BROKER_CONNECTION_TIMEOUT = BROKER.connection_timeout
CELERY_TIMEZONE = "UTC"
#: Tasks that start by themselves, as Celery documents them: any worker fires them, and no `celery beat` is needed.
CELERY_BEAT_SCHEDULE = {
    "prune-ended-runs": {"task": "tasks.tasks.prune_ended_runs", "schedule": crontab(minute=20, hour=4)},
}
#: By an entry's name: catch_up, overlap, jitter, timezone, alert. docs/SCHEDULES.md has them.
TASKS_SCHEDULE_RULES: dict[str, dict[str, object]] = {}

# --- Huey, where downloads are put into it --------------------------------------------------------------------------

#: Which engine does the report downloads: celery or huey.
DOWNLOADS_ENGINE = chosen()
if BESIDE[DOWNLOADS_ENGINE]:
    INSTALLED_APPS.append("huey.contrib.djhuey")
    HUEY = {
        "huey_class": "tasks.huey.TrackedHuey",
        "name": f"{REDIS_PREFIX}_huey",
        "immediate": False,  # djhuey's default is DEBUG: then nothing waits, and nothing is shown
        "consumer": {"workers": 4, "worker_type": "process", "shutdown_timeout": 6},
    }

#: What people are told to type where something is missing. {port} is Flower's; where it is below a path, that follows.
TASKS_START_ALL = "./start_dev.sh"
TASKS_START_WORKER = f"celery -A {PROJECT} worker -l info"
TASKS_START_HUEY = "python manage.py run_huey"
TASKS_START_FLOWER = f"celery -A {PROJECT} flower --address=127.0.0.1 --port={{port}}"
#: Stored with what a worker does, so that pages can say what is new since the release.
TASKS_RELEASE = release()

# --- the rest -------------------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

# --- static files ---------------------------------------------------------------------------------------------------

STATIC_URL = "static/"
STATIC_ROOT = DEV_DIR / "staticfiles"
#: Names with a hash of their content, kept by browsers for ever. Needs `manage.py collectstatic` at each release;
#: without it the files are served from where they are.
HASHED_STATIC = flag("HASHED_STATIC", PRODUCTION)
WHITENOISE_USE_FINDERS = not HASHED_STATIC
WHITENOISE_AUTOREFRESH = DEBUG
STORAGES: dict[str, dict[str, object]] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django_starter.static.HashedStorage" if HASHED_STATIC else "django_starter.static.PlainStorage"
    },
}

# --- report downloads -----------------------------------------------------------------------------------------------

#: True: this site serves reports to try with, at /sample-source/.
SAMPLE_SOURCE = flag("SAMPLE_SOURCE", False)
#: Where reports come from. By default from the sample source of the site that runs on this machine.
SAMPLE = f"http://127.0.0.1:{PORT}/sample-source/{{seller_id}}/{{day}}.csv"
DOWNLOAD_SOURCE_URL = text("DOWNLOAD_SOURCE_URL", SAMPLE)
DOWNLOAD_MAX_DAYS = number("DOWNLOAD_MAX_DAYS", 366, 1, 36_600)
DOWNLOAD_MAX_SELLERS = number("DOWNLOAD_MAX_SELLERS", 100, 1, 10_000)
DOWNLOAD_KEEP_DAYS = number("DOWNLOAD_KEEP_DAYS", 7, 1, 3_650)
#: Where a download's files are kept: no address serves them. docs/DOWNLOADS.md has S3.
DOWNLOAD_STORAGE = STORAGES["downloads"] = {
    "BACKEND": text("DOWNLOAD_STORAGE", "django.core.files.storage.FileSystemStorage"),
    "OPTIONS": json_object("DOWNLOAD_STORAGE_OPTIONS")
    or {
        "location": str(DEV_DIR / "downloads"),
        "file_permissions_mode": 0o600,
        "directory_permissions_mode": 0o700,
    },
}

# --- who may do what ------------------------------------------------------------------------------------------------

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "home"
#: After this many wrong passwords for one account, or from one address, there is a pause; a right one begins anew.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_LOCKOUT_PARAMETERS = ["username", "ip_address"]
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=5)
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # or whoever goes on trying shuts the owner out for ever
AXES_LOCKOUT_CALLABLE = "django_starter.lockout.answer"
AXES_CLIENT_IP_CALLABLE = "django_starter.lockout.address"
AXES_DISABLE_ACCESS_LOG = True  # a row for each login, for ever
AXES_VERBOSE = False
AXES_ENABLE_ADMIN = False  # `manage.py axes_reset_username` opens a login again
#: Only signed-in users may start and watch tasks; otherwise a viewer is known by the session.
TASKS_REQUIRE_LOGIN = flag("TASKS_REQUIRE_LOGIN", PRODUCTION)
#: Start Task offers the tasks that are there to try things with.
TASKS_DEMO_TASKS = flag("DEMO_TASKS", True)
#: Tasks that one viewer may start in a minute, and sockets that one may hold in a web process; 0: no limit.
TASKS_STARTS_PER_MINUTE = number("STARTS_PER_MINUTE", 60 if PRODUCTION else 0, 0, 1_000_000)
PROGRESS_MAX_SOCKETS = number("SOCKETS_PER_VISITOR", 100 if PRODUCTION else 0, 0, 1_000_000)
#: A request for /metrics has to bring it: `Authorization: Bearer …`. Without one, only this machine may ask.
METRICS_TOKEN = text("METRICS_TOKEN")

#: Bytes that a request's body may have; no form of ours is near it. (Files are not uploaded here.)
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY = 2 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000

#: The site is reached over https, which a proxy in front ends.
HTTPS = flag("HTTPS", PRODUCTION)
#: Proxies of ours between the visitor and this server: this much of X-Forwarded-For is believed.
PROXIES = number("PROXIES", 1 if HTTPS else 0, 0, 9)
PROGRESS_PROXIES = PROXIES
if HTTPS:
    # The proxy must set this header itself, whatever the visitor sent: docs/OPERATIONS.md shows how.
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = [r"(^|/)health/(live|ready)$", r"(^|/)metrics$"]  # asked for by machines, past the proxy
    SECURE_HSTS_SECONDS = number("HSTS_SECONDS", 365 * 24 * 3600, 0, 10 * 365 * 24 * 3600)
    SECURE_HSTS_INCLUDE_SUBDOMAINS = flag("HSTS_SUBDOMAINS", True)
    SECURE_HSTS_PRELOAD = SECURE_HSTS_INCLUDE_SUBDOMAINS and SECURE_HSTS_SECONDS >= 365 * 24 * 3600
else:
    # django_starter.checks says it in one sentence, where it matters.
    SILENCED_SYSTEM_CHECKS = ["security.W004", "security.W008", "security.W012", "security.W016"]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

# --- logs -----------------------------------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"},
        "json": {"()": "django_starter.logs.JsonFormatter"},
    },
    "filters": {"floods": {"()": "django_starter.floods.Floods"}},  # a thousand dropped sockets are one line
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": choice("LOG_FORMAT", ("line", "json")),
            "filters": ["floods"],
        },
        # What a task logs is shown to those who watch it.
        "progress": {"class": "progress.logs.ProgressHandler", "level": "INFO"},
    },
    "root": {"handlers": ["console", "progress"], "level": "INFO"},
    "loggers": {
        # Django gives these a handler of their own in development.
        "django.server": {"handlers": ["console"], "level": "INFO", "propagate": False},
        "django.channels.server": {"handlers": ["console"], "level": "INFO", "propagate": False},
        "django.utils.autoreload": {"handlers": ["console"], "level": "INFO", "propagate": False},
        "huey": {"handlers": ["console", "progress"], "propagate": False},  # or run_huey gives it one of its own
        "axes": {"level": "WARNING"},  # or four lines for each login
        "daphne": {"level": "WARNING"},
        "uvicorn.error": {"filters": ["floods"]},  # uvicorn gives it a handler of its own
        "httpx": {"level": "WARNING"},  # or a line for each report
    },
}
