"""The checklist with azure-servicebus for Python, 7.8 (on uamqp) to 7.15 (on its own AMQP).

The same program runs on all of them: what a version does not have is skipped by name.
"""
import datetime
import os
import runpy
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import administration
import azure.servicebus as sb
from azure.servicebus import exceptions as errors
from azure.servicebus.amqp import AmqpAnnotatedMessage, AmqpMessageBodyType
from support import (
    CHECK_SECONDS, Skip, body_of, fails, is_empty, is_equal, is_true, properties_of, receive, run_check, say, text,
)

VERSION = tuple(int(part) for part in sb.__version__.split("."))
CONNECTION = os.environ["INTEROP_CONNECTION"]
SECURE = ";".join(
    "Endpoint=sb://localhost/" if part.startswith("Endpoint=") else part
    for part in CONNECTION.split(";")
    if part and not part.startswith("UseDevelopmentEmulator")
)
# Versions before 7.14 do not know UseDevelopmentEmulator: they speak TLS, and always to the service's own port.
IS_PLAIN = VERSION >= (7, 14)
# The first versions stand on uamqp, which does not let a settlement's answer through.
IS_UAMQP = VERSION < (7, 10)
if not IS_PLAIN:
    PORT = int(os.environ["INTEROP_TLS_PORT"])
    if IS_UAMQP:
        from azure.servicebus._common import _configuration

        _configuration.DEFAULT_AMQPS_PORT = PORT
    else:
        from azure.servicebus._pyamqp import _connection, sasl

        _connection.SECURE_PORT = PORT
        # The first versions of it dial the default of this argument.
        sasl.SASLTransport.__init__.__kwdefaults__["port"] = PORT

UTC = datetime.timezone.utc


def client(connection=None, **options):
    settings = dict(retry_total=1, retry_backoff_factor=0.1, retry_mode="fixed")
    settings.update(options)
    if connection is None:
        connection = CONNECTION if IS_PLAIN else SECURE
    if not IS_PLAIN or "custom_endpoint_address" in settings:
        settings["connection_verify"] = os.environ["INTEROP_CA"]
    return sb.ServiceBusClient.from_connection_string(connection, **settings)


def send(c, name, *bodies, **options):
    with c.get_queue_sender(name) as sender:
        for body in bodies:
            sender.send_messages(sb.ServiceBusMessage(body, **options))


def dead_letters(c, name):
    return c.get_queue_receiver(name, sub_queue=sb.ServiceBusSubQueue.DEAD_LETTER)


# Sending and receiving.


def check_send_receive(name):
    with client() as c:
        send(c, name, b"one", b"two", "drei \u00e4")
        with c.get_queue_receiver(name) as r:
            messages = receive(r, 3)
            is_equal("bodies", [body_of(m) for m in messages], [b"one", b"two", "drei \u00e4".encode()])
            is_equal("delivery counts", [m.delivery_count for m in messages], [0, 0, 0])
            for m in messages:
                r.complete_message(m)
            time.sleep(0.3)
            is_empty(r)


def check_documented(name):
    os.environ["SERVICE_BUS_CONNECTION_STR"] = CONNECTION if IS_PLAIN else SECURE
    os.environ["SSL_CERT_FILE"] = os.environ["INTEROP_CA"]
    program = "documented.py" if IS_PLAIN else "documented_tls.py"
    runpy.run_path(os.path.join(os.path.dirname(os.path.abspath(__file__)), program))
    with client() as c, c.get_queue_receiver("orders") as r:
        is_empty(r)


def check_receive_and_delete(name):
    with client() as c:
        send(c, name, b"one", b"two")
        with c.get_queue_receiver(name, receive_mode=sb.ServiceBusReceiveMode.RECEIVE_AND_DELETE) as r:
            messages = receive(r, 2)
            is_equal("bodies", [body_of(m) for m in messages], [b"one", b"two"])
            is_equal("lock token", [m.lock_token for m in messages], [None, None])
            is_empty(r)


def check_batch(name):
    with client() as c:
        with c.get_queue_sender(name) as sender:
            batch = sender.create_message_batch()
            for index in range(50):
                batch.add_message(sb.ServiceBusMessage(b"%d" % index, message_id="id-%d" % index))
            sender.send_messages(batch)
            sender.send_messages([sb.ServiceBusMessage(b"list-1"), sb.ServiceBusMessage(b"list-2")])
        with c.get_queue_receiver(name) as r:
            messages = receive(r, 52)
            is_equal("bodies", [body_of(m) for m in messages], [b"%d" % i for i in range(50)] + [b"list-1", b"list-2"])
            is_equal("ids", [m.message_id for m in messages[:50]], ["id-%d" % i for i in range(50)])
            numbers = [m.sequence_number for m in messages]
            is_equal("sequence numbers", numbers, list(range(numbers[0], numbers[0] + 52)))


