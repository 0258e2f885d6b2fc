"""The published command with azure-servicebus for Python: each check starts it, reads its line, and controls it over HTTP by
`urllib`.
"""
import base64
import datetime
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import azure.identity as ai
import azure.servicebus as sb
from azure.servicebus import exceptions as errors
from azure.servicebus import management
from support import body_of, fails, is_equal, is_true, properties_of, receive, run_check

STARTS = json.loads(os.environ["INTEROP_STARTS"])
NEVER = datetime.datetime(2100, 1, 1)


def parts_of(connection):
    return dict(part.split("=", 1) for part in connection.split(";") if part)


def connection_of(connection, **parts):
    """A connection string with other parts; what is None is not there."""
    merged = dict(parts_of(connection), **parts)
    return ";".join("%s=%s" % part for part in merged.items() if part[1] is not None)


def get(url, headers=None, method="GET", body=None):
    """Status and text of an answer, whatever it is."""
    data = None if body is None else json.dumps(body).encode()
    # A `content-type` that it does not mean is sent by urllib with every body; the broker does not look at it.
    request = urllib.request.Request(url, method=method, headers=headers or {}, data=data)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


class Broker:
    """The command, while a check runs."""

    def __init__(self, start):
        self.flags = start["arguments"]
        self.process = subprocess.Popen(
            ["effect-service-bus", "emulator"] + start["arguments"],
            env=dict(os.environ, **start.get("variables", {})), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError("the command did not start: %s" % self.process.stderr.read().decode())
        self.ready = json.loads(line)
        self.connection = self.ready["connectionString"]
        self.authority = None
        if "certificate" in self.ready:
            with tempfile.NamedTemporaryFile("w", suffix=".pem", delete=False) as file:
                file.write(self.ready["certificate"])
                self.authority = file.name

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        if self.authority is not None:
            os.remove(self.authority)

    def client(self, connection=None, **options):
        settings = dict(retry_total=5, retry_backoff_factor=0.1, retry_mode="fixed")
        settings.update(options)
        return sb.ServiceBusClient.from_connection_string(connection or self.connection, **settings)

    def secure(self, port, **options):
        """A client over TLS, at a port of its own."""
        connection = connection_of(self.connection, Endpoint="sb://localhost/", UseDevelopmentEmulator=None)
        endpoint = "sb://localhost:%d" % port
        return self.client(
            connection, custom_endpoint_address=endpoint, connection_verify=self.authority, **options
        )

    def administration(self):
        return management.ServiceBusAdministrationClient.from_connection_string(
            self.ready["adminConnectionString"], connection_verify=self.authority
        )

    def http(self, method, path, body=None, connection=None):
        """A request of the control API, and what its JSON says."""
        parts = parts_of(connection or self.connection)
        key = "%s:%s" % (parts["SharedAccessKeyName"], parts["SharedAccessKey"])
        headers = {"Authorization": "Basic " + base64.b64encode(key.encode()).decode()}
        url = "http://127.0.0.1:%d%s" % (self.ready["adminPort"], path)
        status, answer = get(url, headers, method, body)
        if status >= 300:
            raise AssertionError("%s %s: %s %s" % (method, path, status, answer))
        return json.loads(answer) if answer else None


def send(client, name, *messages):
    with client.get_queue_sender(name) as sender:
        for message in messages:
            sender.send_messages(message if isinstance(message, sb.ServiceBusMessage) else sb.ServiceBusMessage(message))


def message(body, properties=None, **options):
    return sb.ServiceBusMessage(body, application_properties=properties, **options)


def take(receiver, *expected):
    """Receives what there must be, and completes it."""
    with receiver:
        messages = receive(receiver, len(expected))
        is_equal("bodies", [body_of(m).decode() for m in messages], list(expected))
        for each in messages:
            receiver.complete_message(each)
    return messages


def round_trip(client, name):
    send(client, name, "one", "zwei \u00e4")
    take(client.get_queue_receiver(name), "one", "zwei \u00e4")


def dead_letter_of(client, name):
    with client.get_queue_receiver(name, sub_queue=sb.ServiceBusSubQueue.DEAD_LETTER) as receiver:
        (letter,) = receive(receiver)
        return body_of(letter).decode(), letter.dead_letter_reason


def check_plain(broker):
    is_equal("members", sorted(broker.ready), ["adminConnectionString", "adminPort", "amqpPort", "connectionString"])
    with broker.client() as client:
        round_trip(client, "orders")


def check_tls(broker):
    with broker.secure(broker.ready["tlsPort"]) as client:
        round_trip(client, "orders")


def check_web_socket(broker):
    kind = sb.TransportType.AmqpOverWebsocket
    with broker.secure(broker.ready["webSocketPort"], transport_type=kind) as client:
        round_trip(client, "orders")


def check_identity(broker):
    is_equal("key", parts_of(broker.connection)["SharedAccessKey"], "of-the-root")

    def client_of(client_id):
        credential = ai.ClientSecretCredential(
            "11111111-1111-1111-1111-111111111111", client_id, client_id + "-secret", disable_instance_discovery=True,
            authority="https://localhost:%d" % broker.ready["httpsPort"], connection_verify=broker.authority,
        )
        return sb.ServiceBusClient(
            "localhost", credential, custom_endpoint_address="sb://localhost:%d" % broker.ready["tlsPort"],
            connection_verify=broker.authority, retry_total=0,
        )

    with client_of("shop") as shop, client_of("billing") as billing:
        send(shop, "orders", "of the shop")
        kinds = (errors.ServiceBusAuthenticationError, errors.ServiceBusAuthorizationError)
        fails("receiving", kinds, lambda: receive(shop.get_queue_receiver("orders")))
        take(billing.get_queue_receiver("orders"), "of the shop")


def check_administration(broker):
    with open(broker.flags[broker.flags.index("--write-cert") + 1], encoding="utf-8") as file:
        is_equal("what it wrote", file.read(), broker.ready["certificate"])
    with broker.administration() as administration:
        administration.create_queue("made", lock_duration=datetime.timedelta(seconds=45))
        is_equal("lock", administration.get_queue("made").lock_duration, datetime.timedelta(seconds=45))
        with broker.client() as client:
            round_trip(client, "made")
        administration.delete_queue("orders")
        is_equal("queues", [each.name for each in administration.list_queues()], ["made"])


def check_health(broker):
    at = "http://127.0.0.1:%d" % broker.ready["adminPort"]
    is_equal("health", get(at + "/health")[0], 200)
    is_equal("without a key", get(at + "/messages?entity=orders")[0], 401)
    is_true("not OpenAPI 3.1", broker.http("GET", "/openapi.json")["openapi"].startswith("3.1"))
    with broker.client() as client:
        round_trip(client, "orders")


def check_stop(broker):
    with broker.client() as client:
        send(client, "orders", "locked", "waiting")
        with client.get_queue_receiver("orders") as receiver:
            receive(receiver)
            broker.process.send_signal(signal.SIGTERM)
            is_equal("exit code", broker.process.wait(10), 0)
            is_equal("more of its output", broker.process.stdout.read(), b"")


def check_entities(broker):
    with broker.client() as client:
        final = {"round": "final"}
        send(client, "news", message("cup", final, session_id="s"), message("more", session_id="s"))
        take(client.get_subscription_receiver("news", "all"), "cup", "more")
        (cup,) = take(client.get_subscription_receiver("news", "finals"), "cup")
        is_equal("what the action set", properties_of(cup).get("priority"), 1)
        take(client.get_subscription_receiver("news", "keyed", session_id="s"), "cup", "more")
        send(client, "carts", message("cart", session_id="of-ada"))
        take(client.get_queue_receiver("carts", session_id=sb.NEXT_AVAILABLE_SESSION), "cart")
        send(client, "empty", "nobody takes it")
        for name in ("once", "unique"):
            send(client, name, message(name, message_id="the same"), message(name, message_id="the same"), "last")
        take(client.get_queue_receiver("once"), "once", "last")
        take(client.get_subscription_receiver("unique", "all"), "unique", "last")
        send(client, "orders", "bad")
        with client.get_queue_receiver("orders") as receiver:
            for _ in range(2):
                receiver.abandon_message(receive(receiver)[0])
        is_equal("dead letter", dead_letter_of(client, "orders"), ("bad", "MaxDeliveryCountExceeded"))


def check_variables(broker):
    is_equal("key", parts_of(broker.connection)["SharedAccessKey"], "of-a-container")
    with broker.client() as client:
        round_trip(client, "orders")
        round_trip(client, "carts")
        send(client, "news", message("third", {"round": "third"}), "none")
        take(client.get_subscription_receiver("news", "finals"), "third")
        take(client.get_subscription_receiver("news", "rest"), "none")


def check_config(broker):
    is_equal("key", parts_of(broker.connection)["SharedAccessKey"], "SAS_KEY_VALUE")
    with broker.client() as client:
        final = {"round": "final"}
        send(
            client, "news", message("english", {"language": "en"}, subject="sport"),
            message("final", final, subject="cup"), message("rumour", final, subject="rumour"),
        )
        _, last = take(client.get_subscription_receiver("news", "sport"), "english", "final")
        is_equal("what the action set", properties_of(last).get("priority"), 1)
        take(client.get_subscription_receiver("news", "archive"), "english", "final", "rumour")
        send(client, "carts", message("cart", session_id="of-ada"))
        take(client.get_queue_receiver("carts", session_id=sb.NEXT_AVAILABLE_SESSION), "cart")
        forwards_dead_letters(client)


def forwards_dead_letters(client):
    send(client, "orders", "bad")
    with client.get_queue_receiver("orders") as receiver:
        receiver.dead_letter_message(receive(receiver)[0])
    take(client.get_queue_receiver("failed"), "bad")


def check_template(broker):
    shop = connection_of(broker.connection, SharedAccessKeyName="shop", SharedAccessKey="SAS_KEY_VALUE")
    with broker.client(shop) as client:
        send(client, "news", message("goal", subject="sport"), message("rain", subject="weather"))
        take(client.get_subscription_receiver("news", "sport"), "goal")
        take(client.get_subscription_receiver("news", "archive"), "goal", "rain")
        round_trip(client, "orders")
        forwards_dead_letters(client)


def check_namespaces(broker):
    named = {name: connection_of(broker.connection, SharedAccessKeyName=name) for name in ("team-a", "team-b")}

    def use(name):
        with broker.client(named[name]) as client:
            send(client, "orders", name, name + ", too")
            take(client.get_queue_receiver("orders"), name, name + ", too")
            send(client, "orders", "left in " + name)

    def left(name):
        return [each["body"] for each in broker.http("GET", "/messages?entity=orders", connection=named[name])]

    def there():
        return sorted(each["name"] for each in broker.http("GET", "/namespaces"))

    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(use, named))
    is_equal("left", left("team-b"), [{"text": "left in team-b"}])
    is_equal("namespaces", there(), ["default", "team-a", "team-b"])
    broker.http("DELETE", "/namespaces/team-a")
    is_equal("namespaces", there(), ["default", "team-b"])
    # It comes again, empty.
    is_equal("left", left("team-a"), [])


