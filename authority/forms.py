from typing import Any

from django import forms


class StepForm(forms.Form):
    """One step of a rotation. Where it would shut somebody out, that has to be wanted."""

    forced = forms.BooleanField(
        label="Do it anyway",
        error_messages={"required": "Tick this to do it anyway, or wait."},
    )

    def __init__(self, *args: Any, warning: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not warning:
            del self.fields["forced"]