def check_batch_of_sessions(name):
    with client() as c:
        with c.get_queue_sender(name) as sender:
            batch = sender.create_message_batch()
            for session in ("a", "b", "c"):
                batch.add_message(sb.ServiceBusMessage(session, session_id=session))
            sender.send_messages(batch)
        for session in ("a", "b", "c"):
            with c.get_queue_receiver(name, session_id=session) as r:
                (message,) = receive(r)
                is_equal("body", body_of(message), session.encode())
                r.complete_message(message)


def check_fields(name):
    with client() as c:
        before = datetime.datetime.now(UTC) - datetime.timedelta(seconds=2)
        fields = dict(
            message_id="id",
            correlation_id="correlation",
            subject="subject",
            to="to",
            reply_to="reply",
            reply_to_session_id="reply-session",
            content_type="text/plain",
            session_id="key",
            partition_key="key",
        )
        with c.get_queue_sender(name) as sender:
            sender.send_messages(sb.ServiceBusMessage(b"body", **fields))
        with c.get_queue_receiver(name) as r:
            (message,) = receive(r)
            is_equal("fields", {key: getattr(message, key) for key in fields}, fields)
            is_equal("sequence number", message.sequence_number, 1)
            is_equal("enqueued sequence number", message.enqueued_sequence_number, None)
            now = datetime.datetime.now(UTC)
            is_true("enqueued at %s" % message.enqueued_time_utc, before < message.enqueued_time_utc < now + datetime.timedelta(seconds=2))
            left = (message.locked_until_utc - now).total_seconds()
            is_true("locked for %s s" % left, 25 < left < 31)
            is_true("lock token %r" % message.lock_token, isinstance(message.lock_token, uuid.UUID))
            r.complete_message(message)


def check_time_to_live(name):
    with client() as c:
        spans = [datetime.timedelta(seconds=90), datetime.timedelta(days=40)]
        for span in spans:
            send(c, name, b"x", time_to_live=span)
        send(c, name, b"none")
        with c.get_queue_receiver(name) as r:
            messages = receive(r, 3)
            is_equal("time to live", [m.time_to_live for m in messages[:2]], spans)
            for message, span in zip(messages, spans):
                off = (message.expires_at_utc - message.enqueued_time_utc - span).total_seconds()
                is_true("expires off by %s s" % off, abs(off) < 0.05)
        # More than the uint of milliseconds in the header can say: creation and absolute expiry say it. The SDK writes
        # them as it is given them where there is no time to live; with one it makes its own out of that.
        span = 60 * 86400 * 1000
        now = int(time.time() * 1000)
        with c.get_queue_sender(name) as sender:
            sender.send_messages(AmqpAnnotatedMessage(
                data_body=b"long",
                properties={"creation_time": now, "absolute_expiry_time": now + span},
            ))
        with c.get_queue_receiver(name) as r:
            (message,) = receive(r)
            raw = message.raw_amqp_message.properties
            if raw.absolute_expiry_time is None or raw.creation_time is None:
                raise AssertionError("creation %r, expiry %r" % (raw.creation_time, raw.absolute_expiry_time))
            is_equal("expiry - creation", raw.absolute_expiry_time - raw.creation_time, span)


def check_property_types(name):
    values = {
        "text": "t\u00e4xt",
        "yes": True,
        "no": False,
        "small": 5,
        "negative": -7,
        "real": 1.5,
        "uuid": uuid.UUID("01234567-89ab-cdef-0123-456789abcdef"),
    }
    if IS_UAMQP:
        # Its successor writes bytes as a string, and whole numbers as 32 bits.
        values.update(bytes=b"\x01\xff", large=2**40)
    with client() as c:
        with c.get_queue_sender(name) as sender:
            sender.send_messages(sb.ServiceBusMessage(b"body", application_properties=values))
        with c.get_queue_receiver(name) as r:
            (message,) = receive(r)
            got = {text(key): value for key, value in message.application_properties.items()}
            got["text"] = text(got["text"])
            is_equal("properties", got, values)
            is_equal("kinds", {k: type(v) for k, v in got.items()}, {k: type(v) for k, v in values.items()})


def check_body_kinds(name):
    with client() as c:
        with c.get_queue_sender(name) as sender:
            sender.send_messages(AmqpAnnotatedMessage(data_body=[b"a", b"b"]))
            sender.send_messages(AmqpAnnotatedMessage(value_body={"a": 1, "b": [True, None, "x"]}))
            sender.send_messages(AmqpAnnotatedMessage(sequence_body=[[1, 2], ["three"]], annotations={"mine": 1},
                                                      footer={"end": 2}, header={"priority": 7}))
        with c.get_queue_receiver(name) as r:
            data, value, sequence = receive(r, 3)
            is_equal("data", (data.body_type, [bytes(b) for b in data.body]), (AmqpMessageBodyType.DATA, [b"a", b"b"]))
            is_equal("kind", value.body_type, AmqpMessageBodyType.VALUE)
            got = {text(k): [text(i) for i in v] if isinstance(v, list) else v for k, v in value.body.items()}
            is_equal("value", got, {"a": 1, "b": [True, None, "x"]})
            is_equal("kind", sequence.body_type, AmqpMessageBodyType.SEQUENCE)
            is_equal("sequence", [[text(i) for i in part] for part in sequence.body], [[1, 2], ["three"]])
            raw = sequence.raw_amqp_message
            is_equal("own annotation", {text(k): v for k, v in raw.annotations.items()}.get("mine"), 1)
            is_equal("footer", {text(k): v for k, v in raw.footer.items()}, {"end": 2})
            is_equal("priority", raw.header.priority, 7)


