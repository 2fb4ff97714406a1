"""How forms are drawn: one field template for all of them."""

from django.forms.renderers import TemplatesSetting


class Renderer(TemplatesSetting):
    """Fields drawn with `{{ field.as_field_group }}` use our template, as does everything else of ours."""

    field_template_name = "components/field.html"
