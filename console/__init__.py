"""The Django project: settings, root URLs, WSGI and first-run set-up. Nothing imports it."""