def check_namespace_made(broker):
    made = broker.http("POST", "/namespaces", {"name": "own", "entities": [{"kind": "queue", "name": "carts"}]})
    key = parts_of(broker.connection)["SharedAccessKey"]
    is_true("its key is that of the broker", parts_of(made["connectionString"])["SharedAccessKey"] != key)
    with broker.client(made["connectionString"]) as client:
        round_trip(client, "carts")
    with broker.client(connection_of(made["connectionString"], SharedAccessKey=key), retry_total=0) as client:
        kinds = (errors.ServiceBusAuthenticationError, errors.ServiceBusAuthorizationError)
        fails("another key", kinds, lambda: send(client, "carts", "x"))


def instant(clock):
    return datetime.datetime.strptime(clock["now"], "%Y-%m-%dT%H:%M:%S.%fZ")


def check_data(broker):
    with broker.client() as client:
        send(client, "orders", "taken", "locked", "waiting")
        take(client.get_queue_receiver("orders"), "taken")
        with client.get_queue_receiver("orders") as receiver:
            receive(receiver)
            broker.process.kill()
            broker.process.wait()
    with Broker({"arguments": broker.flags}) as again:
        is_equal("the key", parts_of(again.connection)["SharedAccessKey"], parts_of(broker.connection)["SharedAccessKey"])
        with again.client() as client:
            left = take(client.get_queue_receiver("orders"), "locked", "waiting")
            is_equal("delivery counts", [each.delivery_count for each in left], [1, 0])


