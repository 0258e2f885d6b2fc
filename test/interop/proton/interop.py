"""Qpid Proton for Python, which knows AMQP and nothing of Service Bus: by SASL PLAIN, by claims, and over TLS."""
import base64
import datetime
import hashlib
import hmac
import os
import sys
import time
import traceback
import urllib.parse

from proton import Delivery, Message, SSLDomain, symbol, timestamp
from proton.handlers import MessagingHandler
from proton.reactor import Container, Filter
from proton.utils import BlockingConnection, LinkDetached

PARTS = dict(part.split("=", 1) for part in os.environ["SERVICE_BUS_CONNECTION_STR"].split(";") if part)
NAME, KEY = PARTS["SharedAccessKeyName"], PARTS["SharedAccessKey"]
HOST = "127.0.0.1:%s" % os.environ["INTEROP_PORT"]
URL = "amqp://%s:%s@%s" % (NAME, urllib.parse.quote(KEY, safe=""), HOST)
SECONDS = 10


def is_equal(what, actual, expected):
    if actual != expected:
        raise AssertionError("%s is %r, not %r" % (what, actual, expected))


def connect(url=URL):
    return BlockingConnection(url, timeout=SECONDS, allowed_mechs="PLAIN")


def receive(connection, address, **options):
    receiver = connection.create_receiver(address, credit=1, **options)
    return receiver, receiver.receive(timeout=SECONDS)


def proton_blocking():
    url = URL
    queue = "orders"
    connection = BlockingConnection(url, allowed_mechs="PLAIN")
    connection.create_sender(queue).send(Message(id="1", body="text"))
    receiver = connection.create_receiver(queue)
    message = receiver.receive(timeout=10)
    receiver.accept()
    connection.close()
    is_equal("body", message.body, "text")
    is_equal("annotation", message.annotations["x-opt-sequence-number"], 1)
    is_left_empty(queue)


def is_left_empty(address):
    connection = connect()
    try:
        connection.create_receiver(address).receive(timeout=0.5)
    except Exception as error:  # pylint: disable=broad-except
        if type(error).__name__ != "Timeout":
            raise
        return
    finally:
        connection.close()
    raise AssertionError("%s is not empty" % address)


def proton_outcomes():
    """Released: again, as it was. Modified: again, counted. Rejected: dead-lettered."""
    connection = connect()
    connection.create_sender("outcomes").send(Message(body="text"))
    receiver, _ = receive(connection, "outcomes")
    receiver.release(delivered=False)
    receiver.close()
    receiver, message = receive(connection, "outcomes")
    is_equal("delivery count", message.delivery_count, 0)
    receiver.release(delivered=True)
    receiver.close()
    receiver, message = receive(connection, "outcomes")
    is_equal("delivery count", message.delivery_count, 1)
    receiver.reject()
    receiver.close()
    receiver, message = receive(connection, "outcomes/$DeadLetterQueue")
    is_equal("dead letter", message.body, "text")
    receiver.accept()
    connection.close()
    is_left_empty("outcomes/$DeadLetterQueue")


class Worker(MessagingHandler):
    """Receives what comes, completes it by itself, and is over after 100 messages."""

    def __init__(self):
        super().__init__(prefetch=20)
        self.bodies = []
        self.failed = None
        self.settled = 0

    def on_start(self, event):
        connection = event.container.connect(URL, allowed_mechs="PLAIN")
        event.container.create_receiver(connection, "handled")
        self.sender = event.container.create_sender(connection, "handled")
        self.sent = 0
        event.container.schedule(SECONDS, self)

    def on_sendable(self, event):
        while event.sender.credit and self.sent < 100:
            event.sender.send(Message(body=self.sent))
            self.sent += 1

    def on_accepted(self, event):
        self.settled += 1
        self.end(event)

    def on_message(self, event):
        self.bodies.append(event.message.body)
        self.end(event)

    def end(self, event):
        if len(self.bodies) == 100 and self.settled == 100:
            event.connection.close()
            event.container.stop()

    def on_timer_task(self, event):
        self.failed = "only %d came" % len(self.bodies)
        event.container.stop()

    def on_transport_error(self, event):
        self.failed = str(event.transport.condition)
        event.container.stop()


def proton_handler():
    worker = Worker()
    Container(worker).run()
    is_equal("failure", worker.failed, None)
    is_equal("bodies", worker.bodies, list(range(100)))
    is_left_empty("handled")


