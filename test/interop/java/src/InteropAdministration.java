import com.azure.core.exception.HttpResponseException;
import com.azure.core.exception.ResourceExistsException;
import com.azure.core.exception.ResourceNotFoundException;
import com.azure.core.http.HttpPipelineCallContext;
import com.azure.core.http.HttpPipelineNextPolicy;
import com.azure.core.http.HttpResponse;
import com.azure.core.http.policy.HttpPipelinePolicy;
import com.azure.core.util.BinaryData;
import com.azure.messaging.servicebus.ServiceBusMessage;
import com.azure.messaging.servicebus.ServiceBusReceiverClient;
import com.azure.messaging.servicebus.ServiceBusSenderClient;
import com.azure.messaging.servicebus.administration.ServiceBusAdministrationClient;
import com.azure.messaging.servicebus.administration.ServiceBusAdministrationClientBuilder;
import com.azure.messaging.servicebus.administration.models.AccessRights;
import com.azure.messaging.servicebus.administration.models.CorrelationRuleFilter;
import com.azure.messaging.servicebus.administration.models.CreateQueueOptions;
import com.azure.messaging.servicebus.administration.models.CreateRuleOptions;
import com.azure.messaging.servicebus.administration.models.CreateSubscriptionOptions;
import com.azure.messaging.servicebus.administration.models.CreateTopicOptions;
import com.azure.messaging.servicebus.administration.models.EntityStatus;
import com.azure.messaging.servicebus.administration.models.FalseRuleFilter;
import com.azure.messaging.servicebus.administration.models.NamespaceProperties;
import com.azure.messaging.servicebus.administration.models.QueueProperties;
import com.azure.messaging.servicebus.administration.models.QueueRuntimeProperties;
import com.azure.messaging.servicebus.administration.models.RuleProperties;
import com.azure.messaging.servicebus.administration.models.SharedAccessAuthorizationRule;
import com.azure.messaging.servicebus.administration.models.SqlRuleAction;
import com.azure.messaging.servicebus.administration.models.SqlRuleFilter;
import com.azure.messaging.servicebus.administration.models.SubscriptionProperties;
import com.azure.messaging.servicebus.administration.models.SubscriptionRuntimeProperties;
import com.azure.messaging.servicebus.administration.models.TopicProperties;
import com.azure.messaging.servicebus.administration.models.TopicRuntimeProperties;
import com.azure.messaging.servicebus.administration.models.TrueRuleFilter;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.net.BindException;
import java.net.InetAddress;
import java.net.MalformedURLException;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import java.time.OffsetDateTime;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import reactor.core.publisher.Mono;

/**
 * The checks of administration, over HTTPS. The client asks port 443 alone: a policy of its pipeline names another one, and
 * one check forwards that port to the broker instead.
 */
final class InteropAdministration {
    private InteropAdministration() {
    }

    /** A check with the client of its own. */
    interface Body {
        void run(String name, ServiceBusAdministrationClient admin) throws Exception;
    }