def check_clock_lock(broker):
    with broker.client() as client:
        send(client, "orders", "x")
        with client.get_queue_receiver("orders") as receiver:
            (first,) = receive(receiver)
            before = broker.http("GET", "/clock")
            after = broker.http("POST", "/clock/advance", {"by": "PT31S"})
            is_equal("time", instant(after) - instant(before), datetime.timedelta(seconds=31))
            fails("completing", errors.MessageLockLostError, lambda: receiver.complete_message(first))
            (again,) = receive(receiver)
            is_equal("delivery count", again.delivery_count, 1)


def check_clock_schedule(broker):
    with broker.client() as client:
        later = instant(broker.http("GET", "/clock")) + datetime.timedelta(hours=1)
        with client.get_queue_sender("orders") as sender:
            sender.schedule_messages(sb.ServiceBusMessage("later"), later)
        broker.http("POST", "/clock/advance", {"by": "59 minutes"})
        waiting = broker.http("GET", "/messages?entity=orders")
        is_equal("waiting", [(each["body"], each["state"]) for each in waiting], [({"text": "later"}, "scheduled")])
        broker.http("POST", "/clock/advance", {"by": 60000})
        take(client.get_queue_receiver("orders"), "later")


def check_clock_expiry(broker):
    with broker.administration() as administration:
        administration.create_queue("short", dead_lettering_on_message_expiration=True)
    with broker.client() as client:
        send(client, "short", message("old", time_to_live=datetime.timedelta(minutes=1)))
        broker.http("POST", "/clock/advance", {"by": "61 seconds"})
        is_equal("dead letter", dead_letter_of(client, "short"), ("old", "TTLExpiredException"))


