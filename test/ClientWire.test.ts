/**
 * What the client puts on the wire and takes from it where the service's word is the measure, not that of our broker.
 */
import { assert, describe } from "@effect/vitest"
import { ServiceBusSender } from "effect-service-bus"
import * as Effect from "effect/Effect"
import { type Performative, rhea } from "../src/internal/amqp/rhea.ts"
import { both, deliveriesOf, type LayerFor, type Name, testsOf, Texts } from "./suites/harness.ts"

/** Has the broker's attaches pass through a function: what the service adds and ours does not. */
const attaching = (change: (attach: Performative) => void) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const connection = rhea.create_container({ id: "patch" }).create_connection({ reconnect: false })
      connection._register = () => {}
      const session = Object.getPrototypeOf(connection.create_session()) as {
        output: (frame: Performative, payload?: unknown) => void
      }
      const { output } = session
      session.output = function(frame, payload) {
        if (frame["initial_delivery_count"] !== undefined || frame["role"] !== undefined) change(frame)
        return output.call(this, frame, payload)
      }
      return { session, output }
    }),
    ({ output, session }) =>
      Effect.sync(() => {
        session.output = output
      })
  )

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, { concurrent: false }, () => {
    const { test } = testsOf(name, layerFor)

    describe("batches are filled to what the link says", () => {
      const sizes: ReadonlyArray<readonly [string, unknown, number]> = [
        ["nothing: 1 MiB at most", undefined, 1024 * 1024],
        ["com.microsoft:max-message-batch-size as a ulong", rhea.types.wrap_ulong(10_000), 10_000],
        ["a larger one than 1 MiB", rhea.types.wrap_ulong(3_000_000), 3_000_000],
        ["a larger one than a message may be", rhea.types.wrap_ulong(50_000_000), 4_000_000],
        ["nonsense", "many", 1024 * 1024]
      ]
      for (const [title, size, limit] of sizes) {
        test(title, () =>
          Effect.gen(function*() {
            yield* attaching((attach) => {
              if (attach["role"] === true && size !== undefined) {
                attach["properties"] = { "com.microsoft:max-message-batch-size": size }
              }
            })
            const sender = yield* ServiceBusSender.make(Texts)
            const body = "x".repeat(2000)
            yield* sender.sendAll(Array.from({ length: Math.ceil(limit / 2000) + 1 }, () => ({ body })))
            const expected = Math.ceil((Math.ceil(limit / 2000) + 1) / Math.floor((limit - 100) / 2110))
            assert.closeTo(deliveriesOf(sender), expected, 1)
            assert.isAbove(deliveriesOf(sender), 1)
          }), { texts: { maxMessageSize: 4_000_000, maxSize: 100_000_000 } })
      }
    })
  })

describe("What the client writes", { concurrent: false }, () => both(suite))
