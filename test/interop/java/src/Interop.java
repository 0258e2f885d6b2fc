import com.azure.core.amqp.AmqpRetryMode;
import com.azure.core.amqp.AmqpRetryOptions;
import com.azure.core.amqp.AmqpTransportType;
import com.azure.core.amqp.exception.AmqpException;
import com.azure.core.amqp.models.AmqpMessageBody;
import com.azure.core.amqp.models.AmqpMessageBodyType;
import com.azure.messaging.servicebus.ServiceBusClientBuilder;
import com.azure.messaging.servicebus.ServiceBusErrorSource;
import com.azure.messaging.servicebus.ServiceBusException;
import com.azure.messaging.servicebus.ServiceBusFailureReason;
import com.azure.messaging.servicebus.ServiceBusMessage;
import com.azure.messaging.servicebus.ServiceBusMessageBatch;
import com.azure.messaging.servicebus.ServiceBusReceivedMessage;
import com.azure.messaging.servicebus.ServiceBusReceiverClient;
import com.azure.messaging.servicebus.ServiceBusRuleManagerClient;
import com.azure.messaging.servicebus.ServiceBusSenderClient;
import com.azure.messaging.servicebus.ServiceBusSessionReceiverClient;
import com.azure.messaging.servicebus.administration.ServiceBusAdministrationClient;
import com.azure.messaging.servicebus.administration.models.CorrelationRuleFilter;
import com.azure.messaging.servicebus.administration.models.CreateRuleOptions;
import com.azure.messaging.servicebus.administration.models.FalseRuleFilter;
import com.azure.messaging.servicebus.administration.models.RuleProperties;
import com.azure.messaging.servicebus.administration.models.SqlRuleAction;
import com.azure.messaging.servicebus.administration.models.SqlRuleFilter;
import com.azure.messaging.servicebus.administration.models.TrueRuleFilter;
import com.azure.messaging.servicebus.models.AbandonOptions;
import com.azure.messaging.servicebus.models.DeadLetterOptions;
import com.azure.messaging.servicebus.models.DeferOptions;
import com.azure.messaging.servicebus.models.ServiceBusMessageState;
import com.azure.messaging.servicebus.models.ServiceBusReceiveMode;
import com.azure.messaging.servicebus.models.SubQueue;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.UUID;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** The checklist with azure-messaging-servicebus for Java, by its synchronous clients. */
public final class Interop {
    private static final int CHECK_SECONDS = 30;
    private static final String CONNECTION = System.getenv("INTEROP_CONNECTION");

    /** The SDK has no such thing. */
    static final class Skip extends RuntimeException {
        Skip(String why) {
            super(why);
        }
    }

    private interface Body {
        void run(Check check) throws Exception;
    }

    private interface Action {
        void run() throws Exception;
    }

