from importlib import import_module

from django.apps import AppConfig

from sealing import rotation


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        import_module("accounts.receivers")
        rotation.register(import_module("accounts.factors").SecondFactors())
