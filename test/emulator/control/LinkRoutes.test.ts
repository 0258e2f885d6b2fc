/** The connections of a namespace with their links, as their clients see them. */
import { Effect } from "effect"
import {
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusReceiver,
  ServiceBusSender,
  ServiceBusSession
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { ask } from "../../support/controlApi.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })
const Carts = ServiceBusEntity.queue("carts", { body: ServiceBusBody.text, sessions: true })

describe("connections", () => {
  it.effect("are listed with what each link is attached to, and are gone when they are closed", () =>
    Effect.gen(function*() {
      const { connectionString } = yield* Emulator.Emulator
      assert.isDefined(connectionString)
      assert.deepStrictEqual((yield* ask("GET", "/connections")).json, [])
      yield* Effect.gen(function*() {
        yield* ServiceBusSender.make("orders")
        yield* ServiceBusReceiver.make(ServiceBusEntity.deadLetter(Orders), { prefetch: 7 })
        yield* ServiceBusSession.accept(Carts, "s")
        const { json } = yield* ask("GET", "/connections")
        assert.strictEqual(json.length, 1)
        assert.match(json[0].acceptedAt, /^\d{4}-/)
        assert.isNotEmpty(json[0].containerId)
        const links = json[0].links.filter(({ address }: any) => !address.includes("$cbs"))
          .map(({ address, role, session }: any) =>
            `${role} ${address.replace(/^.*?\/\/[^/]*\//, "")} ${session ?? ""}`.trim()
          )
        assert.includeMembers(links, ["sender orders", "receiver orders/$DeadLetterQueue", "receiver carts s"])
      }).pipe(Effect.scoped)
    }).pipe(Effect.provide(Emulator.layer({ entities: [Emulator.entity("orders"), Emulator.entity(Carts)] }))))
})