def check_messages(broker):
    put = broker.http("POST", "/messages?entity=orders", [
        {"messageId": "1", "body": {"json": {"total": 9.5}}, "contentType": "application/json", "subject": "new"},
        {"body": "text", "applicationProperties": {"large": {"$long": "1099511627776"}, "yes": True}},
    ])
    is_equal("numbers", put, {"sequenceNumbers": ["1", "2"]})
    with broker.client() as client:
        first, second = take(client.get_queue_receiver("orders"), "{\"total\":9.5}", "text")
        is_equal("first", (first.message_id, first.subject, first.content_type), ("1", "new", "application/json"))
        is_equal("properties", properties_of(second), {"large": 2**40, "yes": True})
        send(client, "orders", message(
            "{\"total\":3}", {"text": "t\u00e4xt"}, message_id="3", content_type="application/json"
        ))
        (seen,) = broker.http("GET", "/messages?entity=orders&from=3&max=1")
        is_equal("seen", [seen[name] for name in ("messageId", "body", "applicationProperties", "state", "sequenceNumber")],
                 ["3", {"json": {"total": 3}}, {"text": "t\u00e4xt"}, "active", "3"])


def check_browse(broker):
    with broker.client() as client:
        for body in ("one", "two", "three", "four"):
            send(client, "orders", message(body))
        first = broker.http("GET", "/entities")
        is_equal("entities", [(each["path"], each["active"]) for each in first["entities"]],
                 [("orders", 4), ("carts", 0), ("news", 0), ("news/Subscriptions/sport", 0)])
        is_equal("samples", broker.http("GET", "/samples?entity=orders")["isKept"], True)
        settings = broker.http("GET", "/settings?entity=orders")
        is_equal("settings", (settings["entity"]["name"], settings["counters"]["enqueued"]), ("orders", 4))
        page = broker.http("GET", "/messages/page?entity=orders&before=4&max=2")
        is_equal("page", ([each["sequenceNumber"] for each in page["messages"]], page["hasEarlier"]), (["2", "3"], True))

        def done(path, payload, of="orders"):
            return [each["isDone"] for each in broker.http("POST", "%s?entity=%s" % (path, of), payload)["outcomes"]]

        is_equal("dead", done("/messages/dead-letter", {"sequenceNumbers": ["1", "2"], "reason": "Bad"}), [True, True])
        is_equal("deleted", done("/messages/delete", {"sequenceNumbers": ["3", "3"]}), [True, False])
        is_equal("deferred", done("/messages/defer", {"sequenceNumbers": ["4"]}), [True])
        with client.get_queue_receiver("orders", sub_queue="deadletter") as receiver:
            is_equal("reason", receiver.peek_messages(2)[0].dead_letter_reason, "Bad")
            links = [link["role"] for each in broker.http("GET", "/connections") for link in each["links"]]
            is_equal("links", "receiver" in links, True)
        repaired = {"messages": [{"sequenceNumber": "1", "message": {"body": "mended"}}, {"sequenceNumber": "2"}]}
        is_equal("resent", done("/messages/resend", repaired, "orders/$DeadLetterQueue"), [True, True])
        take(client.get_queue_receiver("orders"), "mended", "two")
        is_equal("purged", broker.http("POST", "/messages/purge?entity=orders", {"state": "deferred"}), {"messages": 1})
        send(client, "carts", message("one", session_id="s"))
        (cart,) = broker.http("GET", "/sessions?entity=carts")
        is_equal("session", (cart["sessionId"], cart["messages"]), ("s", 1))
        sport = "news/Subscriptions/sport"
        rule = {"name": "finals", "filter": {"sql": "round = 'final'"}}
        with client.get_topic_sender("news") as sender:
            for text in ("third", "final"):
                sender.send_messages(message(text, {"round": text}))
        tried = broker.http("POST", "/rules/try?entity=%s" % sport, rule)
        is_equal("tried", (tried["tried"], [each["message"]["preview"] for each in tried["matched"]]), (2, ["final"]))
        broker.http("POST", "/rules?entity=%s" % sport, rule)
        broker.http("DELETE", "/rules?entity=%s&name=$Default" % sport)
        is_equal("rules", broker.http("GET", "/rules?entity=%s" % sport), [rule])
        changed = broker.http("GET", "/entities?since=%s" % first["version"])
        is_equal("changed", [(each["path"], each["active"]) for each in changed["entities"]],
                 [("orders", 0), ("carts", 1), ("news", 0), (sport, 2)])


