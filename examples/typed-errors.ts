// Errors at the call site: each operation lists the ones it can meet, and catching any other does not compile.
import { Console, Effect, Schema } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Notes = ServiceBusEntity.queue("notes", { body: Schema.Struct({ text: Schema.String }) })
const Missing = ServiceBusEntity.queue("missing", { body: ServiceBusBody.text })

const produce = (text: string) =>
  Effect.gen(function*() {
    const sender = yield* ServiceBusSender.make(Notes)
    return yield* sender.send({ body: { text } })
  }).pipe(
    Effect.scoped,
    Effect.retry({ while: (error) => error._tag === "ServiceBusServerBusyError", times: 3 }),
    Effect.catchTag("ServiceBusQuotaExceededError", () => Effect.succeed("kept for later")),
    Effect.catchTag("MessageSizeExceededError", (error) => Effect.succeed(`over ${error.limit} bytes`))
  )

/** A send meets no lock: naming one is an error of the compiler. */
export const wrong = produce("x").pipe(
  // @ts-expect-error
  Effect.catchTag("MessageLockLostError", () => Effect.void)
)

const program = Effect.gen(function*() {
  const long = yield* produce("x".repeat(300_000))
  const missing = yield* ServiceBusSender.make(Missing).pipe(
    Effect.as("attached"),
    Effect.catchTag("MessagingEntityNotFoundError", (error) => Effect.succeed(`no entity "${error.entity}"`)),
    Effect.scoped
  )
  yield* Console.log(`${long}; ${missing}`)
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Notes)] })

await Effect.runPromise(program.pipe(Effect.provide(Broker)))
