// A message that one process receives and another settles: its lock token travels, as a Schema encodes it.
import { Console, Effect, Schema } from "effect"
import {
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusMessage,
  ServiceBusReceiver,
  ServiceBusSender,
  Settlement
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Scans = ServiceBusEntity.queue("scans", { body: ServiceBusBody.text })

const Handover = Schema.Struct({ scan: Schema.String, token: ServiceBusMessage.LockToken })
const Wire = Schema.fromJsonString(Handover)

/** Receives, and leaves the rest to somebody with more time. */
const front = Effect.gen(function*() {
  const receiver = yield* ServiceBusReceiver.make(Scans)
  const [message] = yield* receiver.receive()
  // Closing this receiver does not release the message any more.
  const token = yield* receiver.handOver(message!)
  return yield* Schema.encodeEffect(Wire)({ scan: message!.body, token })
}).pipe(Effect.scoped)

/** Knows nothing of that receiver. */
const back = Effect.fn("back")(function*(wire: string) {
  const { scan, token } = yield* Schema.decodeEffect(Wire)(wire)
  yield* ServiceBusReceiver.renewByToken(Scans, [token])
  yield* ServiceBusReceiver.settleByToken(Scans, [token], Settlement.complete)
  return scan
})

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Scans)
  yield* sender.send({ body: "page 1" })
  const scan = yield* back(yield* front)
  const emulator = yield* Emulator.Emulator
  yield* Console.log(`${scan} settled elsewhere, ${(yield* emulator.messages(Scans)).length} messages left`)
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Scans)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
