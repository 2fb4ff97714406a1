// Suggestions under a search field: an ARIA combobox (WAI-ARIA Authoring Practices, "list autocomplete").
(() => {
  "use strict";

  const DELAY = 120;

  const enhance = (input) => {
    const list = document.getElementById(input.getAttribute("aria-controls"));
    let timer = 0;
    let request = null;

    const options = () => [...list.querySelectorAll('[role="option"]')];
    const selected = () => list.querySelector('[aria-selected="true"]');

    const close = () => {
      list.hidden = true;
      list.replaceChildren();
      input.setAttribute("aria-expanded", "false");
      input.removeAttribute("aria-activedescendant");
    };

    const select = (option) => {
      selected()?.setAttribute("aria-selected", "false");
      if (!option) return input.removeAttribute("aria-activedescendant");
      option.setAttribute("aria-selected", "true");
      option.scrollIntoView({ block: "nearest" });
      input.setAttribute("aria-activedescendant", option.id);
    };

    const take = (option) => {
      input.value = option.dataset.text;
      input.setSelectionRange(Number(option.dataset.cursor), Number(option.dataset.cursor));
      input.focus();
      close();
      input.dispatchEvent(new Event("input", { bubbles: true }));
    };

    const ask = async () => {
      request?.abort();
      request = new AbortController();
      const url = new URL(input.dataset.completions, window.location.href);
      url.searchParams.set("q", input.value.slice(0, 4000));
      url.searchParams.set("cursor", input.selectionStart);
      try {
        const response = await fetch(url, { signal: request.signal, headers: { "X-Requested-With": "fetch" } });
        if (!response.ok || response.redirected) return close();
        list.innerHTML = await response.text();
      } catch (error) {
        if (error.name !== "AbortError") close();
        return;
      }
      const any = options().length > 0 && document.activeElement === input;
      list.hidden = !any;
      input.setAttribute("aria-expanded", String(any));
      input.removeAttribute("aria-activedescendant");
    };

    input.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(ask, DELAY);
    });

    // Where there is a handful to choose from, they are shown before anything is typed.
    if (input.dataset.openOnFocus !== undefined) {
      input.addEventListener("click", () => list.hidden && ask());
      // The list of browsers without scripts would stand beside ours.
      input.removeAttribute("list");
    }

    input.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown" && list.hidden) return void ask();
      if (list.hidden) return;
      const all = options();
      const at = all.indexOf(selected());
      if (event.key === "ArrowDown") select(all[(at + 1) % all.length]);
      else if (event.key === "ArrowUp") select(all[at <= 0 ? all.length - 1 : at - 1]);
      else if (event.key === "Enter" && selected()) take(selected());
      else if (event.key === "Escape") close();
      else return;
      event.preventDefault();
    });

    // The pointer must not take the focus from the field before the click counts.
    list.addEventListener("mousedown", (event) => event.preventDefault());
    list.addEventListener("click", (event) => {
      const option = event.target.closest('[role="option"]');
      if (option) take(option);
    });

    input.addEventListener("blur", close);
    input.form?.addEventListener("submit", () => {
      clearTimeout(timer);
      request?.abort();
      close();
    });
  };

  document.querySelectorAll("[data-completions]").forEach(enhance);
})();
