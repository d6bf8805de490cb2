"""Verifies addresses and resets forgotten passwords by e-mail.

A request only writes to the outbox, in the same way for an address with and without an account. The consumer of that
event makes the token and sends the mail, at least once. If a crash between sending and marking sends a mail twice, the
later one has the valid token.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from mercato.aws.mail import Mailer, MailNotSent, MailRefused, MailUncertain
from mercato.dataclass import dataclass
from mercato.email_address import InvalidEmail, read_email
from mercato.errors import TransientError
from mercato.ids import new_id
from mercato.telemetry.logs import log
from users import one_time_store, texts
from users.domain import Login, User, UserNotFound
from users.events import PasswordResetRequested, VerificationRequested
from users.one_time_token import InvalidToken, OneTimeToken, Purpose
from users.passwords import hashing
from users.passwords.attempts import Count
from users.texts import Mail, WriteMail
from users.usecases import Users, check_strength
from users.wiring import Ports


@dataclass(frozen=True)
class TokenRequest:
    """A request to mail a one-time token: the event that caused it, and the event's time."""

    user_id: str
    purpose: Purpose
    event_id: str
    asked_at: datetime


def request_verification(user_id: str, now: datetime, *, users: Users) -> None:
    """Does nothing if the address is verified already."""
    if not users.get(user_id).email_verified:
        users.announce(VerificationRequested(user_id=user_id), new_id(now), now)


def request_reset(email: str, now: datetime, *, users: Users) -> None:
    """Makes one read and one write, whether or not the address has an account."""
    try:
        login = users.find_login(read_email(email))
    except InvalidEmail:
        login = users.find_login("nobody@invalid")
    user_id = login.user_id if login else new_id(now)
    users.announce(PasswordResetRequested(user_id=user_id), new_id(now), now)


def verify_email(text: str, now: datetime, *, users: Users) -> None:
    """The link proves who reads the mailbox, not who chose the password. If the address was registered with several
    passwords, none of them stays valid, and the owner sets one by a reset.
    """
    token = OneTimeToken.read(text)
    user = _user_of(token, users)
    users.verify_email(user, _login_of(user, users), one_time_store.use(token, Purpose.VERIFY_EMAIL, now), now)


def reset_password(text: str, password: str, network: str, ports: Ports, now: datetime) -> None:
    """Uses the token, sets the password and ends every session, in one transaction. Raises InvalidToken."""
    token, users = OneTimeToken.read(text), ports.users
    if not ports.one_time.is_good(token, Purpose.RESET_PASSWORD, now):
        raise InvalidToken
    user = _user_of(token, users)
    check_strength(password, user)
    proof = one_time_store.use(token, Purpose.RESET_PASSWORD, now)
    is_contested = _login_of(user, users).is_contested
    users.set_password(user, hashing.hash_password(password), now, proof, is_contested=is_contested)
    # The reset proves the owner, so this network may log in, however many strangers are guessing.
    ports.attempts.succeed(user.email, network, Count(is_network=True), now)


def _login_of(user: User, users: Users) -> Login:
    login = users.find_login(user.email)
    if login is None or login.user_id != user.user_id:  # closed a moment ago
        raise InvalidToken
    return login


def _user_of(token: OneTimeToken, users: Users) -> User:
    try:
        return users.get(token.user_id)
    except UserNotFound:
        raise InvalidToken from None


def send_token(request: TokenRequest, write: WriteMail, ports: Ports, now: datetime) -> None:
    """Sends nothing for an unknown account, for a verified address, too soon after another mail, for a request older
    than another one or than a link's use, or long after the request.
    """
    user_id, purpose, tokens = request.user_id, request.purpose, ports.one_time
    user = _find(user_id, ports.users)
    if user is None or (purpose is Purpose.VERIFY_EMAIL and user.email_verified):
        return
    if purpose is Purpose.RESET_PASSWORD and now - request.asked_at > purpose.lifetime:
        return
    token = OneTimeToken.make(user_id)
    if not tokens.issue(token, purpose, request.event_id, request.asked_at, now):
        tokens.pass_over(user_id, purpose, request.event_id, request.asked_at)
        log.info("no mail for this request", extra={"purpose": purpose, "user_id": user_id})
        return
    _send(user, write(user.name, ports.mail.shop_url, token), ports.mailer)
    tokens.mark_sent(token, purpose, now)


def mail_password_changed(user_id: str, changed_at: datetime, now: datetime, *, users: Users, mailer: Mailer) -> None:
    """Sends at least once: two mails about one's password are better than none."""
    user = _find(user_id, users)
    if user is not None and now - changed_at < timedelta(days=1):
        _send(user, texts.password_changed(user.name, changed_at), mailer)


def _find(user_id: str, users: Users) -> User | None:
    try:
        return users.get(user_id)
    except UserNotFound:
        return None


def _send(user: User, mail: Mail, mailer: Mailer) -> None:
    try:
        mailer.send(user.email, mail.subject, mail.body)
    except MailRefused as refused:
        log.warning("SES refuses this mail permanently", extra={"user_id": user.user_id, "reason": str(refused)})
    except MailNotSent as error:
        raise TransientError(f"SES does not take mail now: {error}") from error
    except MailUncertain as error:
        raise TransientError(f"SES gave no answer, the mail may have been sent: {error}") from error
