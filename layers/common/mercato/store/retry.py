"""The retry of an optimistic lock: load, decide, write on the condition that nothing has changed, and start again."""

from __future__ import annotations

from collections.abc import Callable

from mercato.errors import TransientError

# For a change that names the version that it replaces: the second look tells the same change, sent twice at once, from
# another one.
RESEND_ATTEMPTS = 2


def retry_on_conflict[S, T](
    load: Callable[[], S],
    write: Callable[[S], T],
    *,
    conflict: type[Exception],
    attempts: int,
    exhausted: str | None = None,
    seen: S | None = None,
) -> T:
    """Returns the result of `write` for the state that `load` returns. After a `conflict` loads again.

    `seen` is a state that the caller has loaded already: the first attempt uses it. `write` runs once for each attempt,
    so what it does before its conditional write must be harmless to repeat. Only `write` may raise the conflict: an
    error of `load` ends the retries.

    After the last attempt raises TransientError with the text `exhausted`, or the conflict itself if there is none.

    There is no pause: a conflict means that another writer has finished, and the next load sees its write. Transactions
    that collide before either finishes are paused and repeated by Table.
    """
    state = load() if seen is None else seen
    for _ in range(attempts - 1):
        try:
            return write(state)
        except conflict:
            state = load()
    try:
        return write(state)
    except conflict:
        if exhausted is None:
            raise
        raise TransientError(exhausted) from None
