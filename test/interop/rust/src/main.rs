//! The checks with azservicebus, and with fe2o3-amqp beneath it, which knows AMQP and nothing of Service Bus.
use azservicebus::administration::{SqlRuleAction, SqlRuleFilter};
use azservicebus::ServiceBusTransportType;
use azservicebus::{ServiceBusClient, ServiceBusClientOptions, ServiceBusMessage, ServiceBusReceiverOptions, SubQueue};
use std::collections::HashMap;
use std::env;
use std::time::{Duration, Instant};

mod amqp;
mod documented;
mod identity;

pub type Failure = Box<dyn std::error::Error + Send + Sync>;
pub type Outcome = Result<(), Failure>;

pub fn is_equal<A: PartialEq + std::fmt::Debug>(what: &str, actual: A, expected: A) -> Outcome {
    if actual == expected { Ok(()) } else { Err(format!("{what} is {actual:?}, not {expected:?}").into()) }
}

/// A part of the connection string.
pub fn part(name: &str) -> String {
    let text = env::var("SERVICE_BUS_CONNECTION_STR").unwrap();
    let parts: HashMap<_, _> = text.split(';').filter_map(|part| part.split_once('=')).collect();
    parts[name].to_string()
}

pub fn port(name: &str) -> String {
    env::var(name).unwrap()
}

pub type Client = ServiceBusClient<azservicebus::core::BasicRetryPolicy>;

async fn client() -> Result<Client, Failure> {
    Ok(documented::client(&format!("127.0.0.1:{}", port("INTEROP_PORT")), &part("SharedAccessKeyName"), &part("SharedAccessKey")).await?)
}

fn text(message: &azservicebus::ServiceBusReceivedMessage) -> Result<String, Failure> {
    Ok(String::from_utf8(message.body()?.to_vec())?)
}

async fn is_empty(client: &mut Client, queue: &str) -> Outcome {
    let mut receiver = client.create_receiver_for_queue(queue, Default::default()).await?;
    let left = receiver.peek_messages(10, Some(1)).await?.len();
    receiver.dispose().await?;
    is_equal("what is left", left, 0)
}

async fn outcomes() -> Outcome {
    let mut client = client().await?;
    let mut sender = client.create_sender("outcomes", Default::default()).await?;
    sender.send_message("text").await?;
    let mut receiver = client.create_receiver_for_queue("outcomes", Default::default()).await?;
    let message = receiver.receive_message().await?;
    // As .NET's client does, it counts the delivery at hand.
    is_equal("delivery count", message.delivery_count(), Some(1))?;
    receiver.abandon_message(&message, None).await?;
    let mut message = receiver.receive_message().await?;
    is_equal("delivery count", message.delivery_count(), Some(2))?;
    receiver.renew_message_lock(&mut message).await?;
    let number = message.sequence_number();
    receiver.defer_message(&message, None).await?;
    let deferred = receiver.receive_deferred_message(number).await?.ok_or("nothing was deferred")?;
    receiver.dead_letter_message(&deferred, Default::default()).await?;
    let options = ServiceBusReceiverOptions { sub_queue: SubQueue::DeadLetter, ..Default::default() };
    let mut letters = client.create_receiver_for_queue("outcomes", options).await?;
    let letter = letters.receive_message().await?;
    is_equal("dead letter", text(&letter)?, "text".to_string())?;
    letters.complete_message(&letter).await?;
    is_empty(&mut client, "outcomes").await
}

async fn batch() -> Outcome {
    let mut client = client().await?;
    let mut sender = client.create_sender("batch", Default::default()).await?;
    let mut batch = sender.create_message_batch(Default::default())?;
    for index in 0..50 {
        batch.try_add_message(ServiceBusMessage::new(index.to_string())).map_err(|_| "no space")?;
    }
    sender.send_message_batch(batch).await?;
    let mut receiver = client.create_receiver_for_queue("batch", Default::default()).await?;
    let mut bodies = Vec::new();
    while bodies.len() < 50 {
        for message in receiver.receive_messages(50 - bodies.len() as u32).await? {
            bodies.push(text(&message)?);
            receiver.complete_message(&message).await?;
        }
    }
    is_equal("bodies", bodies, (0..50).map(|index| index.to_string()).collect())?;
    is_empty(&mut client, "batch").await
}

async fn schedule() -> Outcome {
    let mut client = client().await?;
    let mut sender = client.create_sender("schedule", Default::default()).await?;
    let started = Instant::now();
    let due = time::OffsetDateTime::now_utc() + time::Duration::seconds(3);
    let numbers = sender.schedule_messages(vec!["kept", "cancelled"], due).await?;
    sender.cancel_scheduled_message(numbers[1]).await?;
    let mut receiver = client.create_receiver_for_queue("schedule", Default::default()).await?;
    let message = receiver.receive_message().await?;
    is_equal("body", text(&message)?, "kept".to_string())?;
    if started.elapsed() < Duration::from_millis(2900) {
        return Err("it came early".into());
    }
    receiver.complete_message(&message).await?;
    is_empty(&mut client, "schedule").await
}