    private static void isTrue(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    private static void isEqual(String what, Object actual, Object expected) {
        if (!Objects.deepEquals(actual, expected)) {
            throw new AssertionError(what + " is " + show(actual) + ", not " + show(expected));
        }
    }

    private static String show(Object value) {
        if (value instanceof Map) {
            return new TreeMap<>((Map<?, ?>) value).entrySet().stream()
                .map(e -> e.getKey() + ": " + show(e.getValue())).collect(Collectors.joining(", ", "{", "}"));
        }
        if (value instanceof List) {
            return ((List<?>) value).stream().map(Interop::show).collect(Collectors.joining(", ", "[", "]"));
        }
        return value == null ? "null" : value + " (" + value.getClass().getSimpleName() + ")";
    }

    /** Whether an action fails in time, for this reason. */
    private static void fails(String what, ServiceBusFailureReason reason, Action action) throws Exception {
        fails(what, reason, null, action);
    }

    private static void fails(String what, ServiceBusFailureReason reason, String text, Action action) {
        long started = System.nanoTime();
        try {
            action.run();
        } catch (Throwable error) {
            long millis = (System.nanoTime() - started) / 1_000_000;
            // Receiving wraps what came once more, and not always in its own exception.
            Throwable root = error;
            while (!(root instanceof ServiceBusException || root instanceof AmqpException) && root.getCause() != null) {
                root = root.getCause();
            }
            ServiceBusException own = root instanceof ServiceBusException ? (ServiceBusException) root
                : new ServiceBusException(root, ServiceBusErrorSource.RECEIVE);
            if (own.getReason() != reason) {
                throw new AssertionError(what + ": reason " + own.getReason() + ": " + told(error), error);
            }
            isTrue(text == null || told(error).contains(text), what + ": the error does not say " + text + ": " + told(error));
            isTrue(millis < 15_000, what + ": took " + millis + " ms");
            return;
        }
        throw new AssertionError(what + ": nothing failed");
    }

    /** An error with what caused it. */
    static String told(Throwable error) {
        String text = error.getClass().getSimpleName() + ": " + error.getMessage();
        return error.getCause() == null || error instanceof AssertionError ? text : text + " <- " + told(error.getCause());
    }

    private static ServiceBusMessage message(String body) {
        return new ServiceBusMessage(body);
    }

    private static List<String> bodies(List<ServiceBusReceivedMessage> messages) {
        return messages.stream().map(m -> m.getBody().toString()).collect(Collectors.toList());
    }

    private static List<Long> numbers(List<ServiceBusReceivedMessage> messages) {
        return messages.stream().map(ServiceBusReceivedMessage::getSequenceNumber).collect(Collectors.toList());
    }

    private static List<ServiceBusReceivedMessage> peek(ServiceBusReceiverClient r, int count, long number) {
        return r.peekMessages(count, number).stream().collect(Collectors.toList());
    }

    private static void isEmpty(ServiceBusReceiverClient r) throws Exception {
        Thread.sleep(200);
        isEqual("what is left", bodies(peek(r, 10, 0)), List.of());
    }

    /** Exactly `count` messages. */
    private static List<ServiceBusReceivedMessage> receive(ServiceBusReceiverClient r, int count) {
        List<ServiceBusReceivedMessage> messages = new ArrayList<>();
        long until = System.nanoTime() + 8_000_000_000L;
        while (messages.size() < count && System.nanoTime() < until) {
            r.receiveMessages(count - messages.size(), Duration.ofSeconds(2)).forEach(messages::add);
        }
        isEqual("the number of messages", messages.size(), count);
        return messages;
    }

    private static ServiceBusReceivedMessage one(ServiceBusReceiverClient r) {
        return receive(r, 1).get(0);
    }

    /** A queue of the check's name, and what was opened for it. */
    private static final class Check implements AutoCloseable {
        final String name;
        private final List<AutoCloseable> open = new ArrayList<>();
        private ServiceBusClientBuilder builder = builder(CONNECTION);
        private ServiceBusSenderClient sender;

        Check(String name) {
            this.name = name;
        }

        static ServiceBusClientBuilder builder(String connection) {
            return new ServiceBusClientBuilder().connectionString(connection)
                .retryOptions(new AmqpRetryOptions().setMaxRetries(1).setMode(AmqpRetryMode.FIXED)
                    .setDelay(Duration.ofMillis(100)).setTryTimeout(Duration.ofSeconds(6)));
        }

        /** What follows has a connection of its own: on one connection the SDK gives the link of a session a second time. */
        void reconnect() {
            connect(CONNECTION);
        }

        void connect(String connection) {
            builder = builder(connection);
        }

        /** Over TLS, or WebSocket within it. */
        void secure(String endpoint, AmqpTransportType transport) {
            String connection = CONNECTION.replace(";UseDevelopmentEmulator=true", "").replaceFirst("sb://[^;]*", "sb://localhost/");
            builder = builder(connection).customEndpointAddress(endpoint).transportType(transport);
        }

        <T extends AutoCloseable> T opened(T client) {
            open.add(0, client);
            return client;
        }

        ServiceBusSenderClient sender() {
            if (sender == null) {
                sender = opened(builder.sender().queueName(name).buildClient());
            }
            return sender;
        }

        ServiceBusSenderClient topicSender() {
            return opened(builder.sender().topicName(name).buildClient());
        }

        void send(String... bodies) {
            for (String body : bodies) {
                sender().sendMessage(message(body));
            }
        }

        void sendTo(String session, String... bodies) {
            for (String body : bodies) {
                sender().sendMessage(message(body).setSessionId(session));
            }
        }

        ServiceBusRuleManagerClient ruleManager(String subscription) {
            return opened(builder.ruleManager().topicName(name).subscriptionName(subscription).buildClient());
        }

        ServiceBusReceiverClient receiver() {
            return opened(builder.receiver().queueName(name).maxAutoLockRenewDuration(Duration.ZERO).buildClient());
        }

        ServiceBusReceiverClient destructive() {
            return opened(builder.receiver().queueName(name).receiveMode(ServiceBusReceiveMode.RECEIVE_AND_DELETE).buildClient());
        }

        ServiceBusReceiverClient deadLetters() {
            return opened(builder.receiver().queueName(name).subQueue(SubQueue.DEAD_LETTER_QUEUE)
                .maxAutoLockRenewDuration(Duration.ZERO).buildClient());
        }

        ServiceBusReceiverClient subscription(String subscription, SubQueue subQueue) {
            return opened(builder.receiver().topicName(name).subscriptionName(subscription).subQueue(subQueue)
                .maxAutoLockRenewDuration(Duration.ZERO).buildClient());
        }

        ServiceBusSessionReceiverClient sessions() {
            return sessions(name);
        }

        ServiceBusSessionReceiverClient sessions(String queue) {
            return opened(builder.sessionReceiver().queueName(queue).maxAutoLockRenewDuration(Duration.ZERO).buildClient());
        }

        ServiceBusReceiverClient accept(String session) {
            return opened(sessions().acceptSession(session));
        }

        @Override
        public void close() throws Exception {
            for (AutoCloseable client : open) {
                client.close();
            }
        }

        void roundTrip(int size) throws Exception {
            byte[] body = new byte[size];
            new Random(1).nextBytes(body);
            sender().sendMessage(new ServiceBusMessage(body));
            ServiceBusReceiverClient r = receiver();
            ServiceBusReceivedMessage got = one(r);
            isTrue(Arrays.equals(got.getBody().toBytes(), body), "the body of " + size + " bytes came back other");
            r.complete(got);
            isEmpty(r);
        }

        void refused(int size) throws Exception {
            long started = System.nanoTime();
            fails("sending", ServiceBusFailureReason.MESSAGE_SIZE_EXCEEDED, () -> sender().sendMessage(new ServiceBusMessage(new byte[size])));
            isTrue(System.nanoTime() - started < 8_000_000_000L, "it took more than 8 s");
            send("after");
            isEqual("the next one", one(receiver()).getBody().toString(), "after");
        }
    }

    private static final Map<String, Body> CHECKS = new HashMap<>();

    static {
        // Sending and receiving.

        CHECKS.put("send-receive", c -> {
            c.send("one", "two", "drei ä");
            ServiceBusReceiverClient r = c.receiver();
            List<ServiceBusReceivedMessage> messages = receive(r, 3);
            isEqual("bodies", bodies(messages), List.of("one", "two", "drei ä"));
            for (ServiceBusReceivedMessage m : messages) {
                isEqual("delivery count", m.getDeliveryCount(), 0L);
                r.complete(m);
            }
            isEmpty(r);
        });

        CHECKS.put("documented", c -> {
            Documented.run();
            isEmpty(c.opened(c.builder.receiver().queueName("orders").buildClient()));
        });

        CHECKS.put("receive-and-delete", c -> {
            c.send("one", "two");
            ServiceBusReceiverClient r = c.destructive();
            List<ServiceBusReceivedMessage> messages = receive(r, 2);
            isEqual("bodies", bodies(messages), List.of("one", "two"));
            String token = messages.get(0).getLockToken();
            isTrue(token == null || token.equals(new UUID(0, 0).toString()), "lock token is " + token);
            isEmpty(r);
        });

        CHECKS.put("batch", c -> {
            ServiceBusMessageBatch batch = c.sender().createMessageBatch();
            List<String> expected = IntStream.range(0, 50).mapToObj(String::valueOf).collect(Collectors.toList());
            for (String body : expected) {
                isTrue(batch.tryAddMessage(message(body).setMessageId("id-" + body)), "no room for " + body);
            }
            c.sender().sendMessages(batch);
            List<ServiceBusReceivedMessage> messages = receive(c.receiver(), 50);
            isEqual("bodies", bodies(messages), expected);
            isEqual("ids", messages.stream().map(ServiceBusReceivedMessage::getMessageId).collect(Collectors.toList()),
                expected.stream().map(body -> "id-" + body).collect(Collectors.toList()));
            isEqual("last number", messages.get(49).getSequenceNumber(), 50L);
        });

        CHECKS.put("batch-of-sessions", c -> {
            ServiceBusMessageBatch batch = c.sender().createMessageBatch();
            for (String session : List.of("a", "b", "c")) {
                isTrue(batch.tryAddMessage(message(session).setSessionId(session)), "no room");
            }
            c.sender().sendMessages(batch);
            for (String session : List.of("a", "b", "c")) {
                ServiceBusReceiverClient r = c.accept(session);
                ServiceBusReceivedMessage m = one(r);
                isEqual("body", m.getBody().toString(), session);
                r.complete(m);
            }
        });

        CHECKS.put("fields", c -> {
            OffsetDateTime before = OffsetDateTime.now().minusSeconds(2);
            c.sender().sendMessage(message("body").setMessageId("id").setCorrelationId("correlation").setSubject("subject").setTo("to")
                .setReplyTo("reply").setReplyToSessionId("reply-session").setContentType("text/plain").setSessionId("key").setPartitionKey("key"));
            ServiceBusReceiverClient r = c.receiver();
            ServiceBusReceivedMessage m = one(r);
            isEqual("fields",
                Arrays.asList(m.getMessageId(), m.getCorrelationId(), m.getSubject(), m.getTo(), m.getReplyTo(), m.getReplyToSessionId(),
                    m.getContentType(), m.getSessionId(), m.getPartitionKey()),
                List.of("id", "correlation", "subject", "to", "reply", "reply-session", "text/plain", "key", "key"));
            isEqual("sequence number", m.getSequenceNumber(), 1L);
            isEqual("enqueued sequence number", m.getEnqueuedSequenceNumber(), 0L);
            isTrue(m.getEnqueuedTime().isAfter(before) && m.getEnqueuedTime().isBefore(OffsetDateTime.now().plusSeconds(2)),
                "enqueued at " + m.getEnqueuedTime());
            Duration left = Duration.between(OffsetDateTime.now(), m.getLockedUntil());
            isTrue(left.toSeconds() >= 25 && left.toSeconds() <= 30, "locked for " + left);
            isTrue(m.getLockToken() != null && !m.getLockToken().equals(new UUID(0, 0).toString()), "no lock token");
            r.complete(m);
        });

        CHECKS.put("time-to-live", c -> {
            ServiceBusReceiverClient r = c.receiver();
            for (Duration span : List.of(Duration.ofSeconds(90), Duration.ofDays(40))) {
                c.sender().sendMessage(message("x").setTimeToLive(span));
                ServiceBusReceivedMessage m = one(r);
                isEqual("time to live", m.getTimeToLive(), span);
                Duration off = Duration.between(m.getEnqueuedTime().plus(span), m.getExpiresAt()).abs();
                isTrue(off.toMillis() < 50, "expires off by " + off);
                r.complete(m);
            }
            // More than the uint of milliseconds in the header can say: creation and absolute expiry say it.
            Duration span = Duration.ofDays(60);
            ServiceBusMessage sent = message("long");
            OffsetDateTime now = OffsetDateTime.now(ZoneOffset.UTC);
            sent.getRawAmqpMessage().getHeader().setTimeToLive(Duration.ofMillis(4294967295L));
            sent.getRawAmqpMessage().getProperties().setCreationTime(now).setAbsoluteExpiryTime(now.plus(span));
            c.sender().sendMessage(sent);
            var raw = one(r).getRawAmqpMessage().getProperties();
            isTrue(raw.getCreationTime() != null && raw.getAbsoluteExpiryTime() != null, "no creation or no expiry");
            isEqual("expiry - creation", Duration.between(raw.getCreationTime(), raw.getAbsoluteExpiryTime()), span);
        });

        CHECKS.put("property-types", c -> {
            Map<String, Object> values = new LinkedHashMap<>();
            values.put("text", "täxt");
            values.put("yes", true);
            values.put("no", false);
            values.put("byte", (byte) -5);
            values.put("short", (short) -300);
            values.put("int", -70000);
            values.put("long", 1L << 40);
            values.put("float", 1.5f);
            values.put("double", 2.0);
            values.put("char", 'ä');
            values.put("uuid", new UUID(1, 2));
            values.put("uri", URI.create("urn:x:y"));
            values.put("duration", Duration.ofMillis(90_500));
            values.put("time", OffsetDateTime.parse("2026-01-02T03:04:05.678Z"));
            ServiceBusMessage sent = message("x");
            sent.getApplicationProperties().putAll(values);
            c.sender().sendMessage(sent);
            isEqual("properties", new TreeMap<>(one(c.receiver()).getApplicationProperties()), new TreeMap<>(values));
        });

        CHECKS.put("body-kinds", c -> {
            c.sender().sendMessage(new ServiceBusMessage(AmqpMessageBody.fromData("a".getBytes(StandardCharsets.UTF_8))));
            c.sender().sendMessage(new ServiceBusMessage(AmqpMessageBody.fromValue(42L)));
            ServiceBusMessage third = new ServiceBusMessage(AmqpMessageBody.fromSequence(List.of(1L, "two")));
            third.getRawAmqpMessage().getHeader().setPriority((short) 7);
            c.sender().sendMessage(third);
            List<ServiceBusReceivedMessage> messages = receive(c.receiver(), 3);
            List<AmqpMessageBody> got = messages.stream().map(m -> m.getRawAmqpMessage().getBody()).collect(Collectors.toList());
            isEqual("kinds", got.stream().map(AmqpMessageBody::getBodyType).collect(Collectors.toList()),
                List.of(AmqpMessageBodyType.DATA, AmqpMessageBodyType.VALUE, AmqpMessageBodyType.SEQUENCE));
            isEqual("value", got.get(1).getValue(), 42L);
            isEqual("sequence", got.get(2).getSequence(), List.of(1L, "two"));
            var raw = messages.get(2).getRawAmqpMessage();
            isEqual("priority", raw.getHeader().getPriority(), (short) 7);
        });

        CHECKS.put("annotations", c -> {
            c.send("a", "b");
            ServiceBusReceiverClient r = c.receiver();
            ServiceBusReceivedMessage m = one(r);
            isEqual("under a lock", List.copyOf(new TreeSet<>(m.getRawAmqpMessage().getMessageAnnotations().keySet())),
                List.of("x-opt-enqueued-time", "x-opt-locked-until", "x-opt-sequence-number"));
            isEqual("delivery annotations", List.copyOf(m.getRawAmqpMessage().getDeliveryAnnotations().keySet()), List.of("x-opt-lock-token"));
            r.complete(m);
            r.close();
            m = one(c.destructive());
            isEqual("without a lock", List.copyOf(new TreeSet<>(m.getRawAmqpMessage().getMessageAnnotations().keySet())),
                List.of("x-opt-enqueued-time", "x-opt-sequence-number"));
            isEqual("delivery annotations", List.copyOf(m.getRawAmqpMessage().getDeliveryAnnotations().keySet()), List.of());
        });

        CHECKS.put("peek", c -> {
            c.send("0", "1", "2", "3", "4");
            ServiceBusReceiverClient r = c.receiver();
            List<ServiceBusReceivedMessage> first = r.peekMessages(3).stream().collect(Collectors.toList());
            isEqual("bodies", bodies(first), List.of("0", "1", "2"));
            isEqual("numbers", numbers(first), List.of(1L, 2L, 3L));
            isEqual("state", first.get(0).getState(), ServiceBusMessageState.ACTIVE);
            isEqual("the next ones", bodies(r.peekMessages(10).stream().collect(Collectors.toList())), List.of("3", "4"));
            isEqual("from 4", bodies(peek(r, 10, 4)), List.of("3", "4"));
            isEqual("after the last", bodies(peek(r, 10, 100)), List.of());
            ServiceBusReceivedMessage locked = one(r);
            List<ServiceBusReceivedMessage> again = peek(r, 1, 1);
            isEqual("a locked one", bodies(again), List.of("0"));
            isEqual("its delivery count", again.get(0).getDeliveryCount(), 0L);
            r.complete(locked);
        });

        CHECKS.put("schedule", c -> {
            OffsetDateTime due = OffsetDateTime.now(ZoneOffset.UTC).plusSeconds(7);
            List<Long> scheduled = new ArrayList<>();
            c.sender().scheduleMessages(List.of(message("a"), message("b")), due).forEach(scheduled::add);
            ServiceBusReceiverClient r = c.receiver();
            List<ServiceBusReceivedMessage> peeked = peek(r, 5, 0);
            isEqual("peeked", bodies(peeked), List.of("a", "b"));
            isEqual("numbers", numbers(peeked), scheduled);
            isEqual("state", peeked.get(0).getState(), ServiceBusMessageState.SCHEDULED);
            Duration off = Duration.between(peeked.get(0).getScheduledEnqueueTime(), due).abs();
            isTrue(off.toMillis() < 10, "scheduled time off by " + off);
            List<ServiceBusReceivedMessage> messages = receive(r, 2);
            isTrue(OffsetDateTime.now().isAfter(due.minusNanos(50_000_000)), "came early");
            isEqual("received", bodies(messages), List.of("a", "b"));
            isEqual("state", messages.get(0).getState(), ServiceBusMessageState.SCHEDULED);
            isTrue(messages.get(0).getSequenceNumber() > scheduled.get(1), "the number did not change");
        });

        CHECKS.put("cancel", c -> {
            List<Long> scheduled = new ArrayList<>();
            c.sender().scheduleMessages(List.of(message("a"), message("b")), OffsetDateTime.now().plusSeconds(60)).forEach(scheduled::add);
            c.sender().cancelScheduledMessages(scheduled);
            // What is not there is nothing to fail for, says this SDK.
            c.sender().cancelScheduledMessages(scheduled);
            isEmpty(c.receiver());
        });

        CHECKS.put("duplicates", c -> {
            c.sender().sendMessage(message("first").setMessageId("same"));
            c.sender().sendMessage(message("second").setMessageId("same"));
            c.sender().sendMessage(message("third").setMessageId("other"));
            isEqual("bodies", bodies(receive(c.receiver(), 2)), List.of("first", "third"));
        });

        // Settling.

        CHECKS.put("abandon", c -> {
            c.send("x");
            ServiceBusReceiverClient r = c.receiver();
            TreeSet<String> tokens = new TreeSet<>();
            for (long n = 0; n < 3; n++) {
                ServiceBusReceivedMessage m = one(r);
                isEqual("delivery count", m.getDeliveryCount(), n);
                tokens.add(m.getLockToken());
                r.abandon(m);
            }
            isEqual("lock tokens", tokens.size(), 3);
        });

        CHECKS.put("abandon-properties", c -> {
            ServiceBusMessage sent = message("x");
            sent.getApplicationProperties().putAll(Map.of("own", "kept", "old", "before"));
            c.sender().sendMessage(sent);
            ServiceBusReceiverClient r = c.receiver();
            Map<String, Object> changes = new HashMap<>(Map.of("old", "after", "int", 5, "long", 1L << 40, "float", 1.5f, "double", 2.0,
                "short", (short) 300, "uuid", new UUID(1, 2), "yes", true));
            r.abandon(one(r), new AbandonOptions().setPropertiesToModify(changes));
            changes.put("own", "kept");
            isEqual("properties", one(r).getApplicationProperties(), changes);
        });

        CHECKS.put("released", c -> {
            c.send("first");
            ServiceBusReceiverClient r = c.receiver();
            // The credit of the others stays, and what comes then is released by the receiver itself.
            List<ServiceBusReceivedMessage> messages = r.receiveMessages(4, Duration.ofSeconds(1)).stream().collect(Collectors.toList());
            isEqual("received", bodies(messages), List.of("first"));
            r.complete(messages.get(0));
            c.send("second");
            Thread.sleep(1000);
            ServiceBusReceivedMessage m = one(r);
            isEqual("message", List.of(m.getBody().toString(), m.getDeliveryCount()), List.of("second", 0L));
            r.complete(m);
        });

        CHECKS.put("defer", c -> {
            c.send("x", "y");
            ServiceBusReceiverClient r = c.receiver();
            List<ServiceBusReceivedMessage> messages = receive(r, 2);
            r.defer(messages.get(0), new DeferOptions().setPropertiesToModify(new HashMap<>(Map.of("why", "later"))));
            r.defer(messages.get(1));
            isEqual("peeked", peek(r, 5, 0).get(0).getState(), ServiceBusMessageState.DEFERRED);
            List<ServiceBusReceivedMessage> deferred = r.receiveDeferredMessageBatch(numbers(messages)).stream().collect(Collectors.toList());
            isEqual("deferred", bodies(deferred), List.of("x", "y"));
            for (ServiceBusReceivedMessage m : deferred) {
                isEqual("count and state", List.of(m.getDeliveryCount(), m.getState()), List.of(1L, ServiceBusMessageState.DEFERRED));
            }
            isEqual("property", deferred.get(0).getApplicationProperties().get("why"), "later");
            r.complete(deferred.get(0));
            r.deadLetter(deferred.get(1), new DeadLetterOptions().setDeadLetterReason("why").setDeadLetterErrorDescription("how"));
            isEmpty(r);
            ServiceBusReceivedMessage letter = one(c.deadLetters());
            isEqual("letter", Arrays.asList(letter.getBody().toString(), letter.getDeadLetterReason(), letter.getDeadLetterErrorDescription()),
                List.of("y", "why", "how"));
        });

        CHECKS.put("defer-dead-letters", c -> {
            c.send("x");
            ServiceBusReceiverClient r = c.receiver();
            ServiceBusReceivedMessage m = one(r);
            r.defer(m);
            m = r.receiveDeferredMessage(m.getSequenceNumber());
            isEqual("delivery count", m.getDeliveryCount(), 1L);
            r.defer(m);
            isEqual("reason", one(c.deadLetters()).getDeadLetterReason(), "MaxDeliveryCountExceeded");
        });

        CHECKS.put("deferred-missing", c -> {
            ServiceBusReceiverClient r = c.receiver();
            // What is not there is none, says this SDK.
            isEqual("a number that is not there", r.receiveDeferredMessageBatch(List.of(77L)).stream().count(), 0L);
        });

        CHECKS.put("dead-letter", c -> {
            ServiceBusMessage sent = message("x").setMessageId("m");
            sent.getApplicationProperties().put("own", "kept");
            c.sender().sendMessage(sent);
            ServiceBusReceiverClient r = c.receiver();
            r.abandon(one(r));
            r.deadLetter(one(r), new DeadLetterOptions().setDeadLetterReason("no good").setDeadLetterErrorDescription("at all")
                .setPropertiesToModify(new HashMap<>(Map.of("added", 5, "half", 0.5f))));
            isEmpty(r);
            ServiceBusReceiverClient letters = c.deadLetters();
            ServiceBusReceivedMessage letter = one(letters);
            isEqual("letter", Arrays.asList(letter.getBody().toString(), letter.getMessageId(), letter.getDeadLetterReason(),
                letter.getDeadLetterErrorDescription(), letter.getDeliveryCount()), List.of("x", "m", "no good", "at all", 1L));
            isEqual("properties", letter.getApplicationProperties(), Map.of("own", "kept", "added", 5, "half", 0.5f,
                "DeadLetterReason", "no good", "DeadLetterErrorDescription", "at all"));
            letters.complete(letter);
            isEmpty(letters);
        });

        CHECKS.put("dead-letter-count", c -> {
            c.send("x");
            ServiceBusReceiverClient r = c.receiver();
            r.deadLetter(one(r));
            ServiceBusReceiverClient letters = c.deadLetters();
            for (int n = 0; n < 3; n++) {
                ServiceBusReceivedMessage letter = one(letters);
                isEqual("delivery count", letter.getDeliveryCount(), 0L);
                letters.abandon(letter);
            }
        });

        CHECKS.put("max-delivery-count", c -> {
            c.send("x");
            ServiceBusReceiverClient r = c.receiver();
            r.abandon(one(r));
            r.abandon(one(r));
            ServiceBusReceivedMessage letter = one(c.deadLetters());
            isEqual("letter", Arrays.asList(letter.getDeadLetterReason(), letter.getDeliveryCount()), List.of("MaxDeliveryCountExceeded", 2L));
        });

        CHECKS.put("lock-renewal", c -> {
            c.send("x");
            ServiceBusReceiverClient r = c.receiver();
            ServiceBusReceivedMessage m = one(r);
            OffsetDateTime before = m.getLockedUntil();
            for (int n = 0; n < 3; n++) {
                Thread.sleep(1500);
                OffsetDateTime until = r.renewMessageLock(m);
                isTrue(until.isAfter(before), until + " is not after " + before);
                before = until;
            }
            r.complete(m);
            isEmpty(r);
        });

        CHECKS.put("lock-lost", c -> {
            c.send("x");
            ServiceBusReceiverClient r = c.receiver();
            ServiceBusReceivedMessage m = one(r);
            Thread.sleep(1600);
            fails("renewing", ServiceBusFailureReason.MESSAGE_LOCK_LOST, () -> r.renewMessageLock(m));
            fails("completing", ServiceBusFailureReason.MESSAGE_LOCK_LOST, () -> r.complete(m));
            isEqual("delivery count", one(r).getDeliveryCount(), 1L);
        });

        CHECKS.put("expiry", c -> {
            c.sender().sendMessage(message("x").setTimeToLive(Duration.ofSeconds(1)));
            Thread.sleep(1500);
            isEqual("received", c.receiver().receiveMessages(1, Duration.ofSeconds(1)).stream().count(), 0L);
            ServiceBusReceivedMessage letter = one(c.deadLetters());
            isEqual("letter", Arrays.asList(letter.getDeadLetterReason(), letter.getDeliveryCount()), List.of("TTLExpiredException", 0L));
        });

        // Sessions.

        CHECKS.put("session-accept", c -> {
            c.sendTo("s", "x");
            c.sendTo("other", "y");
            ServiceBusReceiverClient r = c.accept("s");
            isEqual("session", r.getSessionId(), "s");
            ServiceBusReceivedMessage m = one(r);
            isEqual("message", List.of(m.getBody().toString(), m.getSessionId()), List.of("x", "s"));
            r.complete(m);
            isEqual("others", r.receiveMessages(1, Duration.ofSeconds(1)).stream().count(), 0L);
        });

        CHECKS.put("session-next", c -> {
            c.sendTo("a", "a");
            c.sendTo("b", "b");
            TreeSet<String> ids = new TreeSet<>();
            ServiceBusSessionReceiverClient sessions = c.sessions();
            for (int n = 0; n < 2; n++) {
                ServiceBusReceiverClient r = c.opened(sessions.acceptNextSession());
                ids.add(r.getSessionId());
                ServiceBusReceivedMessage m = one(r);
                isEqual("body", m.getBody().toString(), r.getSessionId());
                r.complete(m);
            }
            isEqual("sessions", List.copyOf(ids), List.of("a", "b"));
        });

        CHECKS.put("session-none", c -> {
            ServiceBusSessionReceiverClient sessions = c.sessions();
            // The SDK documents an IllegalStateException; the service's answer is its cause.
            fails("no session", ServiceBusFailureReason.SERVICE_TIMEOUT, sessions::acceptNextSession);
        });

        CHECKS.put("session-order", c -> {
            c.sendTo("s", "0", "1", "2", "3", "4", "5");
            ServiceBusReceiverClient r = c.accept("s");
            List<ServiceBusReceivedMessage> messages = receive(r, 2);
            isEqual("bodies", bodies(messages), List.of("0", "1"));
            r.complete(messages.get(0));
            r.abandon(messages.get(1));
            ServiceBusReceivedMessage m = one(r);
            isEqual("the abandoned one is next", List.of(m.getBody().toString(), m.getDeliveryCount()), List.of("1", 1L));
            r.close();
            c.reconnect();
            // The session went with the link, and without a failed delivery.
            messages = receive(c.accept("s"), 5);
            isEqual("after the link went", bodies(messages), List.of("1", "2", "3", "4", "5"));
            isEqual("delivery counts", List.of(messages.get(0).getDeliveryCount(), messages.get(1).getDeliveryCount()), List.of(1L, 0L));
        });

        CHECKS.put("session-state", c -> {
            ServiceBusReceiverClient r = c.accept("s");
            isEqual("at first", r.getSessionState(), null);
            byte[] state = {1, 0, -1};
            r.setSessionState(state);
            r.close();
            c.reconnect();
            r = c.accept("s");
            isEqual("of the next holder", r.getSessionState(), state);
            r.setSessionState(null);
            isEqual("cleared", r.getSessionState(), null);
        });

        CHECKS.put("session-renewal", c -> {
            c.sendTo("s", "x");
            ServiceBusReceiverClient r = c.accept("s");
            ServiceBusReceivedMessage m = one(r);
            OffsetDateTime before = OffsetDateTime.now().plusSeconds(2);
            for (int n = 0; n < 3; n++) {
                Thread.sleep(1500);
                OffsetDateTime until = r.renewSessionLock();
                isTrue(until.isAfter(before), until + " is not after " + before);
                before = until;
            }
            r.complete(m);
            isEmpty(r);
        });

        CHECKS.put("session-deferred", c -> {
            c.sendTo("s", "x", "y");
            ServiceBusReceiverClient r = c.accept("s");
            List<ServiceBusReceivedMessage> messages = receive(r, 2);
            messages.forEach(r::defer);
            List<ServiceBusReceivedMessage> deferred = r.receiveDeferredMessageBatch(numbers(messages)).stream().collect(Collectors.toList());
            isEqual("deferred", bodies(deferred), List.of("x", "y"));
            isEqual("delivery count", deferred.get(0).getDeliveryCount(), 1L);
            r.complete(deferred.get(0));
            r.deadLetter(deferred.get(1), new DeadLetterOptions().setDeadLetterReason("why"));
            isEmpty(r);
            ServiceBusReceivedMessage letter = one(c.deadLetters());
            isEqual("letter", Arrays.asList(letter.getBody().toString(), letter.getSessionId(), letter.getDeadLetterReason()), List.of("y", "s", "why"));
        });

        CHECKS.put("session-list", c -> {
            throw new Skip("this SDK does not list sessions");
        });

        CHECKS.put("session-locked", c -> {
            c.accept("s");
            c.reconnect();
            ServiceBusSessionReceiverClient others = c.sessions();
            fails("held by another", ServiceBusFailureReason.SESSION_CANNOT_BE_LOCKED, () -> others.acceptSession("s"));
        });

        CHECKS.put("session-lost", c -> {
            c.sendTo("s", "x");
            ServiceBusReceiverClient r = c.accept("s");
            ServiceBusReceivedMessage m = one(r);
            Thread.sleep(2000);
            boolean failed = false;
            try {
                r.complete(m);
            } catch (RuntimeException error) {
                failed = true;
            }
            isTrue(failed, "completing: nothing failed");
            r.close();
            c.reconnect();
            isEqual("delivery count", one(c.accept("s")).getDeliveryCount(), 1L);
        });

        // Topics.

        CHECKS.put("topic", c -> {
            c.topicSender().sendMessage(message("x").setMessageId("m"));
            for (String subscription : List.of("one", "two")) {
                ServiceBusReceiverClient r = c.subscription(subscription, SubQueue.NONE);
                ServiceBusReceivedMessage m = one(r);
                isEqual(subscription, List.of(m.getBody().toString(), m.getMessageId()), List.of("x", "m"));
                r.deadLetter(m, new DeadLetterOptions().setDeadLetterReason("no"));
                ServiceBusReceivedMessage letter = one(c.subscription(subscription, SubQueue.DEAD_LETTER_QUEUE));
                isEqual("letter", Arrays.asList(letter.getBody().toString(), letter.getDeadLetterReason()), List.of("x", "no"));
            }
        });

        CHECKS.put("topic-schedule", c -> {
            OffsetDateTime due = OffsetDateTime.now().plusSeconds(6);
            ServiceBusSenderClient sender = c.topicSender();
            List<Long> scheduled = new ArrayList<>();
            sender.scheduleMessages(List.of(message("a"), message("b")), due).forEach(scheduled::add);
            sender.cancelScheduledMessage(scheduled.get(0));
            for (String subscription : List.of("one", "two")) {
                ServiceBusReceiverClient r = c.subscription(subscription, SubQueue.NONE);
                ServiceBusReceivedMessage m = one(r);
                isTrue(OffsetDateTime.now().isAfter(due.minusNanos(50_000_000)), "came early");
                isEqual("message", List.of(m.getBody().toString(), m.getState()), List.of("b", ServiceBusMessageState.SCHEDULED));
                r.complete(m);
            }
        });

        CHECKS.put("topic-peek", c -> {
            ServiceBusSenderClient sender = c.topicSender();
            long scheduled = sender.scheduleMessage(message("a"), OffsetDateTime.now().plusSeconds(60));
            isEmpty(c.subscription("one", SubQueue.NONE));
            sender.cancelScheduledMessage(scheduled);
            sender.cancelScheduledMessage(scheduled);
        });

        CHECKS.put("rule-manager", c -> {
            ServiceBusRuleManagerClient manager = c.ruleManager("one");
            List<RuleProperties> rules = manager.listRules().stream().collect(Collectors.toList());
            isEqual("the first rule", rules.stream().map(RuleProperties::getName).collect(Collectors.toList()), List.of("$Default"));
            isTrue(rules.get(0).getFilter() instanceof TrueRuleFilter, "the first rule does not take everything");
            manager.deleteRule("$Default");
            isEqual("no rules", manager.listRules().stream().count(), 0L);
            manager.createRule("sql", new CreateRuleOptions(new SqlRuleFilter("color = 'blue' AND quantity > 5"))
                .setAction(new SqlRuleAction("SET priority = 'high'")));
            CorrelationRuleFilter correlation = new CorrelationRuleFilter().setLabel("red");
            correlation.getProperties().put("quantity", 7);
            manager.createRule("correlation", new CreateRuleOptions(correlation));
            manager.createRule("none", new CreateRuleOptions(new FalseRuleFilter()));
            fails("a name that is there", ServiceBusFailureReason.MESSAGING_ENTITY_ALREADY_EXISTS,
                () -> manager.createRule("sql", new CreateRuleOptions(new TrueRuleFilter())));
            fails("a name that is not", ServiceBusFailureReason.MESSAGING_ENTITY_NOT_FOUND, () -> manager.deleteRule("no"));
            rules = manager.listRules().stream().collect(Collectors.toList());
            isEqual("names", rules.stream().map(RuleProperties::getName).collect(Collectors.toList()),
                List.of("correlation", "none", "sql"));
            isEqual("filter", ((SqlRuleFilter) rules.get(2).getFilter()).getSqlExpression(), "color = 'blue' AND quantity > 5");
            isEqual("action", ((SqlRuleAction) rules.get(2).getAction()).getSqlExpression(), "SET priority = 'high'");
            CorrelationRuleFilter got = (CorrelationRuleFilter) rules.get(0).getFilter();
            isEqual("label", got.getLabel(), "red");
            // The SDK gives every value as text.
            isEqual("properties", got.getProperties(), Map.of("quantity", "7"));
            ServiceBusSenderClient sender = c.topicSender();
            for (Object[] order : new Object[][] {{"a", "x", 6, "blue"}, {"b", "red", 7, "green"}, {"c", "red", 5, "blue"}}) {
                ServiceBusMessage sent = message((String) order[0]).setSubject((String) order[1]);
                sent.getApplicationProperties().put("quantity", order[2]);
                sent.getApplicationProperties().put("color", order[3]);
                sender.sendMessage(sent);
            }
            List<ServiceBusReceivedMessage> taken = receive(c.subscription("one", SubQueue.NONE), 2);
            isEqual("taken", taken.stream().map(m -> m.getBody().toString()).collect(Collectors.toList()), List.of("a", "b"));
            isEqual("changed", new TreeMap<>(taken.get(0).getApplicationProperties()),
                new TreeMap<>(Map.of("color", "blue", "quantity", 6, "priority", "high", "RuleName", "sql")));
            receive(c.subscription("two", SubQueue.NONE), 3);
        });

        CHECKS.put("filters", c -> {
            Map<String, Object> values = new LinkedHashMap<>();
            values.put("text", "täxt");
            values.put("yes", true);
            values.put("no", false);
            values.put("small", 5);
            values.put("negative", -7);
            values.put("large", 1L << 40);
            values.put("exact", (1L << 53) + 1);
            values.put("real", 1.5);
            values.put("float", 2.5f);
            values.put("byte", (byte) -5);
            values.put("short", (short) -300);
            values.put("char", 'ä');
            values.put("uuid", UUID.fromString("01234567-89ab-cdef-0123-456789abcdef"));
            values.put("uri", URI.create("https://example.com/x"));
            values.put("duration", Duration.ofMillis(90_500));
            ServiceBusMessage sent = message("x");
            sent.getApplicationProperties().putAll(values);
            c.topicSender().sendMessage(sent);
            for (String subscription : List.of("one", "two")) {
                List<ServiceBusReceivedMessage> taken = receive(c.subscription(subscription, SubQueue.NONE), values.size());
                isEqual(subscription, taken.stream().map(m -> (String) m.getApplicationProperties().get("RuleName"))
                    .collect(Collectors.toCollection(TreeSet::new)), new TreeSet<>(values.keySet()));
                isTrue(taken.stream().allMatch(m -> Boolean.TRUE.equals(m.getApplicationProperties().get("taken"))), "not as the action says");
            }
        });

        // Errors.

        CHECKS.put("missing-sender", c -> {
            fails("sending", ServiceBusFailureReason.MESSAGING_ENTITY_NOT_FOUND, () -> c.send("x"));
            fails("a batch", ServiceBusFailureReason.MESSAGING_ENTITY_NOT_FOUND, () -> c.sender().createMessageBatch());
        });

        CHECKS.put("missing-receiver", c -> {
            ServiceBusReceiverClient r = c.receiver();
            fails("peeking", ServiceBusFailureReason.MESSAGING_ENTITY_NOT_FOUND, r::peekMessage);
            fails("receiving", ServiceBusFailureReason.MESSAGING_ENTITY_NOT_FOUND, () -> r.receiveMessages(1, Duration.ofSeconds(8)).stream().count());
        });

        CHECKS.put("missing-subscription", c -> {
            ServiceBusReceiverClient r = c.subscription("missing", SubQueue.NONE);
            fails("receiving", ServiceBusFailureReason.MESSAGING_ENTITY_NOT_FOUND, () -> r.receiveMessages(1, Duration.ofSeconds(8)).stream().count());
        });

        CHECKS.put("wrong-key", c -> {
            c.connect(Arrays.stream(CONNECTION.split(";"))
                .map(part -> part.startsWith("SharedAccessKey=") ? "SharedAccessKey=d3Jvbmc=" : part).collect(Collectors.joining(";")));
            fails("sending", ServiceBusFailureReason.UNAUTHORIZED, () -> c.send("x"));
            ServiceBusReceiverClient r = c.receiver();
            fails("receiving", ServiceBusFailureReason.UNAUTHORIZED, () -> r.receiveMessages(1, Duration.ofSeconds(8)).stream().count());
        });

        CHECKS.put("namespaces", c -> {
            for (boolean sends : new boolean[] {true, false}) {
                for (String key : List.of("RootManageSharedAccessKey", "team-a", "team-b")) {
                    try (Check place = new Check(c.name)) {
                        place.connect(Arrays.stream(CONNECTION.split(";"))
                            .map(part -> part.startsWith("SharedAccessKeyName=") ? "SharedAccessKeyName=" + key : part)
                            .collect(Collectors.joining(";")));
                        if (sends) {
                            place.send(key);
                            continue;
                        }
                        ServiceBusReceiverClient r = place.receiver();
                        ServiceBusReceivedMessage message = one(r);
                        isEqual("body", message.getBody().toString(), key);
                        r.complete(message);
                        isEmpty(r);
                    }
                }
            }
        });

        CHECKS.put("wrong-kind", c -> {
            // The SDK has no reason of its own for amqp:not-allowed.
            ServiceBusReceiverClient r = c.receiver();
            fails("a receiver without a session", ServiceBusFailureReason.GENERAL_ERROR, "requires sessions",
                () -> r.receiveMessages(1, Duration.ofSeconds(8)).stream().count());
            fails("a message without a session", ServiceBusFailureReason.GENERAL_ERROR, "SessionId", () -> c.send("x"));
            ServiceBusSessionReceiverClient sessions = c.sessions("send-receive");
            fails("a session of a plain queue", ServiceBusFailureReason.GENERAL_ERROR, "sessionful", () -> sessions.acceptSession("s"));
        });

        // Sizes.

        CHECKS.put("size-200k", c -> c.roundTrip(200 * 1024));
        CHECKS.put("size-300k-refused", c -> c.refused(300 * 1024));
        CHECKS.put("size-2m-refused", c -> c.refused(2 * 1024 * 1024));
        CHECKS.put("size-5m", c -> c.roundTrip(5 * 1024 * 1024));

        // Its custom endpoint has a port, and is a URL of a protocol that Java knows; what it trusts is what the machine trusts.
        CHECKS.put("web-socket", c -> {
            c.secure("https://localhost:" + System.getenv("INTEROP_WEB_SOCKET_PORT"), AmqpTransportType.AMQP_WEB_SOCKETS);
            c.roundTrip(1024);
        });

        CHECKS.put("tls", c -> {
            c.secure("https://localhost:" + System.getenv("INTEROP_TLS_PORT"), AmqpTransportType.AMQP);
            c.roundTrip(1024);
        });

        CHECKS.put("plain-amqp", c -> {
            throw new Skip("Qpid's JMS has checks of its own");
        });

        CHECKS.put("identity-secret", c -> InteropIdentity.secret(c.name));
        CHECKS.put("identity-environment", c -> InteropIdentity.environment(c.name));
        CHECKS.put("identity-roles", c -> InteropIdentity.roles(c.name));
        CHECKS.put("admin-identity", c -> InteropIdentity.administration(c.name));
    }

    static {
        Map<String, InteropAdministration.Body> administration = new HashMap<>();
        InteropAdministration.put(administration);
        administration.forEach((name, body) -> CHECKS.put(name, c -> body.run(name, InteropAdministration.client(null))));
        CHECKS.put("admin-runtime", c -> {
            ServiceBusAdministrationClient admin = InteropAdministration.client(null);
            admin.createQueue("admin-runtime");
            InteropAdministration.runtime("admin-runtime", c.sender(), c.receiver(), admin);
        });
        CHECKS.put("admin-message-size", c -> InteropAdministration.messageSize(c.name, c::sender));
        CHECKS.put("admin-topic-runtime", c ->
            InteropAdministration.topicRuntime(c.name, c::topicSender, () -> c.subscription("some", SubQueue.NONE)));
        CHECKS.put("admin-standard-port", c -> InteropAdministration.standardPort(c.name));
    }

    private static String verdict(String name) {
        try (Check check = new Check(name)) {
            CHECKS.get(name).run(check);
            return "ok " + name;
        } catch (Skip error) {
            return "skip " + name + ": " + error.getMessage();
        } catch (Throwable error) {
            String lines = Arrays.stream(error.getStackTrace()).filter(frame -> frame.getClassName().startsWith("Interop"))
                .map(frame -> String.valueOf(frame.getLineNumber())).collect(Collectors.joining(","));
            return "not ok " + name + ": " + told(error) + " (line " + lines + ")";
        }
    }

    public static void main(String[] names) throws Exception {
        InteropAdministration.trust();
        ExecutorService turns = Executors.newFixedThreadPool(8);
        ExecutorService checks = Executors.newCachedThreadPool();
        List<Future<?>> all = new ArrayList<>();
        for (String name : names) {
            all.add(turns.submit(() -> {
                Future<String> running = checks.submit(() -> verdict(name));
                String line;
                try {
                    line = running.get(CHECK_SECONDS, TimeUnit.SECONDS);
                } catch (TimeoutException error) {
                    line = "not ok " + name + ": still running after " + CHECK_SECONDS + " s";
                } catch (Exception error) {
                    line = "not ok " + name + ": " + error;
                }
                synchronized (System.out) {
                    System.out.println(line.replace('\n', ' ').replace('\r', ' '));
                }
                return null;
            }));
        }
        for (Future<?> one : all) {
            one.get();
        }
        System.out.flush();
        // A check that hangs must not keep the process.
        Runtime.getRuntime().halt(0);
    }
}