def check_annotations(name):
    def names(mapping):
        return sorted(text(key) for key in mapping or {})

    with client() as c:
        send(c, name, b"a", b"b")
        with c.get_queue_receiver(name) as r:
            (message,) = receive(r)
            raw = message.raw_amqp_message
            is_equal("under a lock", names(raw.annotations),
                     ["x-opt-enqueued-time", "x-opt-locked-until", "x-opt-sequence-number"])
            is_equal("delivery annotations", names(raw.delivery_annotations), ["x-opt-lock-token"])
            r.complete_message(message)
        with c.get_queue_receiver(name, receive_mode=sb.ServiceBusReceiveMode.RECEIVE_AND_DELETE) as r:
            (message,) = receive(r)
            raw = message.raw_amqp_message
            is_equal("without a lock", names(raw.annotations), ["x-opt-enqueued-time", "x-opt-sequence-number"])
            is_equal("delivery annotations", names(raw.delivery_annotations), [])


def check_peek(name):
    with client() as c:
        send(c, name, *[b"%d" % index for index in range(5)])
        with c.get_queue_receiver(name) as r:
            peeked = r.peek_messages(3)
            is_equal("bodies", [body_of(m) for m in peeked], [b"0", b"1", b"2"])
            is_equal("numbers", [m.sequence_number for m in peeked], [1, 2, 3])
            if VERSION >= (7, 15):
                # The versions before begin again.
                is_equal("the next ones", [body_of(m) for m in r.peek_messages(10)], [b"3", b"4"])
            is_equal("from 4", [body_of(m) for m in r.peek_messages(10, sequence_number=4)], [b"3", b"4"])
            is_equal("after the last", r.peek_messages(10, sequence_number=100), [])
            (locked,) = receive(r)
            again = r.peek_messages(1, sequence_number=1)
            is_equal("a locked one", [(body_of(m), m.delivery_count) for m in again], [(b"0", 0)])
            is_equal("state", peeked[0].state, sb.ServiceBusMessageState.ACTIVE)
            r.complete_message(locked)


def check_schedule(name):
    with client() as c:
        due = datetime.datetime.now(UTC) + datetime.timedelta(seconds=7)
        with c.get_queue_sender(name) as sender:
            numbers = sender.schedule_messages([sb.ServiceBusMessage(b"a"), sb.ServiceBusMessage(b"b")], due)
            is_equal("numbers", len(numbers), 2)
        with c.get_queue_receiver(name) as r:
            peeked = r.peek_messages(5)
            is_equal("peeked", [(body_of(m), m.state) for m in peeked],
                     [(b"a", sb.ServiceBusMessageState.SCHEDULED), (b"b", sb.ServiceBusMessageState.SCHEDULED)])
            is_equal("peeked numbers", [m.sequence_number for m in peeked], list(numbers))
            off = abs((peeked[0].scheduled_enqueue_time_utc - due).total_seconds())
            is_true("scheduled time off by %s" % off, off < 0.01)
            messages = receive(r, 2)
            is_true("came early", datetime.datetime.now(UTC) >= due - datetime.timedelta(milliseconds=50))
            is_equal("received", [(body_of(m), m.state) for m in messages],
                     [(b"a", sb.ServiceBusMessageState.SCHEDULED), (b"b", sb.ServiceBusMessageState.SCHEDULED)])
            is_true("the number changes", not {m.sequence_number for m in messages} & set(numbers))


def check_cancel(name):
    with client() as c:
        due = datetime.datetime.now(UTC) + datetime.timedelta(seconds=60)
        with c.get_queue_sender(name) as sender:
            numbers = sender.schedule_messages([sb.ServiceBusMessage(b"a"), sb.ServiceBusMessage(b"b")], due)
            sender.cancel_scheduled_messages(numbers)
            fails("cancelled again", errors.MessageNotFoundError, lambda: sender.cancel_scheduled_messages(numbers))
        with c.get_queue_receiver(name) as r:
            is_empty(r)


