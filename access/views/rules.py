"""The tab Rules of a role, and the editor of a rule with its preview."""

from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from access import selectors, services
from access.forms import CLUSTER_GONE, RuleForm
from access.matching import any_of, opened_by
from access.models import MAX_RULES, Role, Rule
from access.views.roles import render_tab
from accounts.http import AccountRequest
from clusters.conflicts import Conflict, conflicting_changes
from clusters.models import Cluster
from ui import messages
from ui.responses import is_fragment_request


@require_safe
def role_rules(request: AccountRequest, role_id: str) -> HttpResponse:
    role = selectors.role_or_404(request.user, role_id)
    rows = selectors.rule_rows(role)
    context = {"rows": rows, "full": len(rows) >= MAX_RULES, "most": MAX_RULES}
    return render_tab(request, "access/role_rules.html", role, "rules", context)


@require_http_methods(["GET", "HEAD", "POST"])
def rule_create(request: AccountRequest, role_id: str) -> HttpResponse:
    role = selectors.role_or_404(request.user, role_id, "access.change")
    sent = request.method == "POST"
    form = RuleForm(request.POST if sent else None, initial={"way": Rule.Way.MATCHING})
    if sent and form.is_valid() and _add(request, role, form):
        return redirect("access:role-rules", role.pk)
    return _render_editor(request, role, None, form, {}, status=422 if sent else 200)


def _add(request: AccountRequest, role: Role, form: RuleForm) -> bool:
    """Whether it was added; if not, the form says why."""
    try:
        services.rule_add(actor=request.user, role=role, selection=form.selection())
    except services.Refused as error:
        form.add_error(None, str(error))
    except Cluster.DoesNotExist:
        form.add_error("cluster", CLUSTER_GONE)
    except Role.DoesNotExist as error:
        raise Http404 from error
    else:
        messages.success(
            request, f"The rule is added. Members of {role.name} reach what it opens from now on."
        )
        return True
    return False


@require_http_methods(["GET", "HEAD", "POST"])
def rule_edit(request: AccountRequest, role_id: str, rule_id: str) -> HttpResponse:
    rule = selectors.rule_or_404(request.user, role_id, rule_id)
    sent = request.method == "POST"
    form = RuleForm(request.POST if sent else None, initial=RuleForm.initial_of(rule))
    context: dict[str, Any] = {}
    if sent and form.is_valid():
        try:
            if _change(request, rule, form):
                return redirect("access:role-rules", rule.role_id)
        except Conflict:
            context["conflict"] = conflicting_changes(rule.role, form)
    status = (409 if context else 422) if sent else 200
    return _render_editor(request, rule.role, rule, form, context, status=status)


def _change(request: AccountRequest, rule: Rule, form: RuleForm) -> bool:
    """Whether it was saved, or needed no saving; if not, the form says why."""
    version = form.cleaned_data["version"]
    try:
        changed = services.rule_change(
            actor=request.user, rule=rule, version=version, selection=form.selection()
        )
    except Cluster.DoesNotExist:
        form.add_error("cluster", CLUSTER_GONE)
        return False
    except Rule.DoesNotExist as error:
        raise Http404 from error
    messages.success(request, "Saved." if changed else "Nothing was different, so nothing was changed.")
    return True


@require_POST
def rule_preview(request: AccountRequest, role_id: str, rule_id: str = "") -> HttpResponse:
    """What the rule in the form would open. Sent as a form because it can be long; nothing is written."""
    role = selectors.role_or_404(request.user, role_id, "access.change")
    rule = selectors.rule_or_404(request.user, role_id, rule_id) if rule_id else None
    return _render_editor(request, role, rule, RuleForm(request.POST), {})


def _render_editor(
    request: AccountRequest,
    role: Role,
    rule: Rule | None,
    form: RuleForm,
    context: dict[str, Any],
    *,
    status: int = 200,
) -> HttpResponse:
    shown = None
    if form.is_bound:
        shown = selectors.preview(form.selection().resources()) if form.is_valid() else None
    elif rule is not None:
        shown = selectors.preview(any_of(opened_by([rule])))
    context = {"role": role, "rule": rule, "form": form, "preview": shown, **context}
    part = "#preview" if is_fragment_request(request) else ""
    return render(request, f"access/rule_form.html{part}", context, status=status)


@require_POST
def rule_remove(request: AccountRequest, role_id: str, rule_id: str) -> HttpResponse:
    rule = selectors.rule_or_404(request.user, role_id, rule_id)
    if services.rule_remove(actor=request.user, rule=rule):
        messages.success(request, "The rule is removed. What it alone opened is cut within seconds.")
    else:
        messages.info(request, "Somebody else removed this rule meanwhile.")
    return redirect("access:role-rules", role_id)