    /** Has the process trust the broker, before anything of TLS is loaded. */
    static void trust() throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        try (FileInputStream pem = new FileInputStream(System.getenv("INTEROP_CA"))) {
            store.setCertificateEntry("broker", CertificateFactory.getInstance("X.509").generateCertificate(pem));
        }
        Path file = Files.createTempFile("interop", ".p12");
        file.toFile().deleteOnExit();
        try (FileOutputStream out = new FileOutputStream(file.toFile())) {
            store.store(out, "changeit".toCharArray());
        }
        System.setProperty("javax.net.ssl.trustStore", file.toString());
        System.setProperty("javax.net.ssl.trustStorePassword", "changeit");
    }

    private static final class Port implements HttpPipelinePolicy {
        @Override
        public Mono<HttpResponse> process(HttpPipelineCallContext context, HttpPipelineNextPolicy next) {
            URL url = context.getHttpRequest().getUrl();
            try {
                int port = Integer.parseInt(System.getenv("INTEROP_HTTPS_PORT"));
                context.getHttpRequest().setUrl(new URL(url.getProtocol(), url.getHost(), port, url.getFile()));
            } catch (MalformedURLException error) {
                return Mono.error(error);
            }
            return next.process();
        }
    }

    /** Has a client ask the broker's port. */
    static HttpPipelinePolicy port() {
        return new Port();
    }

    static ServiceBusAdministrationClient client(String key) {
        return builder(key).addPolicy(new Port()).buildClient();
    }

    private static ServiceBusAdministrationClientBuilder builder(String key) {
        String text = Arrays.stream(System.getenv("INTEROP_CONNECTION").split(";"))
            .filter(part -> !part.startsWith("UseDevelopmentEmulator"))
            .map(part -> part.startsWith("Endpoint=") ? "Endpoint=sb://localhost/" : part)
            .map(part -> key != null && part.startsWith("SharedAccessKey=") ? "SharedAccessKey=" + key : part)
            .collect(Collectors.joining(";"));
        return new ServiceBusAdministrationClientBuilder().connectionString(text);
    }

    private static void isEqual(String what, Object actual, Object expected) {
        if (!Objects.equals(actual, expected)) {
            throw new AssertionError(what + " is " + actual + ", not " + expected);
        }
    }

    private static void rejects(String what, Class<?> kind, int status, Runnable action) {
        try {
            action.run();
        } catch (HttpResponseException error) {
            isEqual(what, error.getResponse().getStatusCode(), status);
            if (!kind.isInstance(error)) {
                throw new AssertionError(what + ": " + error.getClass().getName(), error);
            }
            return;
        }
        throw new AssertionError(what + ": nothing failed");
    }

    static void put(Map<String, Body> checks) {
        checks.put("admin-namespace", (name, admin) -> {
            NamespaceProperties properties = admin.getNamespaceProperties();
            isEqual("sku and name", List.of(properties.getMessagingSku().toString(), properties.getName()),
                List.of("Standard", "sbemulatorns"));
        });

        checks.put("admin-queue", (name, admin) -> {
            admin.createQueue(name + "-target");
            CreateQueueOptions options = new CreateQueueOptions().setLockDuration(Duration.ofSeconds(45))
                .setMaxSizeInMegabytes(2048).setDuplicateDetectionRequired(true).setSessionRequired(true)
                .setDefaultMessageTimeToLive(Duration.ofDays(2)).setDeadLetteringOnMessageExpiration(true)
                .setDuplicateDetectionHistoryTimeWindow(Duration.ofMinutes(1)).setMaxDeliveryCount(8)
                .setBatchedOperationsEnabled(false).setStatus(EntityStatus.RECEIVE_DISABLED)
                .setAutoDeleteOnIdle(Duration.ofHours(1)).setUserMetadata("text & <more>")
                .setForwardDeadLetteredMessagesTo(name + "-target");
            String key = "a".repeat(43) + "=";
            options.getAuthorizationRules().add(new SharedAccessAuthorizationRule("mine", key, key,
                Collections.singletonList(AccessRights.SEND)));
            admin.createQueue(name, options);
            QueueProperties read = admin.getQueue(name);
            isEqual("read",
                Arrays.asList(read.getLockDuration(), read.getMaxSizeInMegabytes(), read.isDuplicateDetectionRequired(),
                    read.isSessionRequired(), read.getDefaultMessageTimeToLive(), read.isDeadLetteringOnMessageExpiration(),
                    read.getDuplicateDetectionHistoryTimeWindow(), read.getMaxDeliveryCount(),
                    read.isBatchedOperationsEnabled(), read.getStatus(), read.getAutoDeleteOnIdle(), read.getUserMetadata()),
                Arrays.asList(Duration.ofSeconds(45), 2048L, true, true, Duration.ofDays(2), true, Duration.ofMinutes(1), 8,
                    false, EntityStatus.RECEIVE_DISABLED, Duration.ofHours(1), "text & <more>"));
            isEqual("key", read.getAuthorizationRules().get(0).getPrimaryKey(), key);
            isEqual("target", read.getForwardDeadLetteredMessagesTo().endsWith("/" + name + "-target"), true);
            admin.updateQueue(read.setMaxDeliveryCount(9).setStatus(EntityStatus.ACTIVE));
            QueueProperties changed = admin.getQueue(name);
            isEqual("changed", List.of(changed.getMaxDeliveryCount(), changed.getStatus(), changed.isSessionRequired()),
                List.of(9, EntityStatus.ACTIVE, true));
            admin.deleteQueue(name);
            isEqual("afterwards", admin.getQueueExists(name), false);
        });

        checks.put("admin-topic", (name, admin) -> {
            admin.createTopic(name, new CreateTopicOptions().setDefaultMessageTimeToLive(Duration.ofDays(2))
                .setMaxSizeInMegabytes(2048).setDuplicateDetectionRequired(true)
                .setDuplicateDetectionHistoryTimeWindow(Duration.ofMinutes(1)).setBatchedOperationsEnabled(false)
                .setStatus(EntityStatus.SEND_DISABLED).setPartitioningEnabled(false).setMaxMessageSizeInKilobytes(2048)
                .setAutoDeleteOnIdle(Duration.ofHours(1)).setUserMetadata("text & <more>").setOrderingSupported(true));
            TopicProperties read = admin.getTopic(name);
            isEqual("read",
                Arrays.asList(read.getDefaultMessageTimeToLive(), read.getMaxSizeInMegabytes(),
                    read.isDuplicateDetectionRequired(), read.getDuplicateDetectionHistoryTimeWindow(),
                    read.isBatchedOperationsEnabled(), read.getStatus(), read.isPartitioningEnabled(),
                    read.getMaxMessageSizeInKilobytes(), read.getAutoDeleteOnIdle(), read.getUserMetadata(),
                    read.isOrderingSupported()),
                Arrays.asList(Duration.ofDays(2), 2048L, true, Duration.ofMinutes(1), false, EntityStatus.SEND_DISABLED, false,
                    2048L, Duration.ofHours(1), "text & <more>", true));
            admin.updateTopic(read.setAutoDeleteOnIdle(Duration.ofHours(2)));
            isEqual("changed", admin.getTopic(name).getAutoDeleteOnIdle(), Duration.ofHours(2));
            isEqual("subscriptions", admin.getTopicRuntimeProperties(name).getSubscriptionCount(), 0);
            isEqual("listed", admin.listTopics().stream().filter(each -> each.getName().equals(name)).count(), 1L);
            admin.deleteTopic(name);
            isEqual("afterwards", admin.getTopicExists(name), false);
        });

        checks.put("admin-subscription", (name, admin) -> {
            admin.createTopic(name);
            admin.createQueue(name + "-target");
            admin.createSubscription(name, "Sub.one", new CreateSubscriptionOptions().setLockDuration(Duration.ofSeconds(45))
                .setSessionRequired(true).setMaxDeliveryCount(8).setEnableDeadLetteringOnFilterEvaluationExceptions(false)
                .setDefaultMessageTimeToLive(Duration.ofDays(2)).setDeadLetteringOnMessageExpiration(true)
                .setBatchedOperationsEnabled(false).setStatus(EntityStatus.RECEIVE_DISABLED)
                .setForwardDeadLetteredMessagesTo(name + "-target")
                .setAutoDeleteOnIdle(Duration.ofHours(1)).setUserMetadata("text & <more>"));
            SubscriptionProperties read = admin.getSubscription(name, "Sub.one");
            isEqual("read",
                Arrays.asList(read.getLockDuration(), read.isSessionRequired(), read.getMaxDeliveryCount(),
                    read.isDeadLetteringOnFilterEvaluationExceptions(), read.getDefaultMessageTimeToLive(),
                    read.isDeadLetteringOnMessageExpiration(), read.isBatchedOperationsEnabled(), read.getStatus(),
                    read.getForwardDeadLetteredMessagesTo().endsWith("/" + name + "-target"), read.getAutoDeleteOnIdle(),
                    read.getUserMetadata()),
                Arrays.asList(Duration.ofSeconds(45), true, 8, false, Duration.ofDays(2), true, false,
                    EntityStatus.RECEIVE_DISABLED, true, Duration.ofHours(1), "text & <more>"));
            admin.createSubscription(name, "two", new CreateSubscriptionOptions().setForwardTo(name + "-target"));
            isEqual("target", admin.getSubscription(name, "two").getForwardTo().endsWith("/" + name + "-target"), true);
            admin.updateSubscription(read.setMaxDeliveryCount(3));
            isEqual("changed", admin.getSubscription(name, "Sub.one").getMaxDeliveryCount(), 3);
            isEqual("listed", admin.listSubscriptions(name).stream().map(SubscriptionProperties::getSubscriptionName)
                .collect(Collectors.toList()), List.of("Sub.one", "two"));
            admin.deleteSubscription(name, "two");
            isEqual("afterwards", admin.getSubscriptionExists(name, "two"), false);
        });

        checks.put("admin-rules", (name, admin) -> {
            admin.createTopic(name);
            admin.createSubscription(name, "one");
            SqlRuleFilter sql = new SqlRuleFilter("a = @text AND b > @number");
            sql.getParameters().put("@text", "it's <&>");
            sql.getParameters().put("@number", 7L);
            CorrelationRuleFilter correlation = new CorrelationRuleFilter("c").setMessageId("m").setTo("t").setReplyTo("r")
                .setLabel("s").setSessionId("i").setReplyToSessionId("j").setContentType("text/plain");
            Map<String, Object> values = Map.of("text", "x", "int", 7, "long", 1L << 40, "real", 1.5, "yes", true, "span",
                Duration.ofMinutes(3), "time", OffsetDateTime.parse("2020-07-05T11:12:13Z"));
            correlation.getProperties().putAll(values);
            admin.createRule(name, "sql", "one", new CreateRuleOptions(sql).setAction(new SqlRuleAction("SET c = 1")));
            admin.createRule(name, "correlation", "one", new CreateRuleOptions(correlation));
            admin.createRule(name, "true", "one", new CreateRuleOptions(new TrueRuleFilter()));
            admin.createRule(name, "false", "one", new CreateRuleOptions(new FalseRuleFilter()));
            RuleProperties read = admin.getRule(name, "one", "sql");
            isEqual("expression", ((SqlRuleFilter) read.getFilter()).getSqlExpression(), sql.getSqlExpression());
            // The client reads parameters as texts.
            isEqual("parameters", ((SqlRuleFilter) read.getFilter()).getParameters().toString(), sql.getParameters().toString());
            isEqual("action", ((SqlRuleAction) read.getAction()).getSqlExpression(), "SET c = 1");
            CorrelationRuleFilter got = (CorrelationRuleFilter) admin.getRule(name, "one", "correlation").getFilter();
            isEqual("conditions", List.of(got.getCorrelationId(), got.getLabel(), got.getContentType()),
                List.of("c", "s", "text/plain"));
            values.forEach((key, value) -> {
                Object actual = got.getProperties().get(key);
                // The client reads a long as a text.
                isEqual("property " + key,
                    actual instanceof OffsetDateTime ? ((OffsetDateTime) actual).toInstant().toString() : String.valueOf(actual),
                    value instanceof OffsetDateTime ? ((OffsetDateTime) value).toInstant().toString() : String.valueOf(value));
            });
            isEqual("names", admin.listRules(name, "one").stream().map(RuleProperties::getName).collect(Collectors.toList()),
                List.of("$Default", "correlation", "false", "sql", "true"));
            admin.updateRule(name, "one", read.setFilter(new SqlRuleFilter("a = 3")));
            isEqual("changed", ((SqlRuleFilter) admin.getRule(name, "one", "sql").getFilter()).getSqlExpression(), "a = 3");
            rejects("an expression", HttpResponseException.class, 400,
                () -> admin.createRule(name, "bad", "one", new CreateRuleOptions(new SqlRuleFilter("a ="))));
            admin.deleteRule(name, "one", "sql");
            isEqual("afterwards", admin.listRules(name, "one").stream().count(), 4L);
        });

        checks.put("admin-list", (name, admin) -> {
            List<String> names = IntStream.range(0, 105).mapToObj(index -> String.format("s%03d", index))
                .collect(Collectors.toList());
            // Another check's topic, which has them.
            isEqual("listed", admin.listSubscriptions("admin-all-001-t").stream()
                .map(SubscriptionProperties::getSubscriptionName).collect(Collectors.toList()), names);
        });

        checks.put("admin-all", (name, admin) -> {
            List<String> names = IntStream.range(0, 105).mapToObj(index -> String.format("%s-%03d", name, index))
                .collect(Collectors.toList());
            isEqual("queues", admin.listQueues().stream().map(QueueProperties::getName)
                .filter(each -> each.startsWith(name + "-")).collect(Collectors.toList()), names);
            isEqual("rules", admin.listRules(names.get(0) + "-t", "one").stream().map(RuleProperties::getName)
                .collect(Collectors.toList()), names);
        });

        checks.put("admin-parameters", (name, admin) -> {
            admin.createTopic(name);
            SqlRuleFilter filter = new SqlRuleFilter("a = @text OR b = @number");
            SqlRuleAction action = new SqlRuleAction("SET a = @text; SET b = @number");
            Map<String, Object> values = Map.of("@text", "it's <&> ä", "@number", -7, "@large", 1L << 40, "@real", 1.5, "@no",
                false, "@time", OffsetDateTime.parse("2020-07-05T11:12:13.14Z"), "@span", Duration.ofSeconds(93_784));
            filter.getParameters().putAll(values);
            action.getParameters().putAll(values);
            admin.createSubscription(name, "one", "mine", new CreateSubscriptionOptions(),
                new CreateRuleOptions(filter).setAction(action));
            RuleProperties read = admin.getRule(name, "one", "mine");
            sameTexts("filter", ((SqlRuleFilter) read.getFilter()).getParameters(), values);
            sameTexts("action", ((SqlRuleAction) read.getAction()).getParameters(), values);
            admin.updateRule(name, "one", read);
            sameTexts("written back", ((SqlRuleAction) admin.getRule(name, "one", "mine").getAction()).getParameters(), values);
        });

        checks.put("admin-errors", (name, admin) -> {
            admin.createQueue(name);
            QueueProperties read = admin.getQueue(name);
            rejects("a conflict", ResourceExistsException.class, 409, () -> admin.createQueue(name));
            rejects("a missing queue", ResourceNotFoundException.class, 200, () -> admin.getQueue(name + "-not"));
            rejects("a deletion of nothing", ResourceNotFoundException.class, 404, () -> admin.deleteQueue(name + "-not"));
            rejects("a long lock", HttpResponseException.class, 400,
                () -> admin.updateQueue(read.setLockDuration(Duration.ofMinutes(6))));
            rejects("a subscription of nothing", ResourceNotFoundException.class, 404,
                () -> admin.createSubscription(name + "-not", "one"));
        });

        checks.put("admin-wrong-key", (name, admin) -> {
            rejects("a wrong key", HttpResponseException.class, 401, () -> client("d3Jvbmc=").createQueue(name));
            isEqual("afterwards", admin.getQueueExists(name), false);
        });
    }

    /** The client sends and reads parameters as texts. */
    private static void sameTexts(String what, Map<String, Object> actual, Map<String, Object> wanted) {
        isEqual(what, new TreeMap<>(actual).keySet(), new TreeMap<>(wanted).keySet());
        wanted.forEach((name, value) -> isEqual(what + " " + name, String.valueOf(actual.get(name)), String.valueOf(value)));
    }

    static void messageSize(String name, Supplier<ServiceBusSenderClient> sender) {
        ServiceBusAdministrationClient admin = client(null);
        QueueProperties created = admin.createQueue(name, new CreateQueueOptions().setMaxMessageSizeInKilobytes(2048));
        isEqual("size", created.getMaxMessageSizeInKilobytes(), 2048L);
        isEqual("read", admin.getQueue(name).getMaxMessageSizeInKilobytes(), 2048L);
        sender.get().sendMessage(new ServiceBusMessage(BinaryData.fromBytes(new byte[1536 * 1024])));
        isEqual("taken", admin.getQueueRuntimeProperties(name).getTotalMessageCount(), 1L);
    }

    static void topicRuntime(String name, Supplier<ServiceBusSenderClient> opened, Supplier<ServiceBusReceiverClient> some) {
        ServiceBusAdministrationClient admin = client(null);
        admin.createTopic(name);
        admin.createSubscription(name, "all");
        // The client sends every parameter as a text.
        SqlRuleFilter filter = new SqlRuleFilter("kind = @kind");
        filter.getParameters().put("@kind", "large");
        SqlRuleAction action = new SqlRuleAction("SET seen = @mark");
        action.getParameters().put("@mark", "yes");
        admin.createSubscription(name, "some", "large", new CreateSubscriptionOptions(),
            new CreateRuleOptions(filter).setAction(action));
        ServiceBusSenderClient sender = opened.get();
        for (int quantity : new int[] {3, 7, 9}) {
            ServiceBusMessage message = new ServiceBusMessage(String.valueOf(quantity));
            message.getApplicationProperties().put("kind", quantity > 5 ? "large" : "small");
            sender.sendMessage(message);
        }
        sender.scheduleMessage(new ServiceBusMessage("x"), OffsetDateTime.now().plusHours(1));
        ServiceBusReceiverClient receiver = some.get();
        receiver.receiveMessages(1, Duration.ofSeconds(8)).forEach(message -> {
            isEqual("what the action set", List.of(message.getBody().toString(), message.getApplicationProperties().get("seen")),
                List.of("7", "yes"));
            receiver.deadLetter(message);
        });
        SubscriptionRuntimeProperties all = admin.getSubscriptionRuntimeProperties(name, "all");
        isEqual("all", List.of(all.getTotalMessageCount(), all.getActiveMessageCount(), all.getDeadLetterMessageCount()),
            List.of(3L, 3, 0));
        SubscriptionRuntimeProperties part = admin.getSubscriptionRuntimeProperties(name, "some");
        isEqual("some", List.of(part.getTotalMessageCount(), part.getActiveMessageCount(), part.getDeadLetterMessageCount()),
            List.of(2L, 1, 1));
        TopicRuntimeProperties topic = admin.getTopicRuntimeProperties(name);
        isEqual("the topic", List.of(topic.getSubscriptionCount(), topic.getScheduledMessageCount()), List.of(2, 1));
    }

    /** The client as it is: what it asks of port 443 of this machine goes on to the broker while this runs. */
    static void standardPort(String name) throws IOException {
        InetAddress loopback = InetAddress.getByName("127.0.0.1");
        try (ServerSocket standard = new ServerSocket(443, 50, loopback)) {
            Thread accepting = new Thread(() -> {
                try {
                    while (true) {
                        Socket near = standard.accept();
                        Socket far = new Socket(loopback, Integer.parseInt(System.getenv("INTEROP_HTTPS_PORT")));
                        copy(near, far);
                        copy(far, near);
                    }
                } catch (IOException ended) {
                    // The check has ended.
                }
            });
            accepting.setDaemon(true);
            accepting.start();
            ServiceBusAdministrationClient admin = builder(null).buildClient();
            admin.createQueue(name);
            isEqual("there", admin.getQueueExists(name), true);
            admin.deleteQueue(name);
            isEqual("afterwards", admin.getQueueExists(name), false);
        } catch (BindException taken) {
            throw new Interop.Skip("this user cannot listen on port 443, the only one that the client asks: " + taken.getMessage());
        }
    }

    private static void copy(Socket from, Socket to) {
        Thread copying = new Thread(() -> {
            try (from; to) {
                from.getInputStream().transferTo(to.getOutputStream());
            } catch (IOException ended) {
                // Either side has closed.
            }
        });
        copying.setDaemon(true);
        copying.start();
    }

    static void runtime(String name, ServiceBusSenderClient sender, ServiceBusReceiverClient receiver,
        ServiceBusAdministrationClient admin) {
        for (String body : List.of("a", "b", "c")) {
            sender.sendMessage(new ServiceBusMessage(body));
        }
        sender.scheduleMessage(new ServiceBusMessage("d"), OffsetDateTime.now().plusHours(1));
        receiver.receiveMessages(1, Duration.ofSeconds(8)).forEach(receiver::deadLetter);
        QueueRuntimeProperties runtime = admin.getQueueRuntimeProperties(name);
        isEqual("counts",
            List.of(runtime.getTotalMessageCount(), (long) runtime.getActiveMessageCount(),
                (long) runtime.getDeadLetterMessageCount(), (long) runtime.getScheduledMessageCount()),
            List.of(4L, 2L, 1L, 1L));
    }
}
