from operator import attrgetter

from django.apps import AppConfig

from sealing import rotation


class ResourcesConfig(AppConfig):
    name = "resources"

    def ready(self) -> None:
        credential = self.get_model("Credential")
        rotation.register(rotation.Column("resource credentials", credential, attrgetter("context")))
