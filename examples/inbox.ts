// Inbox, for handlers that must not work twice: the id of a message is written in the transaction of its work. A message that
// comes again (its settlement did not arrive, or its lock was lost) finds its id there.
import { Clock, Console, Deferred, Effect, Schema } from "effect"
import { ServiceBusEntity, ServiceBusProcessor } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { DatabaseSync } from "node:sqlite"

const Sale = Schema.Struct({ item: Schema.String, count: Schema.Int })
const Sales = ServiceBusEntity.queue("sales", { body: Sale })

const database = new DatabaseSync(":memory:")
database.exec(`
  create table stock (item text primary key, count integer not null);
  create table inbox (message_id text primary key, handled_at integer not null);
  insert into stock values ('chair', 10);
`)

/**
 * Runs the statements once for a message id, and says whether this was the time. When it was handled says how long an id is
 * kept: longer than a message may come again, as the dead letters are looked after.
 */
const once = (messageId: string, handledAt: number, statements: () => void) =>
  Effect.sync(() => {
    database.exec("begin")
    try {
      const { changes } = database.prepare("insert into inbox values (?, ?) on conflict do nothing")
        .run(messageId, handledAt)
      if (changes === 1) statements()
      database.exec("commit")
      return changes === 1
    } catch (error) {
      database.exec("rollback")
      throw error
    }
  })

const program = Effect.gen(function*() {
  const emulator = yield* Emulator.Emulator
  yield* emulator.send(Sales, [{ messageId: "sale-1", body: { item: "chair", count: 3 } }])
  // The first settlement does not arrive: the message comes again.
  yield* emulator.fail({ operation: "settle", error: { condition: "com.microsoft:message-lock-lost" } })

  const done = yield* Deferred.make<void>()
  const calls: Array<string> = []
  yield* ServiceBusProcessor.make(Sales, ({ count, item }, message) =>
    Effect.gen(function*() {
      const isFirst = yield* once(message.messageId, yield* Clock.currentTimeMillis, () => {
        database.prepare("update stock set count = count - ? where item = ?").run(count, item)
      })
      calls.push(isFirst ? "sold" : "known")
      if (message.deliveryCount > 0) yield* Deferred.succeed(done, undefined)
    }))

  yield* Deferred.await(done)
  const { count } = database.prepare("select count from stock where item = 'chair'").get() as { readonly count: number }
  yield* Console.log(`${calls.join(", then ")}: ${count} chairs are left of 10`)
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Sales, { lockDuration: "1 second" })] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
