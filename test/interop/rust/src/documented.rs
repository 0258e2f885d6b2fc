//! What docs/emulator-clients.md shows, as it stands there.
use azservicebus::authorization::AzureNamedKeyCredential;
use azservicebus::core::BasicRetryPolicy;
use azservicebus::ServiceBusClient;

type Error = azure_core::Error;

pub async fn client(host: &str, name: &str, key: &str) -> Result<ServiceBusClient<BasicRetryPolicy>, Error> {
    let credential = AzureNamedKeyCredential::new(name, key);
    ServiceBusClient::unsecured().new_from_named_key_credential(host, credential, Default::default()).await
}

pub async fn run(host: &str, name: &str, key: &str) -> Result<(), Error> {
    let mut client = client(host, name, key).await?;
    let mut sender = client.create_sender("orders", Default::default()).await?;
    sender.send_message("text").await?;
    let mut receiver = client.create_receiver_for_queue("orders", Default::default()).await?;
    let message = receiver.receive_message().await?;
    receiver.complete_message(&message).await?;
    client.dispose().await
}
