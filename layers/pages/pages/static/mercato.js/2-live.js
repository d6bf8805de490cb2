// What HTML cannot do by itself, and the pages do without where there is no script.
(() => {
  "use strict";

  // A tab that nobody looks at does not ask for news.
  document.addEventListener("htmx:before:request", (event) => {
    const element = event.target;
    if (document.hidden && element instanceof Element && element.matches("[data-live]")) event.preventDefault();
  });

  // A link in a mail carries its secret behind #, which no server sees: it goes into the form.
  const secret = document.querySelector("[data-from-fragment]");
  const found = /(?:^|[#&])token=([^&]+)/.exec(location.hash);
  if (secret && found) {
    secret.value = decodeURIComponent(found[1]);
    history.replaceState(null, "", location.pathname);
    if (secret.form.matches("[data-open]")) secret.form.requestSubmit();
  }

  // After a form that was refused, the reader starts at what is wrong.
  document.getElementById("trouble")?.focus();

  // A form is sent once: the server knows it by its key in any case.
  document.addEventListener("submit", (event) => {
    for (const button of event.target.querySelectorAll("button[data-once]")) {
      setTimeout(() => (button.disabled = true), 0);
      setTimeout(() => (button.disabled = false), 8000);
    }
  });

  // A field that sends its form when it changes, such as a slider.
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-send]")) event.target.form.requestSubmit();
  });

  // A file that its form's receiver would refuse is told here: the refusal of S3 is XML.
  document.addEventListener("change", ({ target }) => {
    if (!target.matches("[data-most]")) return;
    const [size, most] = [target.files[0]?.size, Number(target.dataset.most)];
    const megabytes = (bytes) => `${Math.ceil(bytes / 104857.6) / 10} MB`;
    const large = size > most ? `This file has ${megabytes(size)}. It may have ${megabytes(most)}.` : "";
    target.setCustomValidity(size === 0 ? "This file is empty." : large);
    target.reportValidity();
  });
})();
