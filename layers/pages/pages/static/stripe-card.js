// The card goes from Stripe's own field to Stripe. This shop gets a token for it, and never sees a number.
"use strict";
const form = document.querySelector("form[data-stripe]");
if (form && window.Stripe) {
  const stripe = window.Stripe(form.dataset.stripe);
  const card = stripe.elements().create("card");
  const said = document.getElementById("card-error");
  const token = document.getElementById("payment_token");
  card.mount("#card");
  form.addEventListener("submit", async (event) => {
    if (token.value) return;
    event.preventDefault();
    const { error, paymentMethod } = await stripe.createPaymentMethod({ type: "card", card });
    said.textContent = error ? error.message : "";
    if (error) return;
    token.value = paymentMethod.id;
    form.requestSubmit();
  });
}

// The bank asks the shopper in Stripe's own window. The shop hears the outcome from Stripe.
const question = document.querySelector("form[data-stripe-confirm]");
if (question && window.Stripe) {
  const stripe = window.Stripe(question.dataset.stripeConfirm);
  question.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { error } = await stripe.handleNextAction({ clientSecret: question.dataset.secret });
    document.getElementById("confirm-error").textContent = error ? error.message : "";
    question.submit();
  });
}
