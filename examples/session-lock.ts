// The lock of a session: renewed while its scope is open, for longer where the work says so, and by hand.
import { Console, DateTime, Effect } from "effect"
import {
  AutoLockRenewer,
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusSender,
  ServiceBusSession
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Reports = ServiceBusEntity.queue("reports", { body: ServiceBusBody.text, sessions: true })

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Reports)
  yield* sender.sendAll(["draft", "final"].map((body) => ({ body, sessionId: "2026" })))

  // By itself: for five minutes, unless `maxLockRenewal` says otherwise. Here it is left to the work.
  const session = yield* ServiceBusSession.accept(Reports, "2026", { maxLockRenewal: 0 })
  const [draft] = yield* session.receive()
  // Longer than the lock lasts. Were it lost, the work would be interrupted and fail with AutoLockRenewFailed.
  yield* Effect.sleep("1500 millis").pipe(AutoLockRenewer.withLock(session, { maxDuration: "5 minutes" }))
  yield* session.complete(draft!)

  const before = yield* session.lockedUntil
  yield* session.renewLock
  const isLater = DateTime.isGreaterThanOrEqualTo(yield* session.lockedUntil, before)
  const [final] = yield* session.receive()
  yield* session.complete(final!)
  yield* Console.log(`${draft!.body} and ${final!.body} done under one lock, which was ${isLater ? "renewed" : "lost"}`)
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Reports, { lockDuration: "1 second" })] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
