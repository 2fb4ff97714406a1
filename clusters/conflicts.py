"""Two people, one object: whoever is late is told what changed, and nothing is overwritten unseen."""

from collections.abc import Sequence
from typing import Any, Protocol, cast

from django import forms
from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db import IntegrityError, models, transaction
from django.db.models import F
from django.http import Http404, QueryDict
from django.utils import timezone

from audit.models import Activity
from audit.selectors import changes_since


class Versioned(Protocol):
    """A model that counts its changes in `version`, each recorded as one activity."""

    pk: str
    version: int

    def refresh_from_db(self) -> None: ...


class NameTaken(Exception):
    """Another object of this kind has the name, perhaps in another case."""


class Conflict(Exception):
    """Somebody else changed the object after the form was opened."""


class VersionField(forms.IntegerField):
    """The version a form was opened at. What is none counts as long ago: the person sees what is there now."""

    widget = forms.HiddenInput

    def clean(self, value: Any) -> int:
        try:
            return max(super().clean(value) or 0, 0)
        except ValidationError:
            return 0


def raise_version(entity: models.Model, expected: int, **values: Any) -> None:
    """Write `values` if nobody changed `entity` since version `expected`, or raise Conflict; one statement.

    The entity in memory is as in the database afterwards.
    """
    rows = type(entity)._default_manager.filter(pk=entity.pk, version=expected)
    values |= {"updated_at": timezone.now()}
    try:
        with transaction.atomic():
            changed = rows.update(version=F("version") + 1, **values)
    except IntegrityError as error:
        raise NameTaken from error
    if not changed:
        raise Conflict
    entity.refresh_from_db()


def conflicting_changes(entity: Versioned, form: forms.Form) -> Sequence[Activity]:
    """What others did to `entity` since the form was opened; the form is made ready to be sent over it.

    Http404 when what they did was to delete it.
    """
    try:
        entity.refresh_from_db()
    except ObjectDoesNotExist as error:
        raise Http404 from error
    missed = entity.version - form.cleaned_data["version"]
    data = cast(QueryDict, form.data).copy()
    data["version"] = str(entity.version)
    form.data = data
    return changes_since(entity.pk, missed)
