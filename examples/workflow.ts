// A durable workflow that waits for a message: an order is shipped when its payment is announced on a queue. The workflow's id
// is that of the order, so that a message that comes twice changes nothing.
import { Console, Deferred, Effect, Layer, Schema } from "effect"
import { ServiceBusEntity, ServiceBusProcessor } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { Activity, DurableDeferred, Workflow, WorkflowEngine } from "effect/workflow"

const Payments = ServiceBusEntity.queue("payments", {
  body: Schema.Struct({ orderId: Schema.String, amount: Schema.Finite })
})

const ShipOrder = Workflow.make("ShipOrder", {
  payload: { orderId: Schema.String },
  success: Schema.String,
  idempotencyKey: ({ orderId }) => orderId
})

const Paid = DurableDeferred.make("Paid", { success: Schema.Finite })

const ShipOrderLive = ShipOrder.toLayer(({ orderId }) =>
  Effect.gen(function*() {
    const amount = yield* DurableDeferred.await(Paid)
    return yield* Activity.make({
      name: "Ship",
      success: Schema.String,
      execute: Effect.succeed(`${orderId} is shipped, paid with ${amount}`)
    })
  })
)

const program = Effect.gen(function*() {
  const told = yield* Deferred.make<void>()
  yield* ServiceBusProcessor.make(Payments, ({ amount, orderId }, message) =>
    Effect.gen(function*() {
      const token = yield* DurableDeferred.tokenFromPayload(Paid, { workflow: ShipOrder, payload: { orderId } })
      // Completed before the message is: what ends in between is told again.
      yield* DurableDeferred.succeed(Paid, { token, value: amount })
      if (message.subject === "last") yield* Deferred.succeed(told, undefined)
    }))

  const executionId = yield* ShipOrder.execute({ orderId: "A-1" }, { discard: true })
  const emulator = yield* Emulator.Emulator
  const body = { orderId: "A-1", amount: 12 }
  yield* emulator.send(Payments, [{ body }, { body, subject: "last" }])
  yield* Deferred.await(told)
  const shipped = yield* ShipOrder.execute({ orderId: "A-1" })
  yield* Console.log(
    `${shipped} (one execution: ${(yield* ShipOrder.executionId({ orderId: "A-1" })) === executionId})`
  )
})

const Live = ShipOrderLive.pipe(
  // In memory: `effect/cluster` has the engine that outlives the program.
  Layer.provideMerge(WorkflowEngine.layerMemory),
  Layer.merge(Emulator.layer({ entities: [Emulator.entity(Payments)] }))
)

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Live)))
