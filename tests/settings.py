"""The console's own settings, with what only tests need."""

import os
import tempfile

os.environ.setdefault("CONSOLE_SECRET_KEY", "only-for-tests-" + "x" * 50)
os.environ.setdefault("CONSOLE_SEALING_KEYS", "test:" + "A" * 43 + "=")

from console.settings import *  # noqa: F403  # tests are the product's settings plus what stands below

# The manifest storage wants `collectstatic` to have run.
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}  # noqa: F405
# And the server of static files wants to find them; let it serve what is in the checkout now.
WHITENOISE_AUTOREFRESH = True
WHITENOISE_USE_FINDERS = True
# Argon or PBKDF2 would make each sign-in of the suite cost a second's tenth.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

if DATABASES["default"]["ENGINE"].endswith("sqlite3"):  # noqa: F405
    # A file, as in production: a database in memory is one connection that the threads of a live
    # server would have to share, and locks there fail at once instead of waiting.
    DATABASES["default"]["TEST"] = {  # noqa: F405
        "NAME": os.path.join(tempfile.gettempdir(), f"console-test-{os.getpid()}.sqlite3")
    }
    DATABASES["default"]["OPTIONS"]["init_command"] += "PRAGMA synchronous=OFF;"  # noqa: F405