async fn session() -> Outcome {
    let mut client = client().await?;
    let mut sender = client.create_sender("sessions", Default::default()).await?;
    for (body, session) in [("a", "one"), ("b", "two"), ("c", "one")] {
        let mut message = ServiceBusMessage::new(body);
        message.set_session_id(session.to_string())?;
        sender.send_message(message).await?;
    }
    let mut one = client.accept_session_for_queue("sessions", "one", Default::default()).await?;
    for expected in ["a", "c"] {
        let message = one.receive_message().await?;
        is_equal("body", text(&message)?, expected.to_string())?;
        one.complete_message(&message).await?;
    }
    one.set_session_state(b"state".to_vec()).await?;
    is_equal("state", one.session_state().await?, b"state".to_vec())?;
    let mut next = client.accept_next_session_for_queue("sessions", Default::default()).await?;
    is_equal("the next session", next.session_id().to_string(), "two".to_string())?;
    let message = next.receive_message().await?;
    next.complete_message(&message).await?;
    Ok(())
}

async fn topic() -> Outcome {
    let mut client = client().await?;
    let mut rules = client.create_rule_manager("news", "all").await?;
    let added = (SqlRuleFilter::new("sys.Label = 'now'"), SqlRuleAction::new("SET seen = 'yes'"));
    rules.create_rule("now", added).await?;
    rules.delete_rule("$Default").await?;
    is_equal("rules", rules.get_rules().await?.into_iter().map(|rule| rule.name).collect(), vec!["now".to_string()])?;
    let mut sender = client.create_sender("news", Default::default()).await?;
    for subject in ["now", "later"] {
        let mut message = ServiceBusMessage::new(subject);
        message.set_subject(Some(subject.to_string()));
        sender.send_message(message).await?;
    }
    let mut receiver = client.create_receiver_for_subscription("news", "all", Default::default()).await?;
    let message = receiver.receive_message().await?;
    is_equal("body", text(&message)?, "now".to_string())?;
    receiver.complete_message(&message).await?;
    is_equal("what is left", receiver.peek_messages(10, Some(1)).await?.len(), 0)
}

pub async fn round_trip(client: &mut Client, queue: &str) -> Outcome {
    let mut sender = client.create_sender(queue, Default::default()).await?;
    sender.send_message("text").await?;
    let mut receiver = client.create_receiver_for_queue(queue, Default::default()).await?;
    let message = receiver.receive_message().await?;
    is_equal("body", text(&message)?, "text".to_string())?;
    receiver.complete_message(&message).await?;
    is_empty(client, queue).await
}

/// SSL_CERT_FILE names the authority.
async fn tls() -> Outcome {
    let host = format!("localhost:{}", port("INTEROP_TLS_PORT"));
    let key = azservicebus::authorization::AzureNamedKeyCredential::new(part("SharedAccessKeyName"), part("SharedAccessKey"));
    let mut client = ServiceBusClient::new_from_named_key_credential(host, key, Default::default()).await?;
    round_trip(&mut client, "tls").await
}

async fn web_socket() -> Outcome {
    let host = format!("localhost:{}", port("INTEROP_WEB_SOCKET_PORT"));
    let key = azservicebus::authorization::AzureNamedKeyCredential::new(part("SharedAccessKeyName"), part("SharedAccessKey"));
    let options = ServiceBusClientOptions { transport_type: ServiceBusTransportType::AmqpWebSocket, ..Default::default() };
    let mut client = ServiceBusClient::new_from_named_key_credential(host, key, options).await?;
    round_trip(&mut client, "web-socket").await
}

async fn check(name: &str) -> Outcome {
    match name {
        "rust-send-receive" => {
            documented::run(&format!("127.0.0.1:{}", port("INTEROP_PORT")), &part("SharedAccessKeyName"), &part("SharedAccessKey")).await?;
            is_empty(&mut client().await?, "orders").await
        }
        "rust-outcomes" => outcomes().await,
        "rust-batch" => batch().await,
        "rust-schedule" => schedule().await,
        "rust-session" => session().await,
        "rust-topic" => topic().await,
        "rust-tls" => tls().await,
        "rust-web-socket" => web_socket().await,
        "rust-identity" => identity::run().await,
        "rust-amqp" => amqp::run().await,
        _ => Err("there is no such check".into()),
    }
}

// On one thread: fe2o3-amqp 0.14 takes note of a delivery after it was sent, and waits for ever for an outcome that came before.
#[tokio::main(flavor = "current_thread")]
async fn main() {
    for name in env::args().skip(1) {
        let line = match tokio::time::timeout(Duration::from_secs(30), check(&name)).await {
            Ok(Ok(())) => format!("ok {name}"),
            Ok(Err(error)) => format!("not ok {name}: {error} {error:?}"),
            Err(_) => format!("not ok {name}: still running after 30 s"),
        };
        println!("{}", line.replace('\n', " "));
    }
    // A check that hangs must not keep the process.
    std::process::exit(0);
}
