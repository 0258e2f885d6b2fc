// A broker on a port whose time stands still until it is moved on, as a test in any language has it over HTTP: here by fetch,
// beside a client that knows nothing of it. What would be due in a month is due at once, in its order.
import { Console, DateTime, Effect, Layer, Redacted } from "effect"
import {
  ConnectionString,
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Reminders = ServiceBusEntity.queue("reminders", { body: ServiceBusBody.text })

const Server = Emulator.layerServer({
  entities: [Emulator.entity(Reminders, { lockDuration: "1 minute", maxDeliveryCount: 2 })],
  clock: "manual",
  startAt: DateTime.makeUnsafe("2030-01-01T00:00:00Z")
})

/** A request with the name and the key of the root policy, as `curl -u` makes it. */
const ask = Effect.fn(function*(method: "GET" | "POST", path: string, body?: unknown) {
  const { connectionString, port } = yield* Emulator.Emulator
  const { credential } = yield* ConnectionString.parse(connectionString)
  if (credential._tag !== "SharedKey") return yield* Effect.die("a key was expected")
  const user = `${credential.name}:${Redacted.value(credential.key)}`
  return yield* Effect.promise(async () => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      headers: { authorization: `Basic ${btoa(user)}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) })
    })
    if (!response.ok) throw new Error(await response.text())
    return await response.json() as Record<string, unknown>
  })
})

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Reminders)
  const receiver = yield* ServiceBusReceiver.make(Reminders)
  const emulator = yield* Emulator.Emulator

  yield* sender.schedule({ body: "in a month" }, DateTime.add(yield* emulator.now, { days: 30 }))
  yield* sender.schedule({ body: "tomorrow", timeToLive: "1 hour" }, DateTime.add(yield* emulator.now, { days: 1 }))
  const { now } = yield* ask("POST", "/clock/advance", { by: "31 days" })
  yield* Console.log(`it is ${String(now)}`)

  // "tomorrow" came and went on the way; its hour was over long before.
  const [message] = yield* receiver.receive({ max: 1 })
  yield* Console.log(`received: ${message?.body}`)

  // A handler that takes too long: its lock ends, and the message comes back with one more failed delivery.
  yield* ask("POST", "/clock/advance", { by: "PT1M" })
  const [again] = yield* receiver.receive({ max: 1 })
  yield* Console.log(`received again: ${again?.body}, after ${again?.deliveryCount} failed delivery`)
  yield* ask("POST", "/clock/advance", { by: "PT1M" })
  const dead = yield* emulator.deadLetters(Reminders)
  yield* Console.log(`dead-lettered: ${dead[0]?.deadLetterReason}`)

  const { messages } = yield* ask("POST", "/reset")
  yield* Console.log(`${String(messages)} message is gone`)
}).pipe(Effect.scoped)

await Effect.runPromise(program.pipe(Effect.provide(Emulator.layerClient.pipe(Layer.provideMerge(Server)))))
