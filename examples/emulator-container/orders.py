"""The service of compose.yaml: takes what it has put into the queue."""
import os

from azure.servicebus import ServiceBusClient, ServiceBusMessage

with ServiceBusClient.from_connection_string(os.environ["SERVICE_BUS_CONNECTION_STR"]) as client:
    with client.get_queue_sender("orders") as sender:
        sender.send_messages([ServiceBusMessage(f"order {number}") for number in range(1, 4)])
    with client.get_queue_receiver("orders") as receiver:
        for message in receiver.receive_messages(max_message_count=3, max_wait_time=5):
            print(f"billed {message}")
            receiver.complete_message(message)
