"""How forms are drawn: one field template for all of them."""

from typing import Any

from django import forms
from django.forms.renderers import TemplatesSetting
from django.forms.utils import flatatt
from django.utils.safestring import SafeString

from ui import cells


class Renderer(TemplatesSetting):
    """Fields drawn with `{{ field.as_field_group }}` use our template, as does everything else of ours."""

    field_template_name = "components/field.html"


class Select(forms.Select):
    """A list to choose from, drawn without two templates for each of its entries."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        widget = self.get_context(name, value, attrs)["widget"]
        groups = cells.html_join("{}", ([_group(group, some)] for group, some, _ in widget["optgroups"]))
        return cells.html('<select name="{}"{}>{}</select>', name, flatatt(widget["attrs"]), groups)


def _group(name: str | None, options: list[dict[str, Any]]) -> SafeString:
    entries = ((option["value"], flatatt(option["attrs"]), option["label"]) for option in options)
    drawn = cells.html_join('<option value="{}"{}>{}</option>\n', entries)
    return cells.html('<optgroup label="{}">{}</optgroup>', name, drawn) if name else drawn
