package interop;

import com.azure.servicebus.jms.ServiceBusJmsConnectionFactory;
import com.azure.servicebus.jms.ServiceBusJmsConnectionFactorySettings;
import jakarta.jms.ConnectionFactory;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import org.springframework.jms.core.JmsTemplate;

/** JMS by Microsoft's library, which speaks TLS alone. */
final class Azure {
    private Azure() {
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

    static ConnectionFactory factory(String name, String key, String host) {
        return new ServiceBusJmsConnectionFactory(name, key, host, new ServiceBusJmsConnectionFactorySettings());
    }

    static JmsTemplate template() {
        String host = "localhost:" + System.getenv("INTEROP_TLS_PORT");
        return new JmsTemplate(factory(News.PARTS.get("SharedAccessKeyName"), News.PARTS.get("SharedAccessKey"), host));
    }
}
