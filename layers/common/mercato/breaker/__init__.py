"""A circuit breaker for Lambda: all sandboxes share its state, and a healthy call costs no read and no write.

    payments = breaker_for("payment-provider", Policy(failing=(ProviderTimeout,)))
    charge = payments.call(lambda: provider.authorize(...), fallback=lambda rejection: LATER)

See docs/resilience.md.
"""

from mercato.breaker.breaker import Breaker
from mercato.breaker.circuits import Circuits
from mercato.breaker.errors import CircuitOpen
from mercato.breaker.policy import Outcome, Policy
from mercato.breaker.shared import breaker_for, circuits
from mercato.breaker.state import State, Status

__all__ = ["Breaker", "CircuitOpen", "Circuits", "Outcome", "Policy", "State", "Status", "breaker_for", "circuits"]