def check_duplicates(name):
    with client() as c:
        send(c, name, b"first", message_id="same")
        send(c, name, b"second", message_id="same")
        send(c, name, b"third", message_id="other")
        with c.get_queue_receiver(name) as r:
            is_equal("bodies", [body_of(m) for m in receive(r, 2)], [b"first", b"third"])


# Settling.


def check_abandon(name):
    with client() as c:
        send(c, name, b"x")
        with c.get_queue_receiver(name) as r:
            tokens = set()
            for count in range(3):
                (message,) = receive(r)
                is_equal("delivery count", message.delivery_count, count)
                tokens.add(message.lock_token)
                r.abandon_message(message)
            is_equal("lock tokens", len(tokens), 3)


def check_abandon_properties(name):
    raise Skip("abandon_message takes no properties")


def check_released(name):
    with client() as c:
        send(c, name, b"x")
        for _ in range(3):
            # As the receiver itself does with what comes while nobody receives.
            with c.get_queue_receiver(name) as r:
                (message,) = receive(r)
                is_equal("delivery count", message.delivery_count, 0)
                if IS_UAMQP:
                    message.message.release()
                else:
                    # pylint: disable=protected-access
                    delivery = (message._delivery_id,)
                    if VERSION >= (7, 12):
                        delivery += (message._delivery_tag,)
                    r._handler.settle_messages(*delivery, "released")
                time.sleep(0.5)
                r.peek_messages(1)
        with c.get_queue_receiver(name) as r:
            (message,) = receive(r)
            is_equal("delivery count", message.delivery_count, 0)
            r.complete_message(message)


def check_defer(name):
    with client() as c:
        send(c, name, b"x", b"y")
        with c.get_queue_receiver(name) as r:
            messages = receive(r, 2)
            for message in messages:
                r.defer_message(message)
            time.sleep(0.3)
            numbers = [m.sequence_number for m in messages]
            is_equal("peeked", [m.state for m in r.peek_messages(5, sequence_number=1)], [sb.ServiceBusMessageState.DEFERRED] * 2)
            deferred = r.receive_deferred_messages(numbers)
            is_equal("deferred", [(body_of(m), m.delivery_count, m.state) for m in deferred],
                     [(b"x", 1, sb.ServiceBusMessageState.DEFERRED), (b"y", 1, sb.ServiceBusMessageState.DEFERRED)])
            r.complete_message(deferred[0])
            r.dead_letter_message(deferred[1], reason="why", error_description="how")
            is_empty(r)
        with dead_letters(c, name) as r:
            (letter,) = receive(r)
            is_equal("letter", (body_of(letter), letter.dead_letter_reason, letter.dead_letter_error_description),
                     (b"y", "why", "how"))


def check_defer_dead_letters(name):
    with client() as c:
        send(c, name, b"x")
        with c.get_queue_receiver(name) as r:
            (message,) = receive(r)
            r.defer_message(message)
            time.sleep(0.3)
            (message,) = r.receive_deferred_messages(message.sequence_number)
            is_equal("delivery count", message.delivery_count, 1)
            r.defer_message(message)
        with dead_letters(c, name) as r:
            (letter,) = receive(r)
            is_equal("reason", letter.dead_letter_reason, "MaxDeliveryCountExceeded")


def check_deferred_missing(name):
    with client() as c:
        with c.get_queue_receiver(name) as r:
            fails("a number that is not there", errors.MessageNotFoundError, lambda: r.receive_deferred_messages(77))


def check_dead_letter(name):
    with client() as c:
        with c.get_queue_sender(name) as sender:
            sender.send_messages(sb.ServiceBusMessage(b"x", message_id="m", application_properties={"own": "kept"}))
        with c.get_queue_receiver(name) as r:
            (message,) = receive(r)
            r.abandon_message(message)
            (message,) = receive(r)
            r.dead_letter_message(message, reason="no good", error_description="at all")
            time.sleep(0.3)
            is_empty(r)
        with dead_letters(c, name) as r:
            (letter,) = receive(r)
            is_equal("letter", (body_of(letter), letter.message_id, letter.dead_letter_reason,
                                letter.dead_letter_error_description, letter.delivery_count),
                     (b"x", "m", "no good", "at all", 1))
            is_equal("properties", properties_of(letter),
                     {"own": "kept", "DeadLetterReason": "no good", "DeadLetterErrorDescription": "at all"})
            r.complete_message(letter)
            time.sleep(0.3)
            is_empty(r)


def check_dead_letter_count(name):
    with client() as c:
        send(c, name, b"x")
        with c.get_queue_receiver(name) as r:
            (message,) = receive(r)
            r.dead_letter_message(message)
        with dead_letters(c, name) as r:
            for _ in range(3):
                (letter,) = receive(r)
                is_equal("delivery count", letter.delivery_count, 0)
                r.abandon_message(letter)


