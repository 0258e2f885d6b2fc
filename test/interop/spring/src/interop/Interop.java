package interop;

import com.azure.messaging.servicebus.ServiceBusClientBuilder;
import com.azure.messaging.servicebus.models.SubQueue;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.jms.core.JmsTemplate;

/** The checks with Spring Cloud Azure: its listeners and template for Service Bus, and JMS. */
@SpringBootApplication
public class Interop {
    private static final long SECONDS = 15;

    private static void isEqual(String what, Object actual, Object expected) {
        if (!Objects.equals(actual, expected)) {
            throw new AssertionError(what + " is " + actual + ", not " + expected);
        }
    }

    private static String next(BlockingQueue<String> came) throws InterruptedException {
        return came.poll(SECONDS, TimeUnit.SECONDS);
    }

    /** What a queue still has, once that is as many as expected. */
    private static List<String> left(String queue, SubQueue subQueue, int count) throws InterruptedException {
        var builder = new ServiceBusClientBuilder().connectionString(System.getenv("SERVICE_BUS_CONNECTION_STR"));
        try (var receiver = builder.receiver().queueName(queue).subQueue(subQueue).buildClient()) {
            long until = System.nanoTime() + TimeUnit.SECONDS.toNanos(SECONDS);
            while (true) {
                var bodies = receiver.peekMessages(10, 0).stream().map(each -> each.getBody().toString())
                    .collect(Collectors.toList());
                if (bodies.size() == count || System.nanoTime() > until) {
                    return bodies;
                }
                Thread.sleep(50);
            }
        }
    }

    private static void queue(JmsTemplate jms, String name) throws InterruptedException {
        jms.convertAndSend(name, "one");
        jms.setReceiveTimeout(TimeUnit.SECONDS.toMillis(SECONDS));
        isEqual("what came", jms.receiveAndConvert(name), "one");
        isEqual("what is left", left(name, SubQueue.NONE, 0), List.of());
    }

    private static void check(String name, ConfigurableApplicationContext context) throws Exception {
        Orders orders = context.getBean(Orders.class);
        JmsTemplate jms = context.getBean(JmsTemplate.class);
        switch (name) {
            case "spring-listener":
                orders.place("one");
                isEqual("what came", next(orders.came), "one");
                isEqual("what is left", left("orders", SubQueue.NONE, 0), List.of());
                break;
            case "spring-dead-letter":
                orders.fail("one");
                isEqual("the first time", next(orders.failed), "one");
                isEqual("what is left", left("failures", SubQueue.NONE, 0), List.of());
                isEqual("dead letters", left("failures", SubQueue.DEAD_LETTER_QUEUE, 1), List.of("one"));
                break;
            case "spring-jms-azure":
                queue(Azure.template(), "azure");
                break;
            case "spring-jms-queue":
                queue(jms, "jobs");
                break;
            case "spring-jms-topic":
                jms.setPubSubDomain(true);
                jms.convertAndSend("news", "one");
                jms.setPubSubDomain(false);
                isEqual("what came", next(context.getBean(News.class).came), "one");
                break;
            default:
                throw new AssertionError("there is no such check");
        }
    }

    private static String told(Throwable error) {
        return error.getCause() == null ? error.toString() : error + " <- " + told(error.getCause());
    }

    public static void main(String[] names) throws Exception {
        Azure.trust();
        try (ConfigurableApplicationContext context = SpringApplication.run(Interop.class)) {
            for (String name : names) {
                try {
                    check(name, context);
                    System.out.println("ok " + name);
                } catch (Throwable error) {
                    System.out.println("not ok " + name + ": " + told(error).replace('\n', ' '));
                }
            }
        } finally {
            System.out.flush();
            // A check that hangs must not keep the process.
            Runtime.getRuntime().halt(0);
        }
    }
}
