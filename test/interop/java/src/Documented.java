import com.azure.messaging.servicebus.ServiceBusClientBuilder;
import com.azure.messaging.servicebus.ServiceBusMessage;

/** What docs/emulator-clients.md shows, as it stands there. */
final class Documented {
    private Documented() {
    }

    static void run() {
        var builder = new ServiceBusClientBuilder().connectionString(System.getenv("SERVICE_BUS_CONNECTION_STR"));
        try (var sender = builder.sender().queueName("orders").buildClient();
            var receiver = builder.receiver().queueName("orders").buildClient()) {
            sender.sendMessage(new ServiceBusMessage("text"));
            for (var message : receiver.receiveMessages(1)) {
                receiver.complete(message);
            }
        }
    }
}
