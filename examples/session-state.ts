// The state of a session: a shopping cart that outlives its messages and the consumer that works on it, typed by a Schema.
import { Console, Effect, Option, Schema } from "effect"
import { ServiceBusEntity, ServiceBusSender, ServiceBusSession } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Event = Schema.Struct({ add: Schema.String })
const Cart = Schema.Struct({ items: Schema.Array(Schema.String) })

const Carts = ServiceBusEntity.queue("carts", {
  body: Event,
  sessions: true,
  sessionState: Cart
})

/** Works on what has come for one customer, and leaves the cart in the session. */
const work = ServiceBusSession.use(Carts, "customer 7", (session) =>
  Effect.gen(function*() {
    let cart = Option.getOrElse(yield* session.state, () => Cart.make({ items: [] }))
    for (const message of yield* session.receive({ max: 10, maxWait: 0 })) {
      cart = { items: [...cart.items, message.body.add] }
      yield* session.setState(cart)
      yield* session.complete(message)
    }
    return cart.items
  }))

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Carts)
  yield* sender.sendAll(["apples", "pears"].map((add) => ({ body: { add }, sessionId: "customer 7" })))
  yield* work
  yield* sender.send({ body: { add: "plums" }, sessionId: "customer 7" })
  const items = yield* work
  yield* Console.log(`the cart has ${items.join(", ")}`)
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Carts)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
