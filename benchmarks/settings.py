"""The console's own settings, with Django's admin beside it and every answer counted."""

from console.settings import *  # noqa: F403  # what is measured is the product, plus what stands below

INSTALLED_APPS += ["benchmarks", "django.contrib.admin.apps.SimpleAdminConfig"]  # noqa: F405
MIDDLEWARE.insert(0, "benchmarks.middleware.count_queries")  # noqa: F405
ROOT_URLCONF = "benchmarks.urls"
