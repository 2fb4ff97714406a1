from django.apps import AppConfig
from django.db.models import CharField, TextField

from search.lookups import Wildcard


class SearchConfig(AppConfig):
    name = "search"

    def ready(self) -> None:
        CharField.register_lookup(Wildcard)
        TextField.register_lookup(Wildcard)
