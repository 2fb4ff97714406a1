from operator import attrgetter

from django.apps import AppConfig

from audit import kinds
from audit.kinds import LoggedKind
from sealing import rotation


class ResourcesConfig(AppConfig):
    name = "resources"

    def ready(self) -> None:
        credential = self.get_model("Credential")
        rotation.register(rotation.Column("resource credentials", credential, attrgetter("context")))
        # Its forms need the models, which are there by now.
        from resources.kinds import KINDS  # noqa: PLC0415

        kinds.register(LoggedKind(kind.slug, kind.label, kind.logs_requests) for kind in KINDS.values())
