"""Forms of the cluster pages. They check and normalise; services write."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator

from clusters.conflicts import VersionField
from clusters.models import MAX_NAME, Cluster
from clusters.selectors import is_name_taken
from clusters.services import Window
from clusters.tags import TagsField, tags_of
from clusters.windows import MAX_WINDOWS, check_schedule
from sdm.contract.address import MAX_LENGTH as MAX_ADDRESS_LENGTH
from sdm.contract.address import Address

PLAIN_INPUT = {"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}

check_name = RegexValidator(
    r"\A[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\Z",
    "Use letters, digits and hyphens, as in keen-coffee; a hyphen stands between others.",
)


class ClusterForm(forms.Form):
    """Name, advertised address and tags. `cluster` is None when a new one is made; then an empty name means any."""

    # The name that was proposed: a form whose name was emptied makes one cluster, however often it is sent.
    proposed = forms.CharField(
        max_length=MAX_NAME, validators=[check_name], required=False, widget=forms.HiddenInput
    )
    name = forms.CharField(
        max_length=MAX_NAME, validators=[check_name], widget=forms.TextInput(attrs=PLAIN_INPUT), label="Name"
    )
    address = forms.CharField(
        max_length=MAX_ADDRESS_LENGTH,
        label="Advertised Address",
        help_text="Where clients connect: the load balancer in front of the workers, or the one worker, with the port.",
        widget=forms.TextInput(attrs={**PLAIN_INPUT, "placeholder": "111.111.111.111:443"}),
        error_messages={"required": "Enter where clients connect, such as 111.111.111.111:443."},
    )
    tags = TagsField()
    version = VersionField(required=False)

    def __init__(self, *args: Any, cluster: Cluster | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.cluster = cluster
        self.fields["name"].required = cluster is not None
        if cluster is None:
            self.fields[
                "name"
            ].help_text = "Letters, digits and hyphens. Left empty, it gets a name such as this one."

    @staticmethod
    def initial_of(cluster: Cluster) -> dict[str, Any]:
        return {
            "name": cluster.name,
            "address": cluster.address,
            "tags": tags_of(list(cluster.tags.all())),
            "version": cluster.version,
        }

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"] or self.cleaned_data.get("proposed", "")
        if name and is_name_taken(name, but=self.cluster):
            raise ValidationError(NAME_TAKEN)
        return name

    def clean_address(self) -> Address:
        try:
            return Address.parse(self.cleaned_data["address"])
        except ValueError as error:
            raise ValidationError(str(error)) from None


NAME_TAKEN = "Another proxy cluster has this name. Names are unique, whatever their case."


class WindowRows(forms.Widget):
    """Rows of a schedule and whether it waits for idleness, named `schedule` and `idle`."""

    template_name = "clusters/window_rows.html"
    use_fieldset = True

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> list[tuple[str, str]]:
        schedules, idle = (data.getlist(part) for part in ("schedule", "idle"))  # type: ignore[attr-defined]  # forms are bound to a QueryDict
        idle += [""] * (len(schedules) - len(idle))
        return [(schedule, when) for schedule, when in zip(schedules, idle, strict=False) if schedule.strip()]

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        rows = [(schedule, idle, bool(_problem(schedule))) for schedule, idle in (value or [])[:MAX_WINDOWS]]
        # The row that is wrong is the one that takes the focus.
        context["widget"]["rows"] = [*rows, ("", "", False)]
        return context


def _problem(schedule: str) -> str:
    try:
        check_schedule(schedule)
    except ValueError as error:
        return str(error)
    return ""


class WindowsField(forms.Field):
    widget = WindowRows

    def clean(self, value: list[tuple[str, str]]) -> list[Window]:
        if len(value) > MAX_WINDOWS:
            raise ValidationError(f"There can be at most {MAX_WINDOWS} windows.")
        problems = [f"“{schedule[:40]}”: {wrong}" for schedule, _ in value if (wrong := _problem(schedule))]
        if problems:
            raise ValidationError(problems)
        windows = [Window(check_schedule(schedule), idle == "yes") for schedule, idle in value]
        if windows and all(window.require_idleness for window in windows):
            raise ValidationError(
                "One window must be forced: a worker that is never idle could otherwise never restart."
            )
        return windows


class WindowsForm(forms.Form):
    windows = WindowsField(required=False, label="Windows")
    version = VersionField(required=False)

    @staticmethod
    def initial_of(cluster: Cluster) -> dict[str, Any]:
        rows = [
            (window.cron_schedule, "yes" if window.require_idleness else "no")
            for window in cluster.maintenance_windows.all()
        ]
        return {"windows": rows, "version": cluster.version}


class DeletionForm(forms.Form):
    """The name typed again, where more than one thing would be lost."""

    name = forms.CharField(max_length=200, widget=forms.TextInput(attrs=PLAIN_INPUT), strip=True)

    def __init__(self, *args: Any, expected: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.expected = expected
        self.fields["name"].label = f"Type {expected} to confirm"
        self.fields["name"].error_messages["required"] = f"Type {expected} to confirm that you mean it."

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if name != self.expected:
            raise ValidationError(f"This is not its name. Type {self.expected} exactly.")
        return name
