"""Forms of the resource pages. They check and normalise; services write."""

import copy
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.urls import reverse_lazy

from clusters.conflicts import VersionField
from clusters.forms import PLAIN_INPUT
from clusters.models import MAX_NAME as MAX_CLUSTER_NAME
from clusters.models import Cluster
from clusters.tags import TagsField, tags_of
from resources.kinds import KINDS
from resources.kinds.base import Kind, PortField, in_a_sentence, name_what_is_missing
from resources.models import MAX_NAME, Resource
from resources.ports import HIGHEST, LOWEST, holder_of
from resources.selectors import (
    CredentialRow,
    cluster_named,
    first_cluster_names,
    is_name_taken,
    nearest_cluster_names,
)
from resources.services import KEEP_PORT, NEW_PORT, Details

NAME_TAKEN = "Another resource has this name. Names are unique, whatever their case."
PORT_RANGE = f"A local port is a number from {LOWEST} to {HIGHEST}. Left empty, a free one is chosen."
CLUSTER_GONE = "This proxy cluster was deleted meanwhile. Choose another, or leave it empty."


def port_taken(holder: str) -> str:
    return f"This is the local port of {holder or 'another resource'}. Choose another, or leave it empty."


class ClusterField(forms.CharField):
    """A proxy cluster by its name, which cleans to the cluster, or None when left empty.

    With a hundred thousand clusters no `<select>` can hold them: the field suggests as one types, and without
    JavaScript takes the name.
    """

    def __init__(self, **kwargs: Any) -> None:
        attrs = {
            **PLAIN_INPUT,
            "role": "combobox",
            "aria-expanded": "false",
            "aria-autocomplete": "list",
            "aria-controls": "cluster-suggestions",
            "data-completions": reverse_lazy("resources:cluster-suggestions"),
            "data-open-on-focus": "",
            "list": "cluster-names",
        }
        defaults = {
            "label": "Proxy Cluster",
            "required": False,
            "max_length": MAX_CLUSTER_NAME,
            "help_text": "Type a part of its name. Left empty, the resource is kept, but nobody can reach it.",
            "widget": ClusterInput(attrs=attrs),
        }
        super().__init__(**{**defaults, **kwargs})

    def clean(self, value: Any) -> Cluster | None:
        text = super().clean(value)
        if not text:
            return None
        cluster = cluster_named(text)
        if cluster is None:
            near = " or ".join(nearest_cluster_names(text))
            raise ValidationError(
                f"There is no proxy cluster of this name. {f'Did you mean {near}?' if near else 'Check the spelling.'}"
            )
        return cluster


class ClusterInput(forms.TextInput):
    template_name = "resources/cluster_input.html"

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        context["names"] = first_cluster_names()
        return context


class ResourceForm(forms.Form):
    """What every resource has; `part` is the form of its kind, drawn between name and tags."""

    name = forms.CharField(max_length=MAX_NAME, label="Name", widget=forms.TextInput(attrs=PLAIN_INPUT))
    cluster = ClusterField()
    tags = TagsField()
    port_override = PortField(
        label="Local port",
        required=False,
        help_text="Where people's own programs connect, on 127.0.0.1. Left empty, a free one is chosen.",
        error_messages={"invalid": PORT_RANGE},
    )
    version = VersionField(required=False)

    def __init__(
        self,
        data: QueryDict | None,
        *,
        kind: Kind,
        resource: Resource | None = None,
        cluster: Cluster | None = None,
    ) -> None:
        self.kind, self.resource = kind, resource
        where = resource.cluster if resource else cluster
        initial: dict[str, Any] = {"cluster": where.name if where else ""}
        target: dict[str, Any] = {"port": kind.default_port}
        if resource:
            tags = tags_of(list(resource.tags.all()))
            initial |= {"name": resource.name, "tags": tags, "version": resource.version}
            initial["port_override"] = resource.port_override
            target = {name: getattr(resource, name) for name in ("hostname", "port", "username")}
            target |= resource.config
        super().__init__(data, initial=initial)
        name_what_is_missing(self)
        self.part = kind.form(data, initial=target, with_secrets=resource is None)

    def is_valid(self) -> bool:
        # Both, so that all errors are shown at once.
        valid = [super().is_valid(), self.part.is_valid()]
        return all(valid)

    @property
    def forgot_secrets(self) -> bool:
        """Whether the page must say that what was typed into its secret fields is not there any more."""
        names = self.part.secret_fields()
        return self.is_bound and any(self.data.get(name) for name in names if name in self.part.fields)

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        wrong = next((character for character in name if not character.isprintable()), None)
        if wrong is not None:
            raise ValidationError(f"A name cannot contain the invisible character U+{ord(wrong):04X}.")
        if is_name_taken(name, but=self.resource):
            raise ValidationError(NAME_TAKEN)
        return name

    def clean_port_override(self) -> int:
        port: int | None = self.cleaned_data["port_override"]
        if port is None or port == NEW_PORT:
            # A form without the field leaves it as it is.
            return NEW_PORT if "port_override" in self.data else KEEP_PORT
        if not LOWEST <= port <= HIGHEST:
            raise ValidationError(PORT_RANGE)
        if holder := holder_of(port, but=self.resource):
            raise ValidationError(port_taken(holder))
        return port

    def details(self) -> Details:
        """What a valid form says."""
        data = self.cleaned_data
        return Details(data["name"], data["cluster"], self.part.target(), data["tags"], data["port_override"])


class CredentialForm(forms.Form):
    """One secret to replace, or, where the kind can do without it, to remove. Never filled in."""

    remove = forms.BooleanField(required=False)

    def __init__(self, data: QueryDict | None, *, resource: Resource, row: CredentialRow) -> None:
        super().__init__(data)
        self.row = row
        what = in_a_sentence(row.label)
        field = copy.deepcopy(KINDS[resource.kind].secret_fields[row.field])
        field.label = f"New {what}"
        field.widget.attrs["autofocus"] = True
        # Where it may be removed instead, `clean` asks for one of the two.
        field.required = row.required or row.credential is None
        self.fields["secret"] = field
        self.fields["remove"].label = f"Remove the stored {what}: the server asks for none"
        if field.required:
            del self.fields["remove"]
        name_what_is_missing(self)

    @property
    def forgot_secrets(self) -> bool:
        return bool(self.data.get("secret"))

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if "secret" in self.errors:
            return data
        if data.get("remove") and data["secret"]:
            self.add_error("remove", "Either a new one, or none. Clear one of the two.")
        elif not data.get("remove") and not data["secret"]:
            self.add_error("secret", self.fields["secret"].error_messages["required"])
        return data
