"""Settings > Certificates: the authorities, what they trust, and their rotation."""

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_safe

from accounts.http import AccountRequest
from accounts.models import Account
from accounts.reauthentication import reauthenticate, recently_authenticated
from audit.services import require
from authority import selectors, services
from authority.forms import StepForm
from authority.models import Purpose
from authority.selectors import Step
from ui import messages
from ui.pagination import paginate
from ui.responses import go, render_form

_DONE = {
    Step.BEGIN: "The next authority is made and trusted. It signs when you switch to it.",
    Step.SWITCH: "The new authority signs from now on. The old one is trusted until you retire it.",
    Step.FINISH: "The old authority is retired. Nothing that it signed is accepted any more.",
}


@require_safe
def authority_list(request: AccountRequest) -> HttpResponse:
    require(request.user, "authority.view")
    revoked = selectors.revoked_certificates()
    context = {
        "overviews": [selectors.overview(purpose) for purpose in Purpose],
        "page": paginate(revoked, request.GET, field="revoked_at", descending=True, total=revoked.count()),
    }
    return render(request, "authority/authority_list.html", context)


@require_safe
def trusted_download(request: AccountRequest, purpose: str) -> HttpResponse:
    """The certificates to trust, as one file. Not there before the first was made."""
    require(request.user, "authority.view")
    bundle = "".join(selectors.trusted(selectors.purpose_or_404(purpose)))
    if not bundle:
        raise Http404
    return HttpResponse(
        bundle,
        content_type="application/x-pem-file",
        headers={"Content-Disposition": f'attachment; filename="{purpose}-ca.pem"'},
    )


@require_http_methods(["GET", "HEAD", "POST"])
def rotation_step(request: AccountRequest, purpose: str, step: str) -> HttpResponse:
    require(request.user, services.CHANGE)
    overview = selectors.overview(selectors.purpose_or_404(purpose))
    wanted = selectors.step_or_404(step)
    if not recently_authenticated(request):
        messages.info(request, "Confirm that it is you, then go on.")
        return reauthenticate(request, next_url=request.path)
    if overview.step != wanted:
        messages.error(request, "This is not the next step, or somebody has taken it already.")
        return go(request, "authority:authority-list")
    sent = request.method == "POST"
    form = StepForm(request.POST if sent else None, warning=overview.warning)
    if sent and form.is_valid():
        try:
            _take(wanted, request.user, overview.purpose, forced=bool(form.cleaned_data.get("forced")))
        except services.Refused as error:
            messages.error(request, str(error))
        else:
            messages.success(request, _DONE[wanted])
        return go(request, "authority:authority-list")
    return render_form(request, "authority/rotation_step.html", form, {"overview": overview, "step": wanted})


def _take(step: Step, actor: Account, purpose: Purpose, *, forced: bool) -> None:
    match step:
        case Step.BEGIN:
            services.rotation_begin(actor=actor, purpose=purpose)
        case Step.SWITCH:
            services.rotation_switch(actor=actor, purpose=purpose, forced=forced)
        case Step.FINISH:
            services.rotation_finish(actor=actor, purpose=purpose, forced=forced)
