// Transactional outbox: an order and the message about it are written in one transaction of the database, and a relay sends
// what is written. The program may end anywhere: no message is lost, and one that is sent twice has the same id.
import { Console, Effect, Schema } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { DatabaseSync } from "node:sqlite"

const OrderPlaced = Schema.fromJsonString(Schema.Struct({ id: Schema.String, total: Schema.Finite }))
/** The table keeps the text of the JSON: it is sent as it is. */
const Orders = ServiceBusEntity.queue("orders", {
  body: { ...ServiceBusBody.text, contentType: "application/json" }
})

const database = new DatabaseSync(":memory:")
database.exec(`
  create table orders (id text primary key, total real not null);
  create table outbox (position integer primary key autoincrement, message_id text not null, body text not null);
`)

const transaction = <A>(statements: () => A) =>
  Effect.sync(() => {
    database.exec("begin")
    try {
      const result = statements()
      database.exec("commit")
      return result
    } catch (error) {
      database.exec("rollback")
      throw error
    }
  })

const place = (order: { readonly id: string; readonly total: number }) =>
  transaction(() => {
    database.prepare("insert into orders values (?, ?)").run(order.id, order.total)
    const body = Schema.encodeSync(OrderPlaced)(order)
    database.prepare("insert into outbox (message_id, body) values (?, ?)").run(`order-${order.id}`, body)
  })

interface Row {
  readonly position: number
  readonly message_id: string
  readonly body: string
}

/** Sends a page of the outbox, oldest first, and forgets it. Between the two the program may end: then it is sent again. */
const relay = Effect.fn("relay")(function*(afterSending: Effect.Effect<void>) {
  const rows = database.prepare("select * from outbox order by position limit 100").all() as unknown as ReadonlyArray<
    Row
  >
  if (rows.length === 0) return 0
  const sender = yield* ServiceBusSender.make(Orders)
  yield* sender.sendAll(rows.map(({ body, message_id }) => ({ body, messageId: message_id })))
  yield* afterSending
  database.prepare("delete from outbox where position <= ?").run(rows.at(-1)!.position)
  return rows.length
}, Effect.scoped)

const program = Effect.gen(function*() {
  yield* Effect.forEach(["1", "2", "3"], (id) => place({ id, total: 10 }), { discard: true })
  // An order that cannot be stored leaves no message.
  const refused = yield* Effect.exit(place({ id: "1", total: 20 }))

  // It ends after sending, before it has forgotten; the next run sends the three again.
  yield* Effect.exit(relay(Effect.die("the power is gone")))
  const again = yield* relay(Effect.void)

  const emulator = yield* Emulator.Emulator
  const there = yield* emulator.messages(Orders)
  yield* Console.log(
    `the second order 1: ${refused._tag}; sent again: ${again}; in the queue: ` +
      there.map(({ messageId }) => messageId).join(", ")
  )
})

// What came before within this time is dropped by its id.
const Broker = Emulator.layer({ entities: [Emulator.entity(Orders, { duplicateDetectionWindow: "10 minutes" })] })

await Effect.runPromise(Effect.provide(program, Broker))
