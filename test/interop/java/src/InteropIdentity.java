import com.azure.core.amqp.AmqpRetryOptions;
import com.azure.core.credential.TokenCredential;
import com.azure.core.credential.TokenRequestContext;
import com.azure.identity.ClientSecretCredentialBuilder;
import com.azure.identity.DefaultAzureCredentialBuilder;
import com.azure.identity.ManagedIdentityCredentialBuilder;
import com.azure.messaging.servicebus.ServiceBusClientBuilder;
import com.azure.messaging.servicebus.ServiceBusMessage;
import com.azure.messaging.servicebus.administration.ServiceBusAdministrationClient;
import com.azure.messaging.servicebus.administration.ServiceBusAdministrationClientBuilder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;

/** The checks of identities with azure-identity. */
final class InteropIdentity {
    private static final String TENANT = "11111111-1111-1111-1111-111111111111";
    private static final String AUTHORITY = "https://localhost:" + System.getenv("INTEROP_HTTPS_PORT");

    private InteropIdentity() {
    }

    private interface Action {
        void run() throws Exception;
    }

    private static TokenCredential secretOf(String clientId, String secret) {
        return new ClientSecretCredentialBuilder().tenantId(TENANT).clientId(clientId).clientSecret(secret)
            .authorityHost(AUTHORITY).disableInstanceDiscovery().build();
    }

    private static TokenCredential secretOf(String clientId) {
        return secretOf(clientId, clientId + "-secret");
    }

    /** The custom endpoint has to be a URL of a protocol that Java knows. */
    private static ServiceBusClientBuilder builder(TokenCredential credential) {
        return new ServiceBusClientBuilder().credential("localhost", credential)
            .customEndpointAddress("https://localhost:" + System.getenv("INTEROP_TLS_PORT"))
            .retryOptions(new AmqpRetryOptions().setMaxRetries(0).setTryTimeout(Duration.ofSeconds(8)));
    }

    private static void roundTrip(String name, TokenCredential credential) {
        ServiceBusClientBuilder builder = builder(credential);
        try (var sender = builder.sender().queueName(name).buildClient();
            var receiver = builder.receiver().queueName(name).maxAutoLockRenewDuration(Duration.ZERO).buildClient()) {
            sender.sendMessage(new ServiceBusMessage("by an identity"));
            var message = receiver.receiveMessages(1, Duration.ofSeconds(8)).stream().findFirst().orElseThrow();
            if (!message.getBody().toString().equals("by an identity")) {
                throw new AssertionError("another body");
            }
            receiver.complete(message);
        }
    }

    private static void fails(String what, String text, Action action) {
        try {
            action.run();
        } catch (Exception error) {
            String told = Interop.told(error);
            if (!told.contains(text)) {
                throw new AssertionError(what + ": the error does not say \"" + text + "\": " + told, error);
            }
            return;
        }
        throw new AssertionError(what + ": nothing failed");
    }

    static void secret(String name) {
        roundTrip(name, secretOf("interop-owner"));
        TokenRequestContext scope = new TokenRequestContext().addScopes("https://servicebus.azure.net/.default");
        fails("a wrong secret", "AADSTS7000215", () -> secretOf("interop-owner", "wrong").getTokenSync(scope));
    }

    /** A process of its own for each, whose environment has the variables: this program's can't be changed. */
    static void environment(String name) throws Exception {
        Map<String, String> application = Map.of(
            "AZURE_AUTHORITY_HOST", AUTHORITY,
            "AZURE_TENANT_ID", "adfs",
            "AZURE_CLIENT_ID", "interop-owner",
            "AZURE_CLIENT_SECRET", "interop-owner-secret");
        Map<String, String> managed = Map.of(
            "IDENTITY_ENDPOINT", "http://localhost:" + System.getenv("INTEROP_PORT") + "/msi/token",
            "IDENTITY_HEADER", "interop-owner-secret");
        under(application, name, "default");
        under(managed, name, "default");
        under(managed, name, "managed");
    }

    private static void under(Map<String, String> variables, String name, String credential) throws Exception {
        ProcessBuilder program = new ProcessBuilder(
            ProcessHandle.current().info().command().orElseThrow(), "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
            "-cp", System.getProperty("java.class.path"), "InteropIdentity", name, credential);
        program.environment().putAll(variables);
        Process process = program.redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        if (process.waitFor() != 0) {
            throw new AssertionError(credential + " under " + variables.keySet() + ": " + output);
        }
    }

    public static void main(String[] arguments) throws Exception {
        InteropAdministration.trust();
        int code = 0;
        try {
            roundTrip(arguments[0], arguments[1].equals("managed")
                ? new ManagedIdentityCredentialBuilder().clientId("interop-owner").build()
                : new DefaultAzureCredentialBuilder().build());
        } catch (Throwable error) {
            System.out.println(Interop.told(error));
            code = 1;
        }
        System.out.flush();
        Runtime.getRuntime().halt(code);
    }

    static void roles(String name) {
        ServiceBusClientBuilder builder = builder(secretOf("interop-sender"));
        try (var sender = builder.sender().queueName(name).buildClient();
            var receiver = builder.receiver().queueName(name).buildClient()) {
            sender.sendMessage(new ServiceBusMessage("x"));
            fails("receiving", "'Listen' claim(s) are required",
                () -> receiver.receiveMessages(1, Duration.ofSeconds(4)).forEach(receiver::complete));
        }
    }

    private static ServiceBusAdministrationClient adminOf(String clientId) {
        return new ServiceBusAdministrationClientBuilder().credential("localhost", secretOf(clientId))
            .addPolicy(InteropAdministration.port()).buildClient();
    }

    static void administration(String name) {
        adminOf("interop-owner").createQueue(name);
        if (!adminOf("interop-owner").getQueue(name).getName().equals(name)) {
            throw new AssertionError("another name");
        }
        fails("reading without the role", "401", () -> adminOf("interop-sender").getQueue(name));
    }
}
