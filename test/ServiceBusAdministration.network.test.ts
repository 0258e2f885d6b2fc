/**
 * Administration over a network that loses requests, and answers to what has been done: what the client is told of each operation
 * is compared with what there is in the broker.
 */
import { Effect, Exit, Fiber, Layer, Result } from "effect"
import { ServiceBusAdministration } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { HttpClient, HttpClientError } from "effect/http"
import { TestClock } from "effect/testing"
import * as MemoryHttpClient from "../src/emulator/http/MemoryHttpClient.ts"
import { generator } from "./support/random.ts"
import { assert, describe, it } from "./support/vitest.ts"

type Loss = "none" | "request" | "answer" | "late"

/** A network on which every request meets what is drawn for it. */
const networkOf = (draw: () => Loss) =>
  Layer.succeed(MemoryHttpClient.Network, (client: HttpClient.HttpClient) =>
    HttpClient.make((request) => {
      const reset = Effect.fail(
        new HttpClientError.HttpClientError({
          reason: new HttpClientError.TransportError({
            request,
            cause: Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" })
          })
        })
      )
      const loss = draw()
      if (loss === "request") return reset
      const answered = client.execute(request)
      if (loss === "answer") return Effect.andThen(answered, reset)
      return loss === "late" ? Effect.delay(answered, "3 seconds") : answered
    }))

const names = ["a", "b", "c"]

/** Runs operations one after the other; each is held against the state before it and after it. */
const run = (seed: number) =>
  Effect.gen(function*() {
    const below = generator(seed * 7919 + 1)
    let isBad = true
    const draw = (): Loss =>
      isBad ? (["none", "none", "none", "request", "answer", "late"] as const)[below(600) % 6]! : "none"
    const problems: Array<string> = []
    yield* Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const admin = yield* ServiceBusAdministration.ServiceBusAdministration
      /** The delivery count of a queue that is there. */
      const stateOf = (name: string) => Effect.map(Effect.result(emulator.runtime(name)), Result.isSuccess)
      for (let round = 0; round < 60; round++) {
        const name = names[below(300) % 3]!
        const count = below(1000) + 1
        const what = (["create", "update", "delete", "exists"] as const)[below(400) % 4]!
        const before = yield* stateOf(name)
        const operation: Effect.Effect<unknown, { readonly _tag: string; readonly outcome?: string }> = {
          create: admin.createQueue(name, { maxDeliveryCount: count }),
          update: admin.updateQueue(name, () => ({ maxDeliveryCount: count })),
          delete: admin.deleteQueue(name),
          exists: admin.queueExists(name)
        }[what]
        const fiber = yield* Effect.forkChild(Effect.result(operation))
        yield* TestClock.adjust("3 minutes")
        const exit = yield* Fiber.await(fiber)
        if (Exit.isFailure(exit)) return assert.fail(`seed ${seed}: ${what} ${name} died`)
        const told = exit.value
        const after = yield* stateOf(name)
        isBad = false
        const read = after ? yield* admin.getQueue(name) : undefined
        isBad = true
        const is = read?._tag === "Some" ? read.value.maxDeliveryCount : undefined
        const say = (text: string) => {
          const outcome = Result.isSuccess(told) ? "success" : `${told.failure._tag} ${told.failure.outcome ?? ""}`
          problems.push(`seed ${seed}, round ${round}: ${what} ${name}: ${outcome}; ${before} -> ${after}: ${text}`)
        }
        if (Result.isSuccess(told)) {
          if (what === "create" && (before || !after || is !== count)) say("it is not what was created")
          if (what === "update" && (!before || !after || is !== count)) say("it is not what it was changed to")
          // What is not there when it is tried again counts as deleted.
          if (what === "delete" && after) say("it was not deleted")
          if (what === "exists" && told.success !== after) say("what was said of it is wrong")
        } else if (told.failure._tag === "MessagingEntityAlreadyExistsError") {
          if (what !== "create" || !before) say("nothing was there before")
        } else if (told.failure._tag === "MessagingEntityNotFoundError") {
          if (before) say("it was there before")
        } else if (told.failure.outcome !== "unknown" && before !== after) say("something has changed")
      }
    }).pipe(Effect.provide(Layer.fresh(Emulator.layer({ entities: [] })).pipe(Layer.provide(networkOf(draw)))))
    return problems
  })

describe("administration over a bad network", () => {
  it.effect("says of each operation what has become of it", () =>
    Effect.gen(function*() {
      const problems: Array<string> = []
      for (let seed = 1; seed <= 10; seed++) problems.push(...yield* run(seed))
      assert.deepStrictEqual(problems, [])
    }))
})
