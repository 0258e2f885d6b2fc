//! fe2o3-amqp, which signs in by SASL PLAIN.
use crate::{is_equal, part, port, Outcome};
use fe2o3_amqp::types::messaging::{Body, Message};
use fe2o3_amqp::types::primitives::Value;
use fe2o3_amqp::link::receiver::CreditMode;
use fe2o3_amqp::{sasl_profile::SaslProfile, Connection, Receiver, Sender, Session};

pub async fn run() -> Outcome {
    let sasl = SaslProfile::Plain { username: part("SharedAccessKeyName"), password: part("SharedAccessKey") };
    let url = format!("amqp://127.0.0.1:{}", port("INTEROP_PORT"));
    let mut connection = Connection::builder().container_id("interop").sasl_profile(sasl).open(url.as_str()).await?;
    let mut session = Session::begin(&mut connection).await?;
    let mut sender = Sender::attach(&mut session, "sender", "amqp").await?;
    for body in ["a", "b", "c"] {
        sender.send(Message::builder().value(body).build()).await?.accepted_or("not accepted")?;
    }
    sender.close().await?;
    // With credit for one at a time, since what was received and not settled stays locked when its link is closed.
    let mut receiver = Receiver::builder().name("receiver").source("amqp").credit_mode(CreditMode::Manual).attach(&mut session).await?;
    let mut bodies = Vec::new();
    for turn in 0..4 {
        receiver.set_credit(1).await?;
        let delivery = receiver.recv::<Body<Value>>().await?;
        bodies.push(format!("{:?}", delivery.body()));
        if turn == 0 { receiver.release(&delivery).await? } else { receiver.accept(&delivery).await? }
    }
    receiver.close().await?;
    let expected = ["a", "a", "b", "c"].map(|body| format!("{:?}", Body::Value(fe2o3_amqp::types::messaging::AmqpValue(Value::from(body)))));
    is_equal("bodies", bodies, expected.to_vec())?;
    session.end().await?;
    connection.close().await?;
    Ok(())
}
