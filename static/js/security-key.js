// Forms that a security key or passkey answers:
//   <form data-security-key="get|create" data-options="id of a JSON script">, or data-options-url for options that
//   are fetched when they are needed. The answer goes into the field `credential`.
// webauthn-json.js, which allauth ships, translates between JSON and what browsers want.
(() => {
  "use strict";

  const PROBLEMS = {
    NotAllowedError: "Nothing was chosen, or it took too long. Try again.",
    InvalidStateError: "This key is there already.",
    SecurityError: "Security keys work under a host name with HTTPS, or under localhost; not under an IP address.",
  };

  const options = async (form) => {
    if (!form.dataset.optionsUrl) return JSON.parse(document.getElementById(form.dataset.options).textContent);
    const response = await fetch(form.dataset.optionsUrl, { headers: { Accept: "application/json" } });
    if (!response.ok) throw new Error(response.statusText);
    return (await response.json()).request_options;
  };

  const create = async (form) => {
    const wanted = await options(form);
    const selection = wanted.publicKey.authenticatorSelection;
    // A key that signs in alone keeps the account's name, and checks who holds it.
    const alone = form.elements.passwordless.checked;
    selection.residentKey = alone ? "required" : "discouraged";
    selection.requireResidentKey = alone;
    if (alone) selection.userVerification = "required";
    return window.webauthnJSON.create(wanted);
  };

  const get = async (form) => window.webauthnJSON.get(await options(form));

  const tell = (form, error) => {
    const place = form.querySelector("[data-problem]");
    place.textContent = window.PublicKeyCredential
      ? PROBLEMS[error.name] || "The security key could not be used. Try again."
      : PROBLEMS.SecurityError;
    place.hidden = false;
    place.focus();
  };

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (!form.dataset.securityKey) return;
    event.preventDefault();
    form.querySelector("[data-problem]").hidden = true;
    try {
      const answer = await (form.dataset.securityKey === "create" ? create(form) : get(form));
      form.elements.credential.value = JSON.stringify(answer);
    } catch (error) {
      tell(form, error);
      return;
    }
    form.submit();
  });
})();
