/** The types of sessions and of their processors. */
import { Effect, type Option, Schema, type Scope, type Stream } from "effect"
import {
  AutoLockRenewer,
  ServiceBusBody,
  type ServiceBusClient,
  ServiceBusDeadLetters,
  ServiceBusEntity,
  type ServiceBusError,
  type ServiceBusMessage,
  ServiceBusProcessor,
  ServiceBusReceiver,
  ServiceBusSender,
  ServiceBusSession,
  Settlement
} from "effect-service-bus"
import { expectTypeOf, test } from "vitest"

const Cart = Schema.Struct({ items: Schema.Array(Schema.String) })
const Carts = ServiceBusEntity.queue("carts", {
  body: ServiceBusBody.text,
  sessions: true,
  sessionState: ServiceBusBody.json(Cart)
})
const Plain = ServiceBusEntity.queue("plain", { body: ServiceBusBody.text })
const Bytes = ServiceBusEntity.queue("bytes", { body: ServiceBusBody.text, sessions: true })
const Steps = ServiceBusEntity.topic("steps", { body: ServiceBusBody.text, sessions: true })
const Workers = ServiceBusEntity.subscription(Steps, "workers", { sessions: true, sessionState: ServiceBusBody.text })

type State = typeof Cart.Type

declare const session: ServiceBusSession.ServiceBusSession<string, State>
declare const destructive: ServiceBusSession.DestructiveSession<string, State>
declare const message: ServiceBusMessage.LockedMessage<string>
declare const peeked: ServiceBusMessage.PeekedMessage<string>

test("only what has sessions is accepted from", () => {
  expectTypeOf(ServiceBusSession.accept(Carts, "a")).toEqualTypeOf<
    Effect.Effect<
      ServiceBusSession.ServiceBusSession<string, State>,
      ServiceBusError.AcceptSessionError,
      ServiceBusClient.ServiceBusClient | Scope.Scope
    >
  >()
  expectTypeOf(ServiceBusSession.acceptNext(Workers)).toEqualTypeOf<
    Effect.Effect<
      Option.Option<ServiceBusSession.ServiceBusSession<string, string>>,
      ServiceBusError.AcceptSessionError,
      ServiceBusClient.ServiceBusClient | Scope.Scope
    >
  >()
  // @ts-expect-error a queue without sessions
  void ServiceBusSession.accept(Plain, "a")
  // @ts-expect-error a topic is received from by its subscriptions
  void ServiceBusSession.acceptNext(Steps)
  // @ts-expect-error a plain name says nothing of sessions
  void ServiceBusSession.accept("carts", "a")
  // @ts-expect-error it is received from through a session
  void ServiceBusReceiver.make(Workers)
  // @ts-expect-error its messages name a session
  void Effect.flatMap(ServiceBusSender.make(Carts), (sender) => sender.send({ body: "x" }))
  void Effect.flatMap(ServiceBusSender.make(Carts), (sender) => sender.send({ body: "x", sessionId: "a" }))
})

test("the state has the contract's type", () => {
  expectTypeOf(session.state).toEqualTypeOf<Effect.Effect<Option.Option<State>, ServiceBusError.SessionStateError>>()
  void session.setState({ items: ["a"] })
  // @ts-expect-error another type
  void session.setState({ items: [1] })
  expectTypeOf(ServiceBusSession.use(Bytes, "a", (held) => held.state)).toEqualTypeOf<
    Effect.Effect<
      Option.Option<Uint8Array>,
      ServiceBusError.AcceptSessionError | ServiceBusError.SessionLockLostError | ServiceBusError.SessionStateError,
      ServiceBusClient.ServiceBusClient
    >
  >()
})

test("errors are a session's", () => {
  expectTypeOf(session.complete(message)).toEqualTypeOf<Effect.Effect<void, ServiceBusError.SessionSettleError>>()
  void session.complete(message).pipe(Effect.catchTag("SessionLockLostError", () => Effect.void))
  // @ts-expect-error messages of a session have no locks of their own
  void session.complete(message).pipe(Effect.catchTag("MessageLockLostError", () => Effect.void))
  void session.receive().pipe(Effect.catchTag("SessionLockLostError", () => Effect.succeed([])))
  // @ts-expect-error a session is another's when it is accepted, not later
  void session.receive().pipe(Effect.catchTag("SessionCannotBeLockedError", () => Effect.succeed([])))
  void ServiceBusSession.accept(Carts, "a").pipe(Effect.catchTag("SessionCannotBeLockedError", () => Effect.void))
  expectTypeOf(session.lost).toEqualTypeOf<Effect.Effect<never, ServiceBusError.SessionLockLostError>>()
  expectTypeOf(session.renewLock).toExtend<Effect.Effect<unknown, ServiceBusError.SessionLockRenewalError>>()
  // @ts-expect-error there is no lock of a message to renew
  void session.renewLock(message)
})