def check_scheduled(broker):
    with broker.client() as client:
        later = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) + datetime.timedelta(hours=1)
        with client.get_queue_sender("orders") as sender:
            numbers = sender.schedule_messages([sb.ServiceBusMessage("first"), sb.ServiceBusMessage("second")], later)

        def scheduled():
            return broker.http("GET", "/scheduled?entity=orders")

        is_equal("numbers", [each["sequenceNumber"] for each in scheduled()], [str(number) for number in numbers])
        broker.http("POST", "/scheduled/reschedule?entity=orders", {
            "to": NEVER.isoformat() + "Z", "sequenceNumbers": [str(numbers[0])]
        })
        is_equal("time", scheduled()[0]["scheduledEnqueueTime"], "2100-01-01T00:00:00.000Z")
        is_equal("delivered", broker.http("POST", "/scheduled/deliver?entity=orders", {}), {"messages": 2})
        # In the order of their times.
        take(client.get_queue_receiver("orders"), "second", "first")


def check_state(broker):
    with broker.client() as client:
        send(client, "orders", message("kept", {"number": 5}))
        send(client, "carts", "emptied")
        dump = broker.http("GET", "/dump?entity=orders")
        is_equal("reset", broker.http("POST", "/reset?entity=carts"), {"messages": 1})
        broker.http("POST", "/reset")
        is_equal("left", broker.http("GET", "/messages?entity=orders"), [])
        broker.http("POST", "/load", dump)
        broker.http("POST", "/load", {"entities": [
            {"kind": "queue", "name": "fixture", "messages": [{"body": "one"}], "deadLetters": [{"body": "dead"}]}
        ]})
        (kept,) = take(client.get_queue_receiver("orders"), "kept")
        is_equal("properties", properties_of(kept), {"number": 5})
        take(client.get_queue_receiver("fixture"), "one")
        is_equal("dead letter", dead_letter_of(client, "fixture")[0], "dead")