def check_max_delivery_count(name):
    with client() as c:
        send(c, name, b"x")
        with c.get_queue_receiver(name) as r:
            for _ in range(2):
                (message,) = receive(r)
                r.abandon_message(message)
        with dead_letters(c, name) as r:
            (letter,) = receive(r)
            is_equal("letter", (letter.dead_letter_reason, letter.delivery_count), ("MaxDeliveryCountExceeded", 2))


def check_lock_renewal(name):
    with client() as c:
        send(c, name, b"x")
        with c.get_queue_receiver(name) as r:
            (message,) = receive(r)
            for _ in range(3):
                time.sleep(1.5)
                before = message.locked_until_utc
                until = r.renew_message_lock(message)
                is_true("%s is not after %s" % (until, before), until > before)
            r.complete_message(message)
            time.sleep(0.3)
            is_empty(r)


def check_lock_lost(name):
    with client() as c:
        send(c, name, b"x")
        with c.get_queue_receiver(name) as r:
            (message,) = receive(r)
            time.sleep(1.6)
            fails("renewing", errors.MessageLockLostError, lambda: r.renew_message_lock(message))
            # The SDK looks at the clock; on uamqp it has no better word for what it saw.
            kind = errors.ServiceBusError if IS_UAMQP else errors.MessageLockLostError
            fails("completing", kind, lambda: r.complete_message(message))
            (message,) = receive(r)
            is_equal("delivery count", message.delivery_count, 1)


def check_expiry(name):
    with client() as c:
        send(c, name, b"x", time_to_live=datetime.timedelta(seconds=1))
        time.sleep(1.5)
        with c.get_queue_receiver(name) as r:
            is_equal("received", r.receive_messages(max_wait_time=1), [])
        with dead_letters(c, name) as r:
            (letter,) = receive(r)
            is_equal("letter", (letter.dead_letter_reason, letter.delivery_count), ("TTLExpiredException", 0))


# Sessions.


def check_session_accept(name):
    with client() as c:
        send(c, name, b"x", session_id="s")
        send(c, name, b"y", session_id="other")
        with c.get_queue_receiver(name, session_id="s") as r:
            is_equal("session", r.session.session_id, "s")
            left = (r.session.locked_until_utc - datetime.datetime.now(UTC)).total_seconds()
            is_true("locked for %s s" % left, 25 < left < 31)
            (message,) = receive(r)
            is_equal("message", (body_of(message), message.session_id), (b"x", "s"))
            r.complete_message(message)
            is_equal("others", r.receive_messages(max_wait_time=1), [])


def check_session_next(name):
    with client() as c:
        for session in ("a", "b"):
            send(c, name, session, session_id=session)
        with c.get_queue_receiver(name, session_id=sb.NEXT_AVAILABLE_SESSION, max_wait_time=5) as first:
            with c.get_queue_receiver(name, session_id=sb.NEXT_AVAILABLE_SESSION, max_wait_time=5) as second:
                is_equal("sessions", sorted([first.session.session_id, second.session.session_id]), ["a", "b"])
                for r in (first, second):
                    (message,) = receive(r)
                    is_equal("body", body_of(message), r.session.session_id.encode())
                    r.complete_message(message)


def check_session_none(name):
    with client(retry_total=0) as c:
        def accept():
            with c.get_queue_receiver(name, session_id=sb.NEXT_AVAILABLE_SESSION, max_wait_time=3) as r:
                r.receive_messages(max_wait_time=3)

        if VERSION < (7, 12):
            raise Skip("this version does not say how long it waits for a session: the service gives it 65 s")
        fails("no session", errors.OperationTimeoutError, accept, seconds=20)


def check_session_order(name):
    with client() as c:
        send(c, name, *[b"%d" % index for index in range(6)], session_id="s")
        with c.get_queue_receiver(name, session_id="s") as r:
            messages = receive(r, 2)
            is_equal("bodies", [body_of(m) for m in messages], [b"0", b"1"])
            r.complete_message(messages[0])
            r.abandon_message(messages[1])
            (message,) = receive(r)
            is_equal("the abandoned one is next", (body_of(message), message.delivery_count), (b"1", 1))
        # The session went with the link, and without a failed delivery.
        with c.get_queue_receiver(name, session_id="s") as r:
            messages = receive(r, 5)
            is_equal("after the link went", [(body_of(m), m.delivery_count) for m in messages],
                     [(b"1", 1), (b"2", 0), (b"3", 0), (b"4", 0), (b"5", 0)])


def check_session_state(name):
    with client() as c:
        with c.get_queue_receiver(name, session_id="s") as r:
            is_equal("at first", r.session.get_state(), None)
            r.session.set_state(b"state \x00\xff")
            is_equal("state", r.session.get_state(), b"state \x00\xff")
        with c.get_queue_receiver(name, session_id="s") as r:
            is_equal("of the next holder", r.session.get_state(), b"state \x00\xff")
            r.session.set_state(None)
            is_equal("cleared", r.session.get_state(), None)


