from operator import attrgetter

from django.apps import AppConfig

from sealing import rotation


class AuthorityConfig(AppConfig):
    name = "authority"

    def ready(self) -> None:
        key = self.get_model("AuthorityKey")
        rotation.register(rotation.Column("keys of certificate authorities", key, attrgetter("context")))
        ticket_key = self.get_model("TicketKey")
        rotation.register(rotation.Column("keys that sign tickets", ticket_key, attrgetter("context")))
