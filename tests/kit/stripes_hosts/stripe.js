(() => {
  const JS = "https://js.stripe.com", HOOKS = "https://hooks.stripe.com", API = "https://api.stripe.com";
  let asked = 0;

  function frame(parent, url, title) {
    const found = document.createElement("iframe");
    found.src = url;
    found.title = title;
    found.style.cssText = "border: 0; width: 100%; height: 1.4em; display: block";
    parent.append(found);
    return found;
  }

  function answerOf(source, origin, id) {
    return new Promise((resolve) => addEventListener("message", function hear(event) {
      if (event.source !== source.contentWindow || event.origin !== origin || event.data.id !== id) return;
      removeEventListener("message", hear);
      resolve(event.data);
    }));
  }

  class Card {
    constructor(options) { this.options = options; this.handlers = {}; }
    mount(where) {
      this.place = typeof where === "string" ? document.querySelector(where) : where;
      this.place.classList.add("StripeElement", "StripeElement--empty");
      this.frame = frame(this.place, `${JS}/v3/elements-inner-card.html`, "Secure card payment input frame");
      addEventListener("message", ({ source, origin, data }) => {
        if (source !== this.frame.contentWindow || origin !== JS || data.id) return;
        if (data.type === "change") this.place.classList.toggle("StripeElement--empty", data.event.empty);
        if (data.type === "focus") this.place.classList.add("StripeElement--focus");
        if (data.type === "blur") this.place.classList.remove("StripeElement--focus");
        this.handlers[data.type]?.(data.event);
      });
      this.frame.addEventListener("load", () => this.update(this.options));
      return this;
    }
    on(type, handler) { this.handlers[type] = handler; return this; }
    update(options) { this.frame.contentWindow.postMessage({ style: options.style?.base ?? {} }, JS); }
  }

  window.Stripe = (key) => {
    if (typeof key !== "string" || !key.startsWith("pk_")) throw new Error("Missing value for Stripe(): apiKey should be a string.");
    return {
      elements: () => ({ create: (type, options = {}) => {
        if (type !== "card") throw new Error(`A valid Element name must be provided, not ${type}.`);
        return new Card(options);
      } }),
      async createPaymentMethod({ type, card }) {
        if (type !== "card" || !(card instanceof Card) || !card.frame) throw new Error("We could not retrieve data from the specified Element.");
        const id = ++asked, told = answerOf(card.frame, JS, id);
        card.frame.contentWindow.postMessage({ id, key }, JS);
        const { error, paymentMethod } = await told;
        card.place.classList.toggle("StripeElement--invalid", Boolean(error));
        return error ? { error } : { paymentMethod };
      },
      async handleNextAction({ clientSecret }) {
        const intent = clientSecret.split("_secret_")[0];
        let found;
        try {
          found = await (await fetch(`${API}/v1/payment_intents/${intent}?key=${key}&client_secret=${clientSecret}`)).json();
        } catch {
          return { error: { type: "api_connection_error", message: "We could not reach Stripe. Please try again." } };
        }
        if (found.status !== "requires_action") throw new Error("handleNextAction: The PaymentIntent supplied is not in the requires_action state.");
        const window = frame(document.body, `${HOOKS}/3d_secure_2/challenge#${clientSecret}`, "3D Secure authentication frame");
        window.style.cssText = "position: fixed; inset: 10% 10%; width: 80%; height: 80%; background: white; z-index: 9";
        const { isConfirmed } = await answerOf(window, HOOKS, clientSecret);
        window.remove();
        return isConfirmed ? { paymentIntent: { id: intent, status: "requires_capture" } } : { error: {
          type: "invalid_request_error", code: "payment_intent_authentication_failure",
          message: "We are unable to authenticate your payment method. Please choose a different payment method and try again.",
        } };
      },
    };
  };
})();
