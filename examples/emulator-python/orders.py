"""What is tested: orders come in a queue, and each is billed by an invoice in another one."""
import json

from azure.servicebus import ServiceBusMessage


def place(client, order, **options):
    with client.get_queue_sender("orders") as sender:
        sender.send_messages(ServiceBusMessage(json.dumps(order), **options))


def remind(client, order, at):
    with client.get_queue_sender("orders") as sender:
        sender.schedule_messages(ServiceBusMessage(json.dumps(order)), at)


def bill_next(client, bill):
    """Bills an order, if one is there: `bill` gives the total of the invoice. Says what became of the order."""
    with client.get_queue_receiver("orders") as receiver, client.get_queue_sender("invoices") as sender:
        for message in receiver.receive_messages(max_wait_time=5):
            try:
                total = bill(json.loads(str(message)))
            except ValueError as error:
                receiver.dead_letter_message(message, reason="BadOrder", error_description=str(error))
                return "dead-lettered"
            except ConnectionError:
                receiver.abandon_message(message)
                return "abandoned"
            sender.send_messages(ServiceBusMessage(json.dumps({"total": total}), message_id=message.message_id))
            receiver.complete_message(message)
            return "billed"
    return "nothing"
