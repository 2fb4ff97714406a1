"""Form fields that choose a person, a resource or a role by name, with suggestions as one types."""

from typing import Any, Generic, TypeVar

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from django.urls import reverse_lazy

from access import selectors
from access.models import MAX_NAME as MAX_ROLE_NAME
from access.models import Role
from accounts.models import Account
from clusters.forms import PLAIN_INPUT
from resources.models import MAX_NAME as MAX_RESOURCE_NAME
from resources.models import Resource

M = TypeVar("M", bound=Model)


class NamedInput(forms.TextInput):
    """A combobox; without scripts the browser offers the first of all names."""

    template_name = "access/named_input.html"
    field: "NamedField[Any]"

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        field = self.field
        names = selectors.names(field.rows(), field.column, field.shown)
        return context | {"names": names, "label": field.label, "suggestions": self.attrs["aria-controls"]}


class NamedField(forms.CharField, Generic[M]):
    """Cleans to the object of this name, in any case, or of this id; None when left empty."""

    # As in “There is no role of this name.”
    noun: str
    route: str
    # What is typed, and the column that has it folded.
    shown = "name"
    column = "name_folded"

    def __init__(self, **kwargs: Any) -> None:
        attrs = {
            **PLAIN_INPUT,
            "role": "combobox",
            "aria-expanded": "false",
            "aria-autocomplete": "list",
            "aria-controls": f"{self.noun}-suggestions",
            "data-completions": reverse_lazy(self.route),
            "data-open-on-focus": "",
            "list": f"{self.noun}-names",
        }
        super().__init__(**{"widget": NamedInput(attrs=attrs), **kwargs})
        self.widget.field = self

    def rows(self) -> QuerySet[M]:
        raise NotImplementedError

    def clean(self, value: Any) -> M | None:
        text = super().clean(value)
        if not text:
            return None
        found = self.rows().filter(Q(**{self.column: text.casefold()}) | Q(pk=text)).first()
        if found is None:
            near = " or ".join(selectors.nearest(self.rows(), self.column, self.shown, text))
            raise ValidationError(
                f"There is no {self.noun} of this name. {f'Did you mean {near}?' if near else 'Check the spelling.'}"
            )
        return found


class PersonField(NamedField[Account]):
    noun, route = "person", "access:person-suggestions"
    shown = column = "email"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"label": "Person", "max_length": 254, **kwargs})

    def rows(self) -> QuerySet[Account]:
        return selectors.accounts()


class ResourceField(NamedField[Resource]):
    noun, route = "resource", "access:resource-suggestions"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"label": "Resource", "max_length": MAX_RESOURCE_NAME, **kwargs})

    def rows(self) -> QuerySet[Resource]:
        return Resource.objects.all()


class RoleField(NamedField[Role]):
    noun, route = "role", "access:role-suggestions"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"label": "Role", "max_length": MAX_ROLE_NAME, **kwargs})

    def rows(self) -> QuerySet[Role]:
        return Role.objects.all()