def check_session_renewal(name):
    with client() as c:
        send(c, name, b"x", session_id="s")
        with c.get_queue_receiver(name, session_id="s") as r:
            (message,) = receive(r)
            for _ in range(3):
                time.sleep(1.5)
                before = r.session.locked_until_utc
                until = r.session.renew_lock()
                is_true("%s is not after %s" % (until, before), until > before)
            r.complete_message(message)
            time.sleep(0.3)
            is_empty(r)


def check_session_deferred(name):
    with client() as c:
        send(c, name, b"x", b"y", session_id="s")
        with c.get_queue_receiver(name, session_id="s") as r:
            messages = receive(r, 2)
            for message in messages:
                r.defer_message(message)
            time.sleep(0.3)
            deferred = r.receive_deferred_messages([m.sequence_number for m in messages])
            is_equal("deferred", [(body_of(m), m.session_id, m.delivery_count) for m in deferred],
                     [(b"x", "s", 1), (b"y", "s", 1)])
            r.complete_message(deferred[0])
            r.dead_letter_message(deferred[1], reason="why")
            is_empty(r)
        with dead_letters(c, name) as r:
            (letter,) = receive(r)
            is_equal("letter", (body_of(letter), letter.session_id, letter.dead_letter_reason), (b"y", "s", "why"))


def check_session_list(name):
    if not hasattr(sb.ServiceBusClient, "list_queue_sessions"):
        raise Skip("this version does not list sessions")
    with client() as c:
        is_equal("at first", list(c.list_queue_sessions(name)), [])
        for session in ("a", "b", "c"):
            send(c, name, session, session_id=session)
        is_equal("sessions", sorted(c.list_queue_sessions(name)), ["a", "b", "c"])
        before = datetime.datetime.now(UTC) - datetime.timedelta(seconds=10)
        with c.get_queue_receiver(name, session_id="d") as r:
            r.session.set_state(b"x")
        is_equal("with a state", sorted(c.list_queue_sessions(name)), ["a", "b", "c", "d"])
        is_equal("state updated", list(c.list_queue_sessions(name, state_updated_after=before)), ["d"])


def check_session_locked(name):
    with client(retry_total=0) as c:
        with c.get_queue_receiver(name, session_id="s") as r:
            is_equal("session", r.session.session_id, "s")

            def accept():
                with c.get_queue_receiver(name, session_id="s") as other:
                    other.receive_messages(max_wait_time=1)

            fails("held by another", errors.SessionCannotBeLockedError, accept)


def check_session_lost(name):
    with client() as c:
        send(c, name, b"x", session_id="s")
        with c.get_queue_receiver(name, session_id="s") as r:
            (message,) = receive(r)
            time.sleep(2)
            fails("renewing", errors.SessionLockLostError, lambda: r.session.renew_lock())
            fails("completing", errors.SessionLockLostError, lambda: r.complete_message(message))
        with c.get_queue_receiver(name, session_id="s") as r:
            (message,) = receive(r)
            is_equal("delivery count", message.delivery_count, 1)


# Topics.


def check_topic(name):
    with client() as c:
        with c.get_topic_sender(name) as sender:
            sender.send_messages(sb.ServiceBusMessage(b"x", message_id="m"))
        for subscription in ("one", "two"):
            with c.get_subscription_receiver(name, subscription) as r:
                (message,) = receive(r)
                is_equal(subscription, (body_of(message), message.message_id), (b"x", "m"))
                r.dead_letter_message(message, reason="no")
            with c.get_subscription_receiver(name, subscription, sub_queue=sb.ServiceBusSubQueue.DEAD_LETTER) as r:
                (letter,) = receive(r)
                is_equal("letter", (body_of(letter), letter.dead_letter_reason), (b"x", "no"))


def check_topic_schedule(name):
    with client() as c:
        due = datetime.datetime.now(UTC) + datetime.timedelta(seconds=6)
        with c.get_topic_sender(name) as sender:
            numbers = sender.schedule_messages([sb.ServiceBusMessage(b"a"), sb.ServiceBusMessage(b"b")], due)
            sender.cancel_scheduled_messages(numbers[:1])
        for subscription in ("one", "two"):
            with c.get_subscription_receiver(name, subscription) as r:
                (message,) = receive(r)
                is_true("came early", datetime.datetime.now(UTC) >= due - datetime.timedelta(milliseconds=50))
                is_equal("message", (body_of(message), message.state), (b"b", sb.ServiceBusMessageState.SCHEDULED))
                r.complete_message(message)


def check_topic_peek(name):
    with client() as c:
        due = datetime.datetime.now(UTC) + datetime.timedelta(seconds=60)
        with c.get_topic_sender(name) as sender:
            numbers = sender.schedule_messages([sb.ServiceBusMessage(b"a")], due)
            with c.get_subscription_receiver(name, "one") as r:
                is_empty(r)
            sender.cancel_scheduled_messages(numbers)
            fails("cancelled again", errors.MessageNotFoundError, lambda: sender.cancel_scheduled_messages(numbers))


