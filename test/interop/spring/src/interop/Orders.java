package interop;

import com.azure.spring.messaging.implementation.annotation.EnableAzureMessaging;
import com.azure.spring.messaging.servicebus.core.ServiceBusTemplate;
import com.azure.spring.messaging.servicebus.implementation.core.annotation.ServiceBusListener;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import org.springframework.messaging.support.MessageBuilder;
import org.springframework.stereotype.Component;

/** What docs/emulator-clients.md shows, as it stands there. */
@Component
@EnableAzureMessaging
class Orders {
    final BlockingQueue<String> came = new LinkedBlockingQueue<>();
    final BlockingQueue<String> failed = new LinkedBlockingQueue<>();
    private final ServiceBusTemplate template;

    Orders(ServiceBusTemplate template) {
        this.template = template;
    }

    void place(String order) {
        template.sendAsync("orders", MessageBuilder.withPayload(order).build()).block();
    }

    @ServiceBusListener(destination = "orders")
    void bill(String order) {
        came.add(order);
    }

    void fail(String order) {
        template.sendAsync("failures", MessageBuilder.withPayload(order).build()).block();
    }

    @ServiceBusListener(destination = "failures")
    void fails(String order) {
        failed.add(order);
        throw new IllegalStateException("no");
    }
}
