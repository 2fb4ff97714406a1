// The modal that shows a key once: asks before it closes uncopied, and leaves nothing of the secret behind.
(() => {
  "use strict";

  const modal = () => document.querySelector("[data-secret]");
  let copied = false;
  let asked = false;

  // A worker that joined has the key.
  const arrived = () => Boolean(modal()?.querySelector("[data-arrived]"));

  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target.id === "dialog") copied = asked = false;
    if (arrived()) modal().querySelector("[data-not-copied]").hidden = true;
  });

  document.addEventListener("console:copied", (event) => {
    if (event.target.closest("[data-secret]")) copied = true;
  });

  // A selection copied by hand counts as well.
  document.addEventListener("copy", () => {
    if (modal()) copied = true;
  });

  document.addEventListener("console:closing", (event) => {
    const question = modal()?.querySelector("[data-not-copied]");
    if (!question || copied || asked || arrived()) return;
    event.preventDefault();
    asked = true;
    question.hidden = false;
    question.scrollIntoView({ block: "nearest" });
  });

  // A page that comes back from the browser's cache must not bring the secret with it.
  window.addEventListener("pagehide", () => modal()?.replaceChildren());
})();