def check_rule_manager(name):
    raise Skip("this SDK manages rules over HTTP alone")


def check_filters(name):
    values = {
        "text": "t\u00e4xt",
        "yes": True,
        "no": False,
        "small": 5,
        "negative": -7,
        "real": 1.5,
        "uuid": uuid.UUID("01234567-89ab-cdef-0123-456789abcdef"),
    }
    if IS_UAMQP:
        # Its successor writes whole numbers as 32 bits. Both write bytes as a string.
        values.update(large=2**40)
    with client() as c:
        with c.get_topic_sender(name) as sender:
            sender.send_messages(sb.ServiceBusMessage(b"x", application_properties=values))
        for subscription in ("one", "two"):
            with c.get_subscription_receiver(name, subscription) as r:
                got = [{text(k): v for k, v in m.application_properties.items()} for m in receive(r, len(values))]
                is_equal(subscription, sorted(text(each["RuleName"]) for each in got), sorted(values))
                is_true("not as the action says", all(each["taken"] is True for each in got))


# Errors.

# The service answers put-token for what is not there with 404, which the SDK takes as a failed authentication: its own
# live tests (test_sb_client_bad_entity) ask for just that. Only uamqp hands the words on.
NOT_FOUND = errors.ServiceBusAuthenticationError
NOT_FOUND_TEXT = ("could not be found", "404") if IS_UAMQP else None


def check_missing_sender(name):
    with client() as c:
        def go():
            send(c, name, b"x")

        fails("sending", NOT_FOUND, go, NOT_FOUND_TEXT)


def check_missing_receiver(name):
    with client() as c:
        def go():
            with c.get_queue_receiver(name) as r:
                r.receive_messages(max_wait_time=2)

        fails("receiving", NOT_FOUND, go, NOT_FOUND_TEXT)


def check_missing_subscription(name):
    with client() as c:
        def go():
            with c.get_subscription_receiver(name, "missing") as r:
                r.receive_messages(max_wait_time=2)

        fails("receiving", NOT_FOUND, go, NOT_FOUND_TEXT)


def check_wrong_key(name):
    wrong = ";".join(
        "SharedAccessKey=d3Jvbmc=" if part.startswith("SharedAccessKey=") else part
        for part in (CONNECTION if IS_PLAIN else SECURE).split(";")
    )
    kinds = (errors.ServiceBusAuthenticationError, errors.ServiceBusAuthorizationError)
    with client(wrong) as c:
        fails("sending", kinds, lambda: send(c, name, b"x"))

        def go():
            with c.get_queue_receiver(name) as r:
                r.receive_messages(max_wait_time=2)

        fails("receiving", kinds, go)


def check_namespaces(name):
    connection = CONNECTION if IS_PLAIN else SECURE
    keys = ["RootManageSharedAccessKey", "team-a", "team-b"]
    places = {
        key: ";".join(
            "SharedAccessKeyName=" + key if part.startswith("SharedAccessKeyName=") else part
            for part in connection.split(";")
        )
        for key in keys
    }
    for key in keys:
        with client(places[key]) as c:
            send(c, name, key.encode())
    for key in keys:
        with client(places[key]) as c, c.get_queue_receiver(name) as r:
            (message,) = receive(r)
            is_equal("body", body_of(message), key.encode())
            r.complete_message(message)
            is_empty(r)


def check_wrong_kind(name):
    with client(retry_total=0) as c:
        def plain():
            with c.get_queue_receiver(name) as r:
                r.receive_messages(max_wait_time=2)

        # The SDK has no class for amqp:not-allowed.
        fails("a receiver without a session", errors.ServiceBusError, plain, ("requires sessions",))

        def sessionless():
            send(c, name, b"x")

        fails("a message without a session", errors.ServiceBusError, sessionless, ("SessionId",))

        def sessionful():
            with c.get_queue_receiver("send-receive", session_id="s") as r:
                r.receive_messages(max_wait_time=2)

        fails("a session of a plain queue", errors.ServiceBusError, sessionful, ("sessionful",))


# Sizes.


