import os

from azure.servicebus import ServiceBusClient, ServiceBusMessage

client = ServiceBusClient.from_connection_string(
    os.environ["SERVICE_BUS_CONNECTION_STR"], connection_verify=os.environ["SSL_CERT_FILE"]
)
with client:
    with client.get_queue_sender("orders") as sender:
        sender.send_messages(ServiceBusMessage("text"))
    with client.get_queue_receiver("orders") as receiver:
        for message in receiver.receive_messages(max_wait_time=5):
            receiver.complete_message(message)
