"""How a machine is told where the control plane is."""

from django import template

from authority.selectors import control_plane_variables

register = template.Library()


@register.simple_tag
def control_plane_exports() -> str:
    """For a shell, a line each."""
    return "\n".join(f"export {name}={value}" for name, value in control_plane_variables().items())