def round_trip(name, size):
    body = os.urandom(1024) * (size // 1024)
    with client() as c:
        send(c, name, body)
        with c.get_queue_receiver(name) as r:
            (message,) = receive(r, seconds=15)
            is_true("the body of %d bytes came back other" % size, body_of(message) == body)
            r.complete_message(message)
            time.sleep(0.3)
            is_empty(r)


def refused(name, size):
    with client() as c:
        with c.get_queue_sender(name) as sender:
            fails("sending", errors.MessageSizeExceededError, lambda: sender.send_messages(sb.ServiceBusMessage(b"x" * size)),
                  seconds=8)
            sender.send_messages(sb.ServiceBusMessage(b"after"))
        with c.get_queue_receiver(name) as r:
            (message,) = receive(r)
            is_equal("the next one", body_of(message), b"after")


def check_size_200k(name):
    round_trip(name, 200 * 1024)


def check_size_300k_refused(name):
    refused(name, 300 * 1024)


def check_size_2m_refused(name):
    refused(name, 2 * 1024 * 1024)


def check_size_5m(name):
    round_trip(name, 5 * 1024 * 1024)


def check_tls(name):
    if IS_PLAIN:
        endpoint = "sb://localhost:%s" % os.environ["INTEROP_TLS_PORT"]
        c = client(SECURE, transport_type=sb.TransportType.Amqp, custom_endpoint_address=endpoint)
    else:
        c = client(SECURE)
    with c:
        send(c, name, b"x")
        with c.get_queue_receiver(name) as r:
            (message,) = receive(r)
            is_equal("body", body_of(message), b"x")
            r.complete_message(message)


def check_plain_amqp(name):
    raise Skip("Qpid Proton has checks of its own")


def check_web_socket(name):
    endpoint = "sb://localhost:%s" % os.environ["INTEROP_WEB_SOCKET_PORT"]
    with client(SECURE, transport_type=sb.TransportType.AmqpOverWebsocket, custom_endpoint_address=endpoint) as c:
        send(c, name, b"x")
        with c.get_queue_receiver(name) as r:
            (message,) = receive(r)
            is_equal("body", body_of(message), b"x")
            r.complete_message(message)


def identified(check):
    """The same check with azure-identity, which is among the packages of the newest version alone."""

    def run(name):
        if VERSION < (7, 15):
            raise Skip("azure-identity is among the packages of 7.15 alone")
        import identity  # pylint: disable=import-outside-toplevel

        getattr(identity, check)(name)

    return run


check_identity_secret = identified("secret")
check_identity_environment = identified("environment")
check_identity_roles = identified("roles")
check_admin_identity = identified("administration")

check_admin_namespace = administration.namespace
check_admin_queue = administration.queue
check_admin_topic = administration.topic
check_admin_subscription = administration.subscription
check_admin_rules = administration.rules
check_admin_list = administration.listing
check_admin_all = administration.pages
check_admin_parameters = administration.parameters
check_admin_errors = administration.refusals
check_admin_wrong_key = administration.wrong_key


def check_admin_runtime(name):
    def traffic(queue):
        with client() as c:
            send(c, queue, b"a", b"b", b"c")
            with c.get_queue_sender(queue) as sender:
                later = datetime.datetime.now(UTC).replace(tzinfo=None) + datetime.timedelta(hours=1)
                sender.schedule_messages(sb.ServiceBusMessage(b"d"), later)
            with c.get_queue_receiver(queue) as receiver:
                receiver.dead_letter_message(receive(receiver)[0])

    administration.runtime(name, traffic)


def check_admin_message_size(name):
    def send_large(queue):
        with client() as c:
            send(c, queue, os.urandom(1536 * 1024))

    administration.message_size(name, send_large)


def check_admin_topic_runtime(name):
    def traffic(topic):
        with client() as c:
            with c.get_topic_sender(topic) as sender:
                for quantity in (3, 7, 9):
                    message = sb.ServiceBusMessage(b"%d" % quantity, application_properties={"quantity": quantity})
                    sender.send_messages(message)
                later = datetime.datetime.now(UTC).replace(tzinfo=None) + datetime.timedelta(hours=1)
                sender.schedule_messages(sb.ServiceBusMessage(b"x"), later)
            with c.get_subscription_receiver(topic, "some") as receiver:
                (message,) = receive(receiver)
                is_equal("what the action set", (body_of(message), properties_of(message).get("seen")), (b"7", "yes"))
                receiver.dead_letter_message(message)

    administration.topic_runtime(name, traffic)


def check_admin_standard_port(name):
    raise Skip("a connection string may have another one")


def run(name):
    run_check(name, lambda: globals()["check_" + name.replace("-", "_")](name))


def run_alone(name):
    """In a process of its own: several connections of uamqp in one process can end it."""
    try:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", __file__, name], timeout=CHECK_SECONDS + 5,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, check=False,
            env=dict(os.environ, INTEROP_ALONE="1"),
        )
        verdicts = [line for line in done.stdout.splitlines() if line.startswith(("ok ", "not ok ", "skip "))]
        say(verdicts[-1] if verdicts else "not ok %s: ended by itself with %s: %s" % (name, done.returncode, done.stdout[-300:]))
    except subprocess.TimeoutExpired:
        say("not ok %s: still running after %d s" % (name, CHECK_SECONDS))


with ThreadPoolExecutor(max_workers=6) as pool:
    list(pool.map(run_alone if IS_UAMQP and "INTEROP_ALONE" not in os.environ else run, sys.argv[1:]))
# A check that hangs must not keep the process.
os._exit(0)
