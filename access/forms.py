"""Forms of the access pages. They check and normalise; services write."""

import datetime as dt
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

from access import selectors
from access.fields import PersonField, ResourceField, RoleField
from access.giving import period_problem
from access.matching import Conditions, Selection, conditions_of
from access.models import MAX_NAME, MAX_REASON, MAX_RULE_RESOURCES, Role, Rule
from accounts.models import Account
from audit.forms import MomentField
from clusters.conflicts import VersionField
from clusters.forms import PLAIN_INPUT
from clusters.tags import TagsField, tags_of
from resources.forms import ClusterField
from resources.kinds import KINDS
from resources.models import MAX_NAME as MAX_RESOURCE_NAME
from resources.models import Resource

NAME_TAKEN = "Another role has this name. Names are unique, whatever their case."
CLUSTER_GONE = "This proxy cluster was deleted meanwhile. Choose another, or leave it empty."
NO_CONDITION = "Choose a kind, a tag or a proxy cluster: a rule without any of them would open nothing."
NONE_CHOSEN = "Name one resource at least: a rule without any would open nothing."
# How long temporary access is when nobody says otherwise.
_USUAL = dt.timedelta(hours=2)
_UNKNOWN_SHOWN = 5


class RoleForm(forms.Form):
    """Name and tags. `role` is None when a new one is made."""

    name = forms.CharField(
        max_length=MAX_NAME,
        widget=forms.TextInput(attrs={**PLAIN_INPUT, "placeholder": "on-call engineers"}),
        error_messages={"required": "Enter a name, such as on-call engineers."},
    )
    tags = TagsField()
    version = VersionField(required=False)

    def __init__(self, *args: Any, role: Role | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.role = role

    @staticmethod
    def initial_of(role: Role) -> dict[str, Any]:
        return {"name": role.name, "tags": tags_of(list(role.tags.all())), "version": role.version}

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        wrong = next((character for character in name if not character.isprintable()), None)
        if wrong is not None:
            raise ValidationError(f"A name cannot contain the invisible character U+{ord(wrong):04X}.")
        if selectors.is_name_taken(name, but=self.role):
            raise ValidationError(NAME_TAKEN)
        return name


class RuleForm(forms.Form):
    """Which resources a rule opens. Of the two ways only the fields of the chosen one count."""

    way = forms.ChoiceField(
        label="Which resources",
        choices=[(Rule.Way.MATCHING, "All that match, now and later"), (Rule.Way.CHOSEN, "These, by name")],
        widget=forms.RadioSelect,
        error_messages={"required": "Choose how resources are found."},
    )
    kinds = forms.MultipleChoiceField(
        label="Of one of these kinds",
        choices=[(slug, kind.label) for slug, kind in KINDS.items()],
        widget=forms.CheckboxSelectMultiple,
        required=False,
        help_text="None chosen: of any kind.",
        error_messages={"invalid_choice": "“%(value)s” is no kind of resource here."},
    )
    tags = TagsField(
        label="With all these tags", help_text="Key and value are compared whole, and case counts."
    )
    cluster = ClusterField(label="In this proxy cluster", help_text="Left empty: in any.")
    resources = forms.CharField(
        label="Resources, one in a line",
        required=False,
        max_length=MAX_RULE_RESOURCES * (MAX_RESOURCE_NAME + 2),
        widget=forms.Textarea(attrs={**PLAIN_INPUT, "rows": 8}),
        help_text=f"Names as the list of resources shows them, up to {MAX_RULE_RESOURCES:,}.",
    )
    version = VersionField(required=False)

    @staticmethod
    def initial_of(rule: Rule) -> dict[str, Any]:
        conditions = conditions_of(rule)
        chosen = rule.chosen.order_by("resource__name_folded").values_list("resource__name", flat=True)
        return {
            "way": rule.way,
            "kinds": list(conditions.kinds),
            "tags": dict(conditions.tags),
            "cluster": rule.cluster.name if rule.cluster else "",
            "resources": "\n".join(chosen),
            "version": rule.role.version,
        }

    def clean_resources(self) -> list[Resource]:
        stripped = (line.strip() for line in self.cleaned_data["resources"].splitlines())
        lines = list(dict.fromkeys(line for line in stripped if line))
        if len(lines) > MAX_RULE_RESOURCES:
            raise ValidationError(
                f"A rule names {MAX_RULE_RESOURCES:,} resources at most, these are {len(lines):,}. "
                "Give them a tag, and let the rule open what has it."
            )
        resources, unknown = selectors.resources_named(lines)
        if unknown:
            more = len(unknown) - _UNKNOWN_SHOWN
            raise ValidationError(
                [_not_there(line) for line in unknown[:_UNKNOWN_SHOWN]]
                + ([f"And {more:,} more lines name no resource."] if more > 0 else [])
            )
        return resources

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        chosen = data.get("way") == Rule.Way.CHOSEN
        for name in ("kinds", "tags", "cluster") if chosen else ("resources",):
            self.errors.pop(name, None)
        if self.errors:
            return data
        if chosen and not data["resources"]:
            self.add_error("resources", NONE_CHOSEN)
        if not chosen and not (data["kinds"] or data["tags"] or data["cluster"]):
            self.add_error("kinds", NO_CONDITION)
        return data

    def selection(self) -> Selection:
        """What a valid form says."""
        data = self.cleaned_data
        if data["way"] == Rule.Way.CHOSEN:
            return Selection(chosen=data["resources"])
        cluster = data["cluster"]
        return Selection(conditions=Conditions(data["kinds"], data["tags"], cluster.pk if cluster else None))


def _not_there(line: str) -> str:
    short = line if len(line) <= 60 else line[:59] + "…"
    near = " or ".join(
        selectors.nearest(Resource.objects.all(), "name_folded", "name", line[:MAX_RESOURCE_NAME])
    )
    return f"There is no resource “{short}”.{f' Did you mean {near}?' if near else ''}"


class MemberForm(forms.Form):
    person = PersonField(
        help_text="The e-mail address; of a service account, its name and @service.",
        error_messages={"required": "Enter the e-mail address of somebody here."},
    )


class GrantForm(forms.Form):
    """Temporary access: who, to what, from when until when, and why."""

    person = PersonField(
        help_text="The e-mail address; of a service account, its name and @service.",
        error_messages={"required": "Enter the e-mail address of somebody here."},
    )
    resource = ResourceField(required=False)
    role = RoleField(
        required=False,
        label="Or all that a role opens",
        help_text="Fill in one of the two: a resource, or a role.",
    )
    starts_at = MomentField(label="From (UTC)", required=False, help_text="Left empty: at once.")
    ends_at = MomentField(label="Until (UTC)", error_messages={"required": "Enter when it ends."})
    reason = forms.CharField(
        max_length=MAX_REASON,
        widget=forms.TextInput(attrs={"autocomplete": "off", "placeholder": "Incident 4711"}),
        help_text="For those who read the log later.",
        error_messages={"required": "Say why, for those who read the log later."},
    )

    @staticmethod
    def initial_of(
        *, account: Account | None, resource: Resource | None, role: Role | None
    ) -> dict[str, Any]:
        end = timezone.now() + _USUAL
        return {
            "person": account.email if account else "",
            "resource": resource.name if resource else "",
            "role": role.name if role else "",
            "ends_at": f"{end:%Y-%m-%dT%H:%M}",
        }

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        resource, role = data.get("resource"), data.get("role")
        if resource and role:
            self.add_error("role", "Either a resource or a role. Clear one of the two.")
        elif not (resource or role or {"resource", "role"} & self.errors.keys()):
            self.add_error("resource", "Enter a resource here, or a role below.")
        data["starts_at"] = data.get("starts_at") or timezone.now()
        if data.get("ends_at") and (problem := period_problem(data["starts_at"], data["ends_at"])):
            self.add_error("ends_at", problem)
        return data
