// What all messages of a program have in common, written once: functions around senders, handlers and codecs, composed by
// `pipe`. There are no plug-ins to register.
import { Clock, Console, Context, Deferred, Effect, pipe, Result, Schema } from "effect"
import {
  ServiceBusBody,
  ServiceBusEntity,
  type ServiceBusMessage,
  ServiceBusProcessor,
  ServiceBusSender,
  Settlement
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { gunzipSync, gzipSync } from "node:zlib"

/** Around a codec: bodies are compressed, whatever they are. */
const compressed = <A, In>(body: ServiceBusBody.ServiceBusBody<A, In>): ServiceBusBody.ServiceBusBody<A, In> =>
  ServiceBusBody.make({
    contentType: "application/gzip",
    encode: (value) =>
      Result.flatMap(body.encode(value), (sections) =>
        sections.kind === "data" && !Array.isArray(sections.data)
          ? Result.succeed({ kind: "data", data: gzipSync(sections.data as Uint8Array | string) })
          : Result.fail("only bytes and text are compressed")),
    decode: (sections) =>
      Result.flatMap(
        ServiceBusBody.bytes.decode(sections),
        (bytes) => body.decode({ kind: "data", data: gunzipSync(bytes) })
      )
  })

const Order = Schema.Struct({ id: Schema.String, note: Schema.String })
const Orders = ServiceBusEntity.queue("orders", { body: compressed(ServiceBusBody.json(Order)) })

/** Whose message it is. */
const Tenant = Context.Reference<string>("Tenant", { defaultValue: () => "nobody" })

/** Around a sender's `send`: the tenant goes with the message. */
const withTenant = <A, B, E, R>(send: (message: ServiceBusMessage.OutgoingMessage<A>) => Effect.Effect<B, E, R>) =>
(
  message: ServiceBusMessage.OutgoingMessage<A>
) =>
  Effect.flatMap(
    Tenant,
    (tenant) => send({ ...message, applicationProperties: { ...message.applicationProperties, tenant } })
  )

type Handler<A, E, R> = ServiceBusProcessor.Handler<A, E, R>

/** Around a handler: it runs as the tenant of its message, and logs as it. */
const asTenant = <A, E, R>(handler: Handler<A, E, R>): Handler<A, E, R> => (body, message) => {
  const tenant = String(message.applicationProperties["tenant"])
  return handler(body, message).pipe(
    Effect.provideService(Tenant, tenant),
    Effect.annotateLogs({ tenant, messageId: message.messageId })
  )
}

/** Around a handler: what it does not know how to handle is put aside for people, and everything else tried again. */
const deadLettering =
  <E extends { readonly _tag: string }>(...tags: ReadonlyArray<E["_tag"]>) =>
  <A, R>(handler: Handler<A, E, R>): Handler<A, E, R> =>
  (body, message) =>
    handler(body, message).pipe(
      Effect.catchIf(
        (error) => tags.includes(error._tag),
        (error) => Effect.succeed(Settlement.deadLetter({ reason: error._tag }))
      )
    )

/** Around a handler: how long each call took. */
const timed =
  (tell: (millis: number) => Effect.Effect<void>) =>
  <A, E, R>(handler: Handler<A, E, R>): Handler<A, E, R> =>
  (body, message) =>
    Effect.gen(function*() {
      const start = yield* Clock.currentTimeMillis
      return yield* Effect.ensuring(
        handler(body, message),
        Effect.flatMap(Clock.currentTimeMillis, (end) => tell(end - start))
      )
    })

class Unreadable extends Schema.TaggedError<Unreadable>()("Unreadable", {}) {}

const program = Effect.gen(function*() {
  const emulator = yield* Emulator.Emulator
  const orders = yield* ServiceBusSender.make(Orders)
  const send = withTenant(orders.send)
  yield* send({ body: { id: "1", note: "please ".repeat(1000) } }).pipe(Effect.provideService(Tenant, "ada"))
  yield* send({ body: { id: "2", note: "" } }).pipe(Effect.provideService(Tenant, "bob"))
  const bytes = (yield* emulator.messages(Orders)).map(({ size }) => size)

  const handled: Array<string> = []
  const done = yield* Deferred.make<void>()
  const bill: Handler<typeof Order.Type, Unreadable, never> = (order) =>
    Effect.gen(function*() {
      handled.push(`${order.id} of ${yield* Tenant}`)
      if (order.note === "") return yield* new Unreadable()
    })
  let calls = 0
  yield* ServiceBusProcessor.make(
    Orders,
    pipe(
      bill,
      deadLettering("Unreadable"),
      asTenant,
      timed(() => ++calls === 2 ? Deferred.succeed(done, undefined) : Effect.void)
    )
  )
  yield* Deferred.await(done)
  yield* Effect.repeat(emulator.idle, {
    until: () => Effect.map(emulator.messages(Orders), ({ length }) => length === 0)
  })
  const [letter] = yield* emulator.deadLetters(Orders)
  yield* Console.log(
    `${handled.join(", ")}; ${letter?.body.id} was ${letter?.deadLetterReason}; 7,000 letters took ${bytes[0]} bytes`
  )
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Orders)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
