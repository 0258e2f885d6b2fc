//! The credential of azure_identity for a secret.
use crate::{is_equal, port, round_trip, Outcome};
use azservicebus::ServiceBusClient;
use azure_core::credentials::TokenCredential;
use azure_identity::{ClientSecretCredential, ClientSecretCredentialOptions, TokenCredentialOptions};
use std::sync::Arc;

const TENANT: &str = "11111111-1111-1111-1111-111111111111";

fn secret_of(secret: &str) -> azure_core::Result<Arc<ClientSecretCredential>> {
    let mut options = TokenCredentialOptions::default();
    options.set_authority_host(format!("https://localhost:{}", port("INTEROP_HTTPS_PORT")));
    let options = ClientSecretCredentialOptions { credential_options: options };
    ClientSecretCredential::new(TENANT, "interop-owner".to_string(), secret.to_string().into(), Some(options))
}

pub async fn run() -> Outcome {
    let host = format!("localhost:{}", port("INTEROP_TLS_PORT"));
    let credential = secret_of("interop-owner-secret")?;
    let mut client = ServiceBusClient::new_from_token_credential(host, credential, Default::default()).await?;
    round_trip(&mut client, "identity").await?;
    let refused = secret_of("wrong")?.get_token(&["https://servicebus.azure.net/.default"], None).await;
    let told = refused.err().map(|error| format!("{error:?}")).unwrap_or_default();
    is_equal("whether it is told why", told.contains("AADSTS7000215"), true)
}
