/** Microsoft's client for JavaScript against entities that are disabled, forward, or are deleted: it tells the words apart. */
import { Effect } from "effect"
import { ServiceBusBody, ServiceBusEntity } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { official, testsOn } from "../support/official.ts"
import { assert, describe } from "../support/vitest.ts"

const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })
const Hop = ServiceBusEntity.queue("hop", { body: ServiceBusBody.text })
const Errors = ServiceBusEntity.queue("errors", { body: ServiceBusBody.text })

const test = testsOn(
  Emulator.entity(Orders, { forwardDeadLetteredMessagesTo: Errors }),
  Emulator.entity(Hop, { forwardTo: Orders }),
  Emulator.entity(Errors)
)

/** The code of what a promise fails with. */
const codeOf = (run: () => Promise<unknown>): Effect.Effect<unknown> =>
  Effect.promise(() =>
    run().then(
      () => "nothing",
      (error: { readonly code?: unknown; readonly message?: unknown }) => `${error.code}: ${error.message}`
    )
  )

const patient = { retryOptions: { maxRetries: 1, retryDelayInMs: 10 } }

describe("Microsoft's client for JavaScript", () => {
  test(
    "receives what was forwarded, and reads where a dead letter comes from",
    Effect.gen(function*() {
      const client = yield* official(patient)
      yield* Effect.promise(() => client.createSender("hop").sendMessages({ body: "1", messageId: "m" }))
      const receiver = client.createReceiver("orders")
      const [message] = yield* Effect.promise(() => receiver.receiveMessages(1))
      assert.deepInclude({ ...message }, { messageId: "m", deliveryCount: 0 })
      assert.strictEqual(String(message!.sequenceNumber), "1")
      assert.strictEqual(String(message!.enqueuedSequenceNumber), "1")
      yield* Effect.promise(() =>
        receiver.deadLetterMessage(message!, { deadLetterReason: "why", deadLetterErrorDescription: "" })
      )
      const [letter] = yield* Effect.promise(() => client.createReceiver("errors").receiveMessages(1))
      assert.deepInclude({ ...letter }, { messageId: "m", deadLetterSource: "orders", deadLetterReason: "why" })
      assert.match(
        String(yield* codeOf(() => client.createReceiver("hop").receiveMessages(1))),
        /Cannot create a message receiver on an entity with auto-forwarding enabled/
      )
    })
  )

  test(
    "knows an entity that is disabled, and one that is gone, also where it was attached before",
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const client = yield* official(patient)
      const sender = client.createSender("orders")
      const receiver = client.createReceiver("orders")
      yield* Effect.promise(() => sender.sendMessages({ body: "1" }))
      const [message] = yield* Effect.promise(() => receiver.receiveMessages(1))
      yield* Effect.promise(() => receiver.completeMessage(message!))
      yield* emulator.update(Orders, { status: "SendDisabled" })
      assert.match(
        String(yield* codeOf(() => sender.sendMessages({ body: "2" }))),
        /^MessagingEntityDisabled: .*orders' is currently disabled for Send operations/
      )
      yield* emulator.update(Orders, { status: "Disabled" })
      assert.match(
        String(yield* codeOf(() => client.createReceiver("orders").receiveMessages(1, { maxWaitTimeInMs: 500 }))),
        /^MessagingEntityDisabled: .*orders' is currently disabled\./
      )
      assert.match(String(yield* codeOf(() => receiver.peekMessages(1))), /^MessagingEntityDisabled: /)
      yield* emulator.update(Orders, { status: "Active" })
      yield* Effect.promise(() => sender.sendMessages({ body: "3" }))
      yield* emulator.delete(Orders)
      assert.match(
        String(yield* codeOf(() => client.createSender("orders").sendMessages({ body: "4" }))),
        /^MessagingEntityNotFound: /
      )
      assert.match(
        String(yield* codeOf(() => client.createReceiver("orders").receiveMessages(1, { maxWaitTimeInMs: 500 }))),
        /^MessagingEntityNotFound: /
      )
      yield* emulator.create(Emulator.entity(Orders))
      yield* Effect.promise(() => sender.sendMessages({ body: "5" }))
      const [again] = yield* Effect.promise(() => client.createReceiver("orders").receiveMessages(1))
      assert.strictEqual(again!.body, "5")
    })
  )
})