def check_fault_busy(broker):
    added = broker.http("POST", "/faults", {
        "operation": "send", "entity": "orders", "error": {"condition": "com.microsoft:server-busy"}
    })
    with broker.client() as client:
        send(client, "orders", "in the end")
        (fault,) = broker.http("GET", "/faults")
        is_equal("fault", (fault["id"], fault["hits"], fault["isSpent"]), (added["id"], 1, True))
        take(client.get_queue_receiver("orders"), "in the end")


def check_fault_cut(broker):
    with broker.client() as client:
        with client.get_queue_sender("orders") as sender, client.get_queue_receiver("orders") as receiver:
            for path, body in (("/connections/drop", None), ("/links/detach", {"entity": "orders"})):
                sender.send_messages(sb.ServiceBusMessage(path))
                (received,) = receive(receiver)
                is_equal("body", body_of(received).decode(), path)
                receiver.complete_message(received)
                broker.http("POST", path, body)
            broker.http("POST", "/faults", {"operation": "send", "action": "disconnect"})
            sender.send_messages(sb.ServiceBusMessage("after all"))
            take(receiver, "after all")


def check_fault_lock(broker):
    with broker.client() as client:
        send(client, "orders", "x")
        with client.get_queue_receiver("orders") as receiver:
            (first,) = receive(receiver)
            is_equal("lost", broker.http("POST", "/locks/lose", {"entity": "orders"}), {"messages": 1})
            fails("completing", errors.MessageLockLostError, lambda: receiver.complete_message(first))
            (again,) = receive(receiver)
            is_equal("delivery count", again.delivery_count, 1)
            broker.http("POST", "/faults", {"operation": "settle", "action": "loseLock"})
            fails("completing again", errors.MessageLockLostError, lambda: receiver.complete_message(again))
        send(client, "carts", message("x", session_id="s"))
        with client.get_queue_receiver("carts", session_id="s") as receiver:
            broker.http("POST", "/locks/lose", {"entity": "carts", "session": "s"})
            fails("renewing", errors.SessionLockLostError, receiver.session.renew_lock)


def check_fault_delay(broker):
    broker.http("POST", "/faults", {"operation": "send", "action": "delay", "delay": 500})
    with broker.client() as client:
        started = time.monotonic()
        send(client, "orders", "late")
        is_true("it was not late", time.monotonic() - started > 0.49)
        take(client.get_queue_receiver("orders"), "late")


def check_faults_listed(broker):
    def add(operation):
        return broker.http("POST", "/faults", {"operation": operation, "action": "drop"})["id"]

    def listed():
        return [each["fault"]["operation"] for each in broker.http("GET", "/faults")]

    first = add("send")
    add("settle")
    add("attach")
    broker.http("DELETE", "/faults/%s" % first)
    is_equal("faults", listed(), ["settle", "attach"])
    broker.http("DELETE", "/faults")
    is_equal("faults", listed(), [])
    with broker.client() as client:
        round_trip(client, "orders")


def run(name):
    def check():
        with Broker(STARTS[name]) as broker:
            globals()["check_" + name.replace("command-", "").replace("-", "_")](broker)

    run_check(name, check)


with ThreadPoolExecutor(max_workers=6) as checks:
    list(checks.map(run, sys.argv[1:]))
# A check that hangs must not keep the process.
os._exit(0)
