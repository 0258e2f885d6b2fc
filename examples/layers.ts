// A service per entity, injected through Layers: the program names what it needs, the edge decides what it runs on.
import { Console, Context, Effect, Layer, Schema } from "effect"
import { ServiceBusEntity, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

class Order extends Schema.Class<Order>("Order")({ id: Schema.String, total: Schema.Finite }) {}

const Orders = ServiceBusEntity.queue("orders", { body: Order })

class OrdersOut extends Context.Service<OrdersOut>()("app/OrdersOut", { make: ServiceBusSender.make(Orders) }) {
  static readonly layer = Layer.effect(this, this.make)
}

class OrdersIn extends Context.Service<OrdersIn>()("app/OrdersIn", { make: ServiceBusReceiver.make(Orders) }) {
  static readonly layer = Layer.effect(this, this.make)
}

const program = Effect.gen(function*() {
  const out = yield* OrdersOut
  yield* out.send({ body: { id: "1", total: 12 } })
  const orders = yield* OrdersIn
  const [message] = yield* orders.receive()
  if (message !== undefined) yield* orders.complete(message)
  yield* Console.log(`order ${message?.body.id} over ${message?.body.total}`)
})

// In production: ServiceBusClient.layerConnectionString(Config.Redacted("SERVICE_BUS_CONNECTION_STR"))
const Bus = Emulator.layer({ entities: [Emulator.entity(Orders)] })
const App = Layer.mergeAll(OrdersOut.layer, OrdersIn.layer).pipe(Layer.provide(Bus))

await Effect.runPromise(program.pipe(Effect.provide(App)))
