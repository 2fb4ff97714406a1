"""Replacing a stored secret. What was typed goes into the envelope and nowhere else."""

from django.http import Http404, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts.http import AccountRequest
from accounts.reauthentication import reauthenticate, recently_authenticated
from resources import selectors, services
from resources.forms import CredentialForm
from resources.models import Resource
from ui import messages
from ui.responses import go, render_form


@sensitive_post_parameters()
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def credential_replace(request: AccountRequest, resource_id: str, field: str) -> HttpResponse:
    resource = selectors.resource_or_404(request.user, resource_id, "resources.replace_credentials")
    row = next((row for row in selectors.credential_rows(resource) if row.field == field), None)
    if row is None:
        raise Http404
    if not recently_authenticated(request):
        if request.method == "POST":
            messages.warning(
                request,
                f"Nothing was changed. Confirm that it is you, then enter the {row.label.lower()} again.",
            )
        return reauthenticate(request, next_url=request.path)
    form = CredentialForm(request.POST if request.method == "POST" else None, resource=resource, row=row)
    if request.method == "POST" and form.is_valid():
        _save(request, resource, form)
        return go(request, "resources:resource-detail", resource.pk)
    context = {"resource": resource, "row": row}
    return render_form(request, "resources/credential_form.html", form, context)


def _save(request: AccountRequest, resource: Resource, form: CredentialForm) -> None:
    label, field = form.row.label, form.row.field
    try:
        if form.cleaned_data.get("remove"):
            services.credential_remove(actor=request.user, resource=resource, field=field)
            messages.success(request, f"{label} removed.")
        else:
            secret = form.cleaned_data["secret"]
            services.credential_replace(actor=request.user, resource=resource, field=field, secret=secret)
            messages.success(request, f"{label} replaced. New sessions use it within a minute.")
    except Resource.DoesNotExist:
        raise Http404 from None
