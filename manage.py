#!/usr/bin/env python3
"""Django's command line for the console."""

import os
import sys

from django.core.management import execute_from_command_line

from console.env import SettingError

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    try:
        execute_from_command_line(sys.argv)
    except SettingError as error:
        sys.exit(f"manage.py: {error}")
