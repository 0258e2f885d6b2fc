"""Ten tests, in parallel: `pytest -n 4`."""
import datetime

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.exceptions import MessageLockLostError
from orders import bill_next, place, remind


def total(order):
    if order["total"] < 0:
        raise ValueError("a negative total")
    return order["total"]


def is_down(order):
    raise ConnectionError("the bank is down")


def test_an_order_is_billed(namespace, client):
    place(client, {"total": 9.5})
    assert bill_next(client, total) == "billed"
    (invoice,) = namespace.messages("invoices")
    assert invoice["body"] == {"text": '{"total": 9.5}'}
    assert namespace.messages("orders") == []


def test_an_invoice_has_the_id_of_its_order(namespace, client):
    place(client, {"total": 1}, message_id="order-1")
    bill_next(client, total)
    assert [each["messageId"] for each in namespace.messages("invoices")] == ["order-1"]


def test_a_bad_order_is_dead_lettered(namespace, client):
    place(client, {"total": -1})
    assert bill_next(client, total) == "dead-lettered"
    (letter,) = namespace.messages("orders/$DeadLetterQueue")
    assert letter["applicationProperties"]["DeadLetterReason"] == "BadOrder"


def test_an_order_that_cannot_be_billed_now_comes_again(client):
    place(client, {"total": 2})
    assert bill_next(client, is_down) == "abandoned"
    assert bill_next(client, total) == "billed"


def test_an_order_is_tried_three_times(namespace, client):
    place(client, {"total": 3})
    assert [bill_next(client, is_down) for _ in range(3)] == ["abandoned"] * 3
    (letter,) = namespace.messages("orders/$DeadLetterQueue")
    assert letter["applicationProperties"]["DeadLetterReason"] == "MaxDeliveryCountExceeded"


def test_what_a_worker_that_stood_still_had_comes_again(namespace, client):
    place(client, {"total": 4})
    with client.get_queue_receiver("orders") as receiver:
        (message,) = receiver.receive_messages(max_wait_time=5)
        namespace.advance("31 seconds")
        with pytest.raises(MessageLockLostError):
            receiver.complete_message(message)
    assert bill_next(client, total) == "billed"


def test_a_reminder_comes_tomorrow(namespace, client):
    remind(client, {"total": 5}, namespace.now() + datetime.timedelta(days=1))
    namespace.advance("23 hours")
    assert [each["state"] for each in namespace.messages("orders")] == ["scheduled"]
    namespace.advance("1 hour")
    assert bill_next(client, total) == "billed"


def test_an_offer_ends(namespace, client):
    place(client, {"total": 6}, time_to_live=datetime.timedelta(hours=1))
    namespace.advance("2 hours")
    assert namespace.messages("orders") == []


def test_a_busy_broker_and_a_connection_that_is_cut_lose_no_order(namespace, client):
    namespace.http("POST", "/faults", {"operation": "send", "error": {"condition": "com.microsoft:server-busy"}})
    place(client, {"total": 7})
    namespace.http("POST", "/connections/drop")
    assert bill_next(client, total) == "billed"


def test_finals_are_told_apart(namespace, client):
    with client.get_topic_sender("news") as sender:
        for round in ("first", "final"):
            sender.send_messages(ServiceBusMessage(round, application_properties={"round": round}))
    assert len(namespace.messages("news/Subscriptions/all")) == 2
    assert [each["body"] for each in namespace.messages("news/Subscriptions/finals")] == [{"text": "final"}]
