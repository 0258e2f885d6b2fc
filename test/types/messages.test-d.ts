/** The types of the messages that a sender and its sink take, and of what the sink fails with. */
import { Effect, type Sink, Stream } from "effect"
import {
  AmqpAnnotatedMessage,
  ServiceBusBody,
  ServiceBusEntity,
  type ServiceBusError,
  ServiceBusMessage,
  ServiceBusSender
} from "effect-service-bus"
import { expectTypeOf, test } from "vitest"

const SessionTexts = ServiceBusEntity.queue("texts-s", { body: ServiceBusBody.text, sessions: true })

declare const sender: ServiceBusSender.ServiceBusSender<string>
declare const sessionSender: ServiceBusSender.ServiceBusSender<string, ServiceBusMessage.SessionMessage<string>>
declare const locked: ServiceBusMessage.LockedMessage<string>
declare const ofSession: ServiceBusMessage.LockedMessage<string> & { readonly sessionId: string }
declare const annotated: AmqpAnnotatedMessage.AmqpAnnotatedMessage
declare const messages: Stream.Stream<ServiceBusMessage.OutgoingMessage<string>, "broken">
declare const sessionMessages: Stream.Stream<ServiceBusMessage.SessionMessage<string>>

test("a sink takes what its sender takes", () => {
  expectTypeOf(sender.sink()).toEqualTypeOf<
    Sink.Sink<
      ServiceBusSender.SinkReport<ServiceBusMessage.OutgoingMessage<string>>,
      ServiceBusMessage.OutgoingMessage<string>,
      never,
      ServiceBusError.SendError
    >
  >()
  expectTypeOf(messages.pipe(Stream.run(sender.sink()))).toExtend<
    Effect.Effect<
      ServiceBusSender.SinkReport<ServiceBusMessage.OutgoingMessage<string>>,
      "broken" | ServiceBusError.SendError
    >
  >()
  void Stream.run(sessionMessages, sessionSender.sink())
  void Stream.run(sessionMessages, sender.sink())
  // @ts-expect-error a message to an entity with sessions names one
  void Stream.run(messages, sessionSender.sink())
  // @ts-expect-error the bodies of the contract are texts
  void Stream.run(Stream.make({ body: 1 }), sender.sink())
  const made = Effect.gen(function*() {
    const texts = yield* ServiceBusSender.make(SessionTexts)
    return yield* Stream.run(sessionMessages, texts.sink({ linger: "1 second" }))
  })
  expectTypeOf(made).toExtend<Effect.Effect<{ readonly sent: number }, ServiceBusError.SendError, any>>()
})

test("what onRejected fails with and needs is the sink's", () => {
  const sink = sender.sink({
    onRejected: ({ error, message }) => {
      expectTypeOf(message).toEqualTypeOf<ServiceBusMessage.OutgoingMessage<string>>()
      expectTypeOf(error).toEqualTypeOf<
        ServiceBusError.MessageEncodeError | ServiceBusError.MessageSizeExceededError
      >()
      return Effect.fail("rejected" as const)
    }
  })
  expectTypeOf(sink).toExtend<
    Sink.Sink<unknown, ServiceBusMessage.OutgoingMessage<string>, never, ServiceBusError.SendError | "rejected">
  >()
  // @ts-expect-error it can fail with "rejected"
  expectTypeOf(sink).toExtend<Sink.Sink<unknown, never, never, ServiceBusError.SendError>>()
})

test("one annotated message gives an id, many give ids", () => {
  expectTypeOf(sender.sendAnnotated(annotated)).toEqualTypeOf<Effect.Effect<string, ServiceBusError.SendError>>()
  expectTypeOf(sender.sendAnnotated([annotated])).toEqualTypeOf<
    Effect.Effect<ReadonlyArray<string>, ServiceBusError.SendError>
  >()
  // @ts-expect-error a body is sections
  void sender.sendAnnotated({ body: "text" })
  expectTypeOf(AmqpAnnotatedMessage.fromReceived(locked)).toEqualTypeOf<AmqpAnnotatedMessage.AmqpAnnotatedMessage>()
  // @ts-expect-error an outgoing message has no sections yet
  void AmqpAnnotatedMessage.fromReceived({ body: "text" })
})

test("a copy of a received message", () => {
  void sender.send(ServiceBusMessage.fromReceived(locked))
  void sender.send(ServiceBusMessage.fromReceived(locked, { subject: "again" }))
  // @ts-expect-error it may have no session id
  void sessionSender.send(ServiceBusMessage.fromReceived(locked))
  void sessionSender.send(ServiceBusMessage.fromReceived(locked, { sessionId: "a" }))
  void sessionSender.send(ServiceBusMessage.fromReceived(ofSession))
  void sessionSender.send(ServiceBusMessage.fromReceived(ofSession, { subject: "again" }))
  // @ts-expect-error the session id is taken out
  void sessionSender.send(ServiceBusMessage.fromReceived(ofSession, { sessionId: undefined }))
  expectTypeOf(ServiceBusMessage.fromReceived(locked, { body: 7 }).body).toEqualTypeOf<number>()
  // @ts-expect-error a body of another type
  void sender.send(ServiceBusMessage.fromReceived(locked, { body: 7 }))
  // @ts-expect-error no field of a message
  void ServiceBusMessage.fromReceived(locked, { label: "again" })
})
