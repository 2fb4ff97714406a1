// What every page can do with JavaScript: dialogs, copying, keys, live parts. Everything works without it.
(() => {
  "use strict";

  document.documentElement.classList.add("js");
  const announce = (text) => {
    document.getElementById("announcements").textContent = text;
  };

  // --- Dialogs: a fragment that arrives in #dialog opens it --------------------------------------

  const dialog = () => document.getElementById("dialog");

  const focusFirstError = (root) => {
    const field = root.querySelector('[aria-invalid="true"]') || root.querySelector(".form-errors[tabindex]");
    if (field) {
      field.focus({ preventScroll: true });
      // With its label above and the message below.
      (field.closest(".field") ?? field).scrollIntoView({ block: "center" });
    }
    return Boolean(field);
  };

  document.addEventListener("htmx:load", ({ detail: { elt } }) => {
    const box = dialog();
    if (box?.contains(elt) && !box.open) box.showModal();
    if (!focusFirstError(elt) && box?.contains(elt)) elt.querySelector("[autofocus]")?.focus();
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-close]")) {
      const open = event.target.closest("dialog");
      // A link that closes has an address for browsers without dialogs.
      if (open) {
        event.preventDefault();
        requestClose(open);
      }
    }
  });

  // Asks once before something that was not copied is lost, see key-modal.js.
  const requestClose = (open) => {
    if (open.dispatchEvent(new CustomEvent("console:closing", { cancelable: true, bubbles: true }))) open.close();
  };

  document.addEventListener("DOMContentLoaded", () => {
    const box = dialog();
    if (box) {
      box.addEventListener("cancel", (event) => {
        event.preventDefault();
        requestClose(box);
      });
      // What a dialog showed does not stay in the page behind it.
      box.addEventListener("close", () => {
        const url = box.querySelector("[data-after-close]")?.dataset.afterClose;
        box.replaceChildren();
        if (url) window.location.assign(url);
      });
    }
    focusFirstError(document);
  });

  // --- What went wrong on the way, said where the person looks -----------------------------------

  const UNREACHABLE = "The console did not answer. What you entered is still here: try again in a moment.";
  const FAILED = "The console could not finish this, and nothing was changed by halves. Its log says what happened.";
  const REFUSALS = {
    400: "This was more than the console takes. Shorten what you entered.",
    403: "You may not do this any more, or this page is too old. Load it again to see.",
    404: "This is not there any more. Load the page again to see what is.",
    413: "This was more than the console takes. Shorten what you entered.",
    429: "Too many attempts. Wait some minutes and try again.",
  };

  const complain = (text) => {
    document.querySelector("[data-problem]")?.remove();
    const problem = document.createElement("p");
    problem.className = "message message--error";
    problem.dataset.problem = "";
    problem.setAttribute("role", "alert");
    problem.textContent = text;
    // Nothing behind an open dialog is seen or heard.
    (document.querySelector("dialog[open] .dialog__body") ?? document.getElementById("main")).prepend(problem);
    problem.scrollIntoView({ block: "nearest" });
  };

  // --- Copying -----------------------------------------------------------------------------------

  const copyText = async (text) => {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    // Plain HTTP on another host than loopback has no clipboard object.
    const field = document.createElement("textarea");
    field.value = text;
    (document.querySelector("dialog[open]") || document.body).append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy], [data-copy-from]");
    if (!button) return;
    const source = button.dataset.copyFrom;
    const text = source ? document.getElementById(source).textContent : button.dataset.copy;
    try {
      await copyText(text);
    } catch {
      announce("The browser refused to copy. Select the text and copy it by hand.");
      return;
    }
    button.dataset.copied = "";
    announce("Copied");
    button.dispatchEvent(new CustomEvent("console:copied", { bubbles: true }));
    setTimeout(() => delete button.dataset.copied, 2000);
  });

  // --- Keys --------------------------------------------------------------------------------------

  const isTyping = (element) => element.closest("input, textarea, select, [contenteditable]") !== null;

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (event.key === "/") {
      const search = document.querySelector('input[type="search"]');
      if (search) {
        event.preventDefault();
        search.focus();
        search.select();
      }
    } else if (event.key === "?" && !document.querySelector("dialog[open]")) {
      document.getElementById("shortcuts")?.showModal();
    }
  });

  // --- Live parts: `hx-trigger="console:tick"` polls while the tab can be seen, see ui/live.py ----

  setInterval(() => {
    if (document.visibilityState !== "visible") return;
    for (const part of document.querySelectorAll("[data-live]")) {
      // Nobody's focus or selection is taken away by a refresh.
      const selection = document.getSelection();
      const isSelected = !selection.isCollapsed && selection.intersectsNode(part);
      if (!isSelected && !part.contains(document.activeElement)) part.dispatchEvent(new CustomEvent("console:tick"));
    }
  }, 5000);

  // What each live element shows, so that the next answer can be "not modified".
  const etags = new WeakMap();
  // What was open when an answer came stays open in what takes its place.
  const openDetails = new WeakMap();

  document.addEventListener("htmx:configRequest", ({ detail }) => {
    if (etags.has(detail.elt)) detail.headers["If-None-Match"] = etags.get(detail.elt);
  });

  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    const open = detail.requestConfig.elt.matches("[data-live]") ? detail.target.querySelectorAll("details[id][open]") : [];
    openDetails.set(detail.xhr, Array.from(open, (details) => details.id));
  });

  document.addEventListener("htmx:afterSwap", ({ target, detail }) => {
    if (!detail.requestConfig.elt.matches("[data-live]")) return;
    const etag = detail.xhr.getResponseHeader("ETag");
    if (etag && target.matches("[data-live]")) etags.set(target, etag);
    for (const id of openDetails.get(detail.xhr)) document.getElementById(id)?.setAttribute("open", "");
  });

  // Who may not see a part any more, or never can again, is not refused every five seconds.
  document.addEventListener("htmx:responseError", ({ detail }) => {
    if (detail.elt.matches("[data-live]")) {
      if ([403, 404].includes(detail.xhr.status)) detail.elt.removeAttribute("data-live");
    } else {
      complain(REFUSALS[detail.xhr.status] ?? FAILED);
    }
  });

  // A live part that gets no answer looks stale until the next one; the person did nothing to be told of.
  document.addEventListener("htmx:sendError", ({ detail }) => {
    if (detail.elt.matches("[data-live]")) detail.elt.classList.add("is-stale");
    else complain(UNREACHABLE);
  });

  document.addEventListener("htmx:beforeOnLoad", ({ detail }) => detail.elt.classList.remove("is-stale"));
  document.addEventListener("htmx:beforeRequest", ({ detail }) => {
    if (!detail.elt.matches("[data-live]")) document.querySelector("[data-problem]")?.remove();
  });

  // --- Rows that can be added: a template is cloned under the rows it belongs to -----------------

  document.addEventListener("click", (event) => {
    const add = event.target.closest("[data-add-row]");
    if (add) {
      const rows = document.getElementById(add.dataset.addRow);
      const row = document.getElementById(`${add.dataset.addRow}-template`).content.firstElementChild.cloneNode(true);
      rows.append(row);
      row.querySelector("input")?.focus();
    }
    const remove = event.target.closest("[data-remove-row]");
    if (remove) {
      const row = remove.closest("[data-row]");
      const rows = row.parentElement;
      // On to the next row, else the one before, else to what adds one: to nothing that opens a phone's keyboard.
      const next = (row.nextElementSibling ?? row.previousElementSibling)?.querySelector("[data-remove-row]");
      (next ?? document.querySelector(`[data-add-row="${rows.id}"]`))?.focus();
      row.remove();
      // As after typing: what follows the form, such as a preview, hears of it.
      rows.dispatchEvent(new Event("input", { bubbles: true }));
    }
  });
})();
