from django.apps import AppConfig
from django.core.checks import Tags, register

from sealing.checks import keys_can_be_used


class SealingConfig(AppConfig):
    name = "sealing"

    def ready(self) -> None:
        register(keys_can_be_used, Tags.security)
