import { Data, Effect, Redacted, Schema, type Scope, Stream } from "effect"
import {
  ServiceBusBody,
  ServiceBusClient,
  ServiceBusEntity,
  type ServiceBusMessage,
  ServiceBusProcessor,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import type { LockRenewalError, SettleError } from "effect-service-bus/ServiceBusError"
import { connectionString, type Load, type Program, type Programs, window } from "../measure.ts"
import { messageOf, messagesOf } from "../message.ts"

const Order = Schema.Struct({
  id: Schema.Number,
  name: Schema.String,
  amount: Schema.Number,
  paid: Schema.Boolean,
  tags: Schema.Array(Schema.String),
  note: Schema.String
})

const orders = (load: Load) => ServiceBusEntity.queue(load.entity, { body: ServiceBusBody.json(Order) })

const program = (
  work: (load: Load) => Effect.Effect<unknown, unknown, ServiceBusClient.ServiceBusClient | Scope.Scope>
): Program =>
(load) => {
  const client = ServiceBusClient.layerConnectionString(Redacted.make(connectionString(load)))
  return Effect.runPromise(work(load).pipe(Effect.scoped, Effect.provide(client), Effect.asVoid))
}

type Sender = ServiceBusSender.ServiceBusSender<typeof Order.Type>

const sending = (step: (sender: Sender, load: Load, index: number) => Effect.Effect<number, unknown>): Program =>
  program(Effect.fnUntraced(function*(load) {
    const { meter } = load
    const sender = yield* ServiceBusSender.make(orders(load))
    while (!meter.done) meter.add(yield* step(sender, load, meter.total))
  }))

const all = sending((sender, { size }, index) => Effect.as(sender.sendAll(messagesOf(index, window, size)), window))

const each = sending((sender, { size }, index) =>
  Effect.as(
    Effect.forEach(messagesOf(index, window, size), (message) => sender.send(message), {
      concurrency: window,
      discard: true
    }),
    window
  )
)

const sequential = sending((sender, { size }, index) => Effect.as(sender.send(messageOf(index, size)), 1))

/** What the stream has given counts: it is held back while much of it waits for its answer, and flushed at its end. */
const sink = program(Effect.fnUntraced(function*(load) {
  const { meter, size } = load
  const sender = yield* ServiceBusSender.make(orders(load))
  const chunks = function*() {
    while (!meter.done) {
      yield messagesOf(meter.total, window, size)
      meter.add(window)
    }
  }
  yield* Stream.fromIterable(chunks(), { chunkSize: 1 }).pipe(Stream.flattenIterable, Stream.run(sender.sink()))
}))

class Over extends Data.TaggedError("Over") {}

const receive = program(Effect.fnUntraced(function*(load) {
  const { meter } = load
  const receiver = yield* ServiceBusReceiver.makeDestructive(orders(load), { prefetch: window })
  yield* Stream.runForEach(receiver.chunks, (messages) => {
    for (const { body } of messages) meter.take(body)
    meter.add(messages.length)
    return meter.done ? Effect.fail(new Over()) : Effect.void
  }).pipe(Effect.catchTag("Over", () => Effect.void))
}))

const completeChunks = program(Effect.fnUntraced(function*(load) {
  const { meter } = load
  const receiver = yield* ServiceBusReceiver.make(orders(load), { prefetch: window })
  yield* Stream.runForEach(receiver.chunks, (messages): Effect.Effect<void, Over | SettleError> => {
    if (meter.done) return Effect.fail(new Over())
    for (const { body } of messages) meter.take(body)
    return Effect.map(receiver.completeAll(messages), () => meter.add(messages.length))
  }).pipe(Effect.catchTag("Over", () => Effect.void))
}))

const completeEach = program(Effect.fnUntraced(function*(load) {
  const { meter } = load
  const receiver = yield* ServiceBusReceiver.make(orders(load))
  const processor = yield* ServiceBusProcessor.make(receiver, (body) =>
    Effect.sync(() => {
      meter.take(body)
      meter.add(1)
    }), { concurrency: window, prefetch: 0 })
  yield* Effect.raceFirst(Effect.promise(() => meter.finished), processor.join)
  const { completed } = yield* processor.drain
  if (completed !== meter.total) meter.fail(`${completed} of ${meter.total} handled messages were completed`)
}))

/** Renews the locks of 100 messages over and over. */
const renewing = (
  step: (
    receiver: ServiceBusReceiver.ServiceBusReceiver<typeof Order.Type>,
    messages: ReadonlyArray<ServiceBusMessage.LockedMessage<typeof Order.Type>>
  ) => Effect.Effect<unknown, LockRenewalError, ServiceBusClient.ServiceBusClient>
): Program =>
  program(Effect.fnUntraced(function*(load) {
    const { meter } = load
    const receiver = yield* ServiceBusReceiver.make(orders(load))
    const messages = yield* receiver.receive({ max: window, maxWaitAfterFirst: "10 seconds" })
    while (!meter.done) meter.add(yield* Effect.as(step(receiver, messages), messages.length))
  }))

const renewEach = renewing((receiver, messages) =>
  Effect.forEach(messages, (message) => receiver.renewLock(message), { concurrency: window, discard: true })
)

/** What the renewer of a receiver with a renewalBatch of 100 does. */
const renewTogether = renewing((receiver, messages) =>
  ServiceBusReceiver.renewByToken(receiver.entity, messages.map(({ lockToken }) => lockToken))
)

export const ours: Programs = {
  "send-chunk": all,
  "send-each": each,
  "send-batch": all,
  "send-sink": sink,
  "send-sequential": sequential,
  "receive-chunk": receive,
  "complete-chunk": completeChunks,
  "complete-each": completeEach,
  "renew-1": renewEach,
  "renew-100": renewTogether
}