def proton_topic():
    connection = connect()
    connection.create_sender("news").send(Message(body="text", properties={"round": "final"}))
    receiver, message = receive(connection, "news/Subscriptions/all")
    is_equal("properties", message.properties, {"round": "final"})
    receiver.accept()
    connection.close()


def proton_scheduled():
    connection = connect()
    due = time.time() + 2
    later = Message(body="text")
    later.annotations = {symbol("x-opt-scheduled-enqueue-time"): timestamp(int(due * 1000))}
    connection.create_sender("scheduled").send(later)
    receiver, _ = receive(connection, "scheduled")
    receiver.accept()
    connection.close()
    if time.time() < due - 0.05:
        raise AssertionError("it came early")


class Session(Filter):
    def __init__(self, session):
        super().__init__({symbol("com.microsoft:session-filter"): session})


def proton_session():
    connection = connect()
    sender = connection.create_sender("sessions")
    for body, group in (("a", "one"), ("b", "two"), ("c", "one")):
        sender.send(Message(body=body, group_id=group))
    receiver = connection.create_receiver("sessions", credit=2, options=Session("one"))
    bodies = []
    for _ in range(2):
        bodies.append(receiver.receive(timeout=SECONDS).body)
        receiver.accept()
    is_equal("bodies of the session", bodies, ["a", "c"])
    connection.close()


def proton_tls():
    domain = SSLDomain(SSLDomain.MODE_CLIENT)
    domain.set_trusted_ca_db(os.environ["INTEROP_CA"])
    domain.set_peer_authentication(SSLDomain.VERIFY_PEER_NAME)
    url = "amqps://localhost:%s" % os.environ["INTEROP_TLS_PORT"]
    connection = BlockingConnection(
        url, timeout=SECONDS, ssl_domain=domain, user=NAME, password=KEY, allowed_mechs="PLAIN"
    )
    connection.create_sender("tls").send(Message(body="text"))
    receiver, message = receive(connection, "tls")
    is_equal("body", message.body, "text")
    receiver.accept()
    connection.close()


def signature(resource):
    """As the documentation of Service Bus has it."""
    resource = urllib.parse.quote(resource, safe="")
    end = str(int(datetime.datetime.now().timestamp()) + 300)
    signed = hmac.new(KEY.encode(), ("%s\n%s" % (resource, end)).encode(), hashlib.sha256).digest()
    return "SharedAccessSignature sr=%s&sig=%s&se=%s&skn=%s" % (
        resource, urllib.parse.quote(base64.b64encode(signed), safe=""), end, NAME,
    )


def put_token(connection, audience):
    receiver = connection.create_receiver("$cbs")
    connection.create_sender("$cbs").send(Message(
        id="1", reply_to="cbs-reply", body=signature(audience),
        properties={"operation": "put-token", "type": "servicebus.windows.net:sastoken", "name": audience},
    ))
    answer = receiver.receive(timeout=SECONDS)
    receiver.accept()
    return answer.properties["status-code"]


def proton_claims():
    connection = BlockingConnection("amqp://%s" % HOST, timeout=SECONDS, allowed_mechs="ANONYMOUS")
    try:
        connection.create_sender("claims")
        raise AssertionError("a link without a token was opened")
    except LinkDetached as error:
        if "amqp:unauthorized-access" not in str(error):
            raise
    connection.close()
    connection = BlockingConnection("amqp://%s" % HOST, timeout=SECONDS, allowed_mechs="ANONYMOUS")
    status = put_token(connection, "amqp://%s/claims" % HOST)
    is_equal("status", status, 202)
    connection.create_sender("claims").send(Message(body="text"))
    receiver, message = receive(connection, "claims")
    is_equal("body", message.body, "text")
    receiver.accept()
    connection.close()


def verdict(name):
    try:
        globals()[name.replace("-", "_")]()
        return "ok %s" % name
    except Exception as error:  # pylint: disable=broad-except
        frames = traceback.extract_tb(error.__traceback__)
        lines = ",".join(str(frame.lineno) for frame in frames if frame.filename == __file__)
        return "not ok %s: %s: %s (line %s)" % (name, type(error).__name__, error, lines)


for check in sys.argv[1:]:
    print(verdict(check).replace("\n", " "), flush=True)
