// The card goes from Stripe's own field to Stripe. This shop gets a name for it, and never sees a number.
"use strict";
const paying = document.querySelector("form[data-stripe]:not([data-secret])");
const asking = document.querySelector("form[data-stripe][data-secret]");
const AWAY = "Stripe's part of this page did not load. Please load the page again, or let js.stripe.com through.";
const stripe = (paying || asking) && window.Stripe ? window.Stripe((paying || asking).dataset.stripe) : null;

function free(form) {
  for (const button of form.querySelectorAll("button[data-once]")) setTimeout(() => (button.disabled = false), 0);
}

function colours() {
  const of = getComputedStyle(document.documentElement);
  const [ink, quiet, bad] = ["--ink", "--ink-2", "--bad"].map((name) => of.getPropertyValue(name).trim());
  return { base: { color: ink, iconColor: quiet, fontSize: "16px", "::placeholder": { color: quiet } }, invalid: { color: bad, iconColor: bad } };
}

if (paying) {
  const said = document.getElementById("card-error");
  const token = document.getElementById("card-token");
  const card = stripe?.elements().create("card", { style: colours() });
  if (!card) said.textContent = AWAY;
  card?.mount("#card");
  card?.on("change", ({ error, empty }) => {
    said.textContent = error ? error.message : "";
    if (!empty) token.value = ""; // another card than the one that the shop knows
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => card?.update({ style: colours() }));
  let isAsked = false;
  paying.addEventListener("submit", async (event) => {
    if (token.value || event.submitter?.hasAttribute("formaction")) return;
    event.preventDefault();
    if (!card || isAsked) return;
    isAsked = true;
    const { error, paymentMethod } = await stripe.createPaymentMethod({ type: "card", card });
    isAsked = false;
    said.textContent = error ? error.message : "";
    if (error) return free(paying);
    token.value = paymentMethod.id;
    paying.requestSubmit();
  });
}

// The bank asks the shopper in Stripe's own window. The shop hears the outcome from Stripe, whatever is said here.
if (asking) {
  const said = document.getElementById("confirm-error");
  if (!stripe) said.textContent = AWAY;
  let isAsked = false;
  asking.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!stripe || isAsked) return;
    isAsked = true;
    said.textContent = "";
    const { error } = await stripe.handleNextAction({ clientSecret: asking.dataset.secret }).catch(() => ({}));
    isAsked = false;
    if (error?.type !== "api_connection_error") return asking.submit();
    said.textContent = error.message;
  });
}