test("what has no lock is not settled", () => {
  // @ts-expect-error a peeked message
  void session.complete(peeked)
  // @ts-expect-error receive-and-delete
  void destructive.complete(message)
  expectTypeOf(destructive.messages).toExtend<Stream.Stream<ServiceBusMessage.DestructiveMessage<string>, unknown>>()
})

test("undecodable bodies fail only where that was asked for", () => {
  void Effect.flatMap(
    ServiceBusSession.accept(Carts, "a", { undecodable: "fail" }),
    (held) => held.receive().pipe(Effect.catchTag("MessageDecodeError", () => Effect.succeed([])))
  )
  void Effect.flatMap(ServiceBusSession.accept(Carts, "a"), (held) =>
    held.receive().pipe(
      // @ts-expect-error they are dead-lettered
      Effect.catchTag("MessageDecodeError", () => Effect.succeed([]))
    ))
})

test("a session processor", () => {
  const processor = ServiceBusProcessor.makeSessions(Carts, (body, received, held) => {
    expectTypeOf(body).toEqualTypeOf<string>()
    expectTypeOf(received).toEqualTypeOf<ServiceBusMessage.LockedMessage<string>>()
    expectTypeOf(held).toEqualTypeOf<ServiceBusSession.ServiceBusSession<string, State>>()
    return body === "" ? Effect.fail("empty" as const) : Effect.succeed(Settlement.complete)
  }, {
    onFailure: (cause) => {
      expectTypeOf(cause.reasons[0]).toExtend<unknown>()
      return Settlement.abandon()
    },
    close: (held, reason) => {
      expectTypeOf(reason).toEqualTypeOf<"idle" | "share" | "unsettled" | "drain" | "lost">()
      return held.setState({ items: [] })
    }
  })
  expectTypeOf(processor).toExtend<
    Effect.Effect<
      ServiceBusProcessor.SessionProcessor,
      ServiceBusError.InvalidOptionError,
      ServiceBusClient.ServiceBusClient | Scope.Scope
    >
  >()
  // @ts-expect-error a queue without sessions
  void ServiceBusProcessor.makeSessions(Plain, () => Effect.void)
})

test("withLock takes a message or a session", () => {
  expectTypeOf(Effect.succeed(1).pipe(AutoLockRenewer.withLock(session))).toEqualTypeOf<
    Effect.Effect<
      number,
      | ServiceBusError.AutoLockRenewFailed
      | ServiceBusError.AutoLockRenewTimeout
      | ServiceBusError.InvalidOptionError
    >
  >()
  void AutoLockRenewer.withLock(Effect.void, session, { maxDuration: "1 minute" })
  // @ts-expect-error a receiver's lock is a message's
  void Effect.void.pipe(AutoLockRenewer.withLock({} as ServiceBusReceiver.ServiceBusReceiver<string>))
})

test("what does not read the state takes sessions and contracts of any, and unions of them", () => {
  const either = [Carts, Bytes, Workers][0]!
  expectTypeOf(ServiceBusSession.list(either)).toEqualTypeOf(ServiceBusSession.list(Carts))
  const [queue] = [Carts, Bytes] as const
  const one: typeof Carts | typeof Bytes = queue
  expectTypeOf(ServiceBusDeadLetters.replay(one)).toEqualTypeOf<ServiceBusDeadLetters.Replay>()
  expectTypeOf(ServiceBusDeadLetters.replay<typeof Carts>(Carts)).toEqualTypeOf<ServiceBusDeadLetters.Replay>()
  type Either = typeof session | ServiceBusSession.ServiceBusSession<string>
  const work = Effect.succeed(1)
  const data = AutoLockRenewer.withLock(work, session)
  expectTypeOf(AutoLockRenewer.withLock(work, session as Either)).toEqualTypeOf<typeof data>()
  expectTypeOf(work.pipe(AutoLockRenewer.withLock(session as Either))).toEqualTypeOf<typeof data>()
  expectTypeOf(AutoLockRenewer.withLock<number, never, never>(work, session)).toEqualTypeOf<typeof data>()
  // @ts-expect-error: its messages have no locks
  AutoLockRenewer.withLock(work, destructive)
})

test("a contract of any state can be named, and narrowed", () => {
  const narrowed = (entity: ServiceBusEntity.Any) => entity._tag === "SessionQueue" ? entity : undefined
  expectTypeOf(narrowed).returns.toEqualTypeOf<
    ServiceBusEntity.SessionQueue<unknown, never, unknown, never> | undefined
  >()
})
