package interop;

import jakarta.jms.ConnectionFactory;
import java.util.Arrays;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.stream.Collectors;
import org.apache.qpid.jms.JmsConnectionFactory;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.jms.annotation.EnableJms;
import org.springframework.jms.annotation.JmsListener;

/** JMS by Apache Qpid, which Microsoft's library stands on. */
@Configuration
@EnableJms
class News {
    static final Map<String, String> PARTS = Arrays.stream(System.getenv("SERVICE_BUS_CONNECTION_STR").split(";"))
        .map(part -> part.split("=", 2)).collect(Collectors.toMap(part -> part[0], part -> part[1]));

    final BlockingQueue<String> came = new LinkedBlockingQueue<>();

    @Bean
    ConnectionFactory broker() {
        String name = PARTS.get("SharedAccessKeyName");
        String key = PARTS.get("SharedAccessKey");
        String uri = PARTS.get("Endpoint").replaceFirst("^sb:", "amqp:");
        return new JmsConnectionFactory(name, key, uri);
    }

    @JmsListener(destination = "news/Subscriptions/all")
    void read(String text) {
        came.add(text);
    }
}
