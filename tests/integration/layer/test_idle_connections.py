"""Calls that must not be repeated do not use a connection that has idled.

Lambda drops the idle connections of a frozen sandbox, and the next request over one gets no answer. botocore repeats
most calls, and so hides this. It must not repeat the calls of these tests.
"""

from __future__ import annotations

import socket
import time

import pytest

from mercato import aws
from mercato.aws.mail import MailUncertain, SesMailer
from mercato.aws.sms import EndUserMessaging, SmsUncertain
from mercato.peers.client import PeerUnavailable, ServiceClient
from tests.integration.layer.peers import Behaviour, Connection, Peer, answer, reset


def answers_once(body: str) -> Behaviour:
    """Answers the first request of each connection and resets the connection at the second, as a dropped one does."""
    used: set[socket.socket] = set()

    def behave(connection: Connection) -> bool:
        if connection.socket in used:
            return reset(connection)
        used.add(connection.socket)
        return answer(body=body, Content_Type="application/json")(connection)

    return behave


@pytest.fixture
def amazon(cloud: None, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> Peer:
    monkeypatch.setenv("AWS_ENDPOINT_URL", peer.url)
    aws.reset()
    peer.behaviours = [answers_once('{"MessageId": "m"}')]
    return peer


def freeze(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Only the wall clock counts the time in which a sandbox is frozen."""
    thawed = time.time() + seconds
    monkeypatch.setattr(time, "time", lambda: thawed)


def test_a_mail_after_a_freeze_is_sent(amazon: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    mailer = SesMailer("shop@mercato.example", "mercato-mails")
    mailer.send("anna@example.com", "s", "b")
    freeze(monkeypatch, 600)
    mailer.send("anna@example.com", "s", "b")
    assert (len(amazon.seen), amazon.connections) == (2, 2)


def test_a_text_message_after_a_freeze_is_sent(amazon: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    texter = EndUserMessaging("pool-1")
    texter.send("+442079460958", "Hello")
    freeze(monkeypatch, 600)
    texter.send("+442079460958", "Hello")
    assert (len(amazon.seen), amazon.connections) == (2, 2)


def test_mails_in_a_row_share_a_connection(amazon: Peer) -> None:
    amazon.behaviours = [answer(body='{"MessageId": "m"}')]
    for _ in range(3):
        SesMailer("shop@mercato.example", "mercato-mails").send("anna@example.com", "s", "b")
    assert (len(amazon.seen), amazon.connections) == (3, 1)


def test_without_an_answer_nothing_is_sent_again(amazon: Peer) -> None:
    amazon.behaviours = [reset]
    with pytest.raises(MailUncertain):
        SesMailer("shop@mercato.example", "mercato-mails").send("anna@example.com", "s", "b")
    with pytest.raises(SmsUncertain):
        EndUserMessaging("pool-1").send("+442079460958", "Hello")
    assert len(amazon.seen) == 2


def test_a_peer_is_called_after_a_freeze(client: ServiceClient, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    peer.behaviours = [answers_once('{"is": "done"}')]
    client.post("/api/products/x", {})
    freeze(monkeypatch, 600)
    assert client.post("/api/products/x", {}) == {"is": "done"}
    assert (len(peer.seen), peer.connections) == (2, 2)


def test_calls_of_a_peer_in_a_row_share_a_connection(client: ServiceClient, peer: Peer) -> None:
    peer.behaviours = [answers_once('{"is": "done"}')]
    client.post("/api/products/x", {})
    with pytest.raises(PeerUnavailable):
        client.post("/api/products/x", {})
    assert (len(peer.seen), peer.connections) == (2, 1)
