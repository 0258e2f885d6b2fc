/** A manager asks its node again where no answer came, and looks whether what it asked for was done. */
import { ServiceBusBody, ServiceBusClient, ServiceBusEntity, ServiceBusError, ServiceBusRule } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as AmqpValue from "../../src/AmqpValue.ts"
import type { RequestResponseLink, Response } from "../../src/internal/management/RequestResponseLink.ts"
import * as Namespace from "../../src/internal/namespace/Namespace.ts"
import * as RuleManager from "../../src/internal/rules/RuleManager.ts"
import { failsWith, inMemory, start } from "../support/harness.ts"
import { assert, describe, it } from "../support/vitest.ts"

const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
const Sport = ServiceBusEntity.subscription(News, "sport")

type Answer = Partial<Response> | ServiceBusError.AttachError

const done: Answer = {}
const exists: Answer = { status: 409, condition: "com.microsoft:entity-already-exists" }
const missing: Answer = { status: 404, condition: "amqp:not-found" }
const busy: Answer = { status: 503, condition: "com.microsoft:server-busy" }
const lost: Answer = new ServiceBusError.OperationTimeoutError({ outcome: "unknown", entity: Sport.path })

const listing = (...rules: ReadonlyArray<readonly [name: string, expression: string]>): Answer => ({
  body: {
    rules: rules.map(([name, expression]) => ({
      "rule-description": AmqpValue.described(AmqpValue.symbol("com.microsoft:rule-description:list"), [
        AmqpValue.described(AmqpValue.symbol("com.microsoft:sql-filter:list"), [expression]),
        AmqpValue.described(AmqpValue.symbol("com.microsoft:empty-rule-action:list"), []),
        name
      ])
    }))
  }
})

/** A manager whose node gives these answers, one after the other, and what the node was asked for. */
const managerOf = Effect.fnUntraced(function*(...answers: ReadonlyArray<Answer>) {
  const asked: Array<string> = []
  let attached = 0
  const left = [...answers]
  const node: RequestResponseLink = {
    isLost: () => false,
    request: ({ operation }, sent) => {
      const skip = (sent as { readonly skip?: AmqpValue.Typed }).skip?.value
      const name = String(operation).slice("com.microsoft:".length)
      asked.push(skip === undefined ? name : `${name} ${skip}`)
      const answer = left.shift()
      if (answer === undefined) throw new Error("the script has no more answers")
      if (ServiceBusError.isServiceBusError(answer)) return Effect.fail(answer)
      const { body = null, condition, status = 200 } = answer
      return Effect.succeed({ status, condition, description: undefined, body, exactBody: () => body })
    }
  }
  const namespace = Namespace.of(yield* ServiceBusClient.ServiceBusClient)
  const rules = yield* RuleManager.make(Sport, {
    ...namespace,
    managementNode: () =>
      Effect.acquireRelease(Effect.sync(() => (attached++, node)), () => Effect.sync(() => attached--))
  })
  return { rules, asked, attached: () => attached, left }
})

const test = (
  name: string,
  effect: () => Effect.Effect<void, unknown, ServiceBusClient.ServiceBusClient | Scope.Scope>
) =>
  it.effect(name, () =>
    Effect.suspend(effect).pipe(
      Effect.scoped,
      Effect.provide(inMemory({ entities: [Emulator.entity(News), Emulator.entity(Sport)] }))
    ))

/** Runs an operation whose tries have pauses between them. */
const patiently = <A, E>(operation: Effect.Effect<A, E>) =>
  Effect.gen(function*() {
    const fiber = yield* start(operation)
    yield* TestClock.adjust("10 minutes")
    return yield* Fiber.join(fiber)
  })

const urgent = ServiceBusRule.make("urgent", ServiceBusRule.sql("a = @a", { a: 1 }))

describe("a rule that is created", () => {
  test("once", () =>
    Effect.gen(function*() {
      const { asked, rules } = yield* managerOf(done)
      yield* rules.create(urgent)
      assert.deepStrictEqual(asked, ["add-rule"])
    }))

  test("without an answer, and is there as it was asked for", () =>
    Effect.gen(function*() {
      const { asked, rules } = yield* managerOf(
        lost,
        exists,
        listing(["$Default", "1=1"], ["urgent", "a = 1"])
      )
      yield* patiently(rules.create(urgent))
      assert.deepStrictEqual(asked, ["add-rule", "add-rule", "enumerate-rules 0"])
    }))

  test("without an answer, and is there as another, or cannot be looked at: whether it was ours is not known", () =>
    Effect.gen(function*() {
      for (
        const answers of [
          [listing(["urgent", "a = 2"]), listing()],
          [listing(["other", "a = 1"]), listing()],
          [{ status: 401, condition: "amqp:unauthorized-access" }, {
            status: 401,
            condition: "amqp:unauthorized-access"
          }]
        ]
      ) {
        const { rules } = yield* managerOf(lost, exists, ...answers)
        const error = yield* failsWith("OperationTimeoutError")(patiently(rules.create(urgent)))
        assert.strictEqual(error.outcome, "unknown")
        assert.strictEqual(
          (error.cause as ServiceBusError.MessagingEntityAlreadyExistsError)._tag,
          "MessagingEntityAlreadyExistsError"
        )
      }
    }))

  test("by another, while the service was busy: it exists", () =>
    Effect.gen(function*() {
      const { asked, rules } = yield* managerOf(busy, exists)
      yield* failsWith("MessagingEntityAlreadyExistsError")(patiently(rules.create(urgent)))
      assert.deepStrictEqual(asked, ["add-rule", "add-rule"])
    }))

  test("without any answer: whether it was done is not known, and it is not looked at", () =>
    Effect.gen(function*() {
      const { asked, rules } = yield* managerOf(lost, lost, lost, lost)
      const error = yield* failsWith("OperationTimeoutError")(patiently(rules.create(urgent)))
      assert.strictEqual(error.outcome, "unknown")
      assert.strictEqual(error.attempts, 4)
      assert.deepStrictEqual(asked, Array.from({ length: 4 }, () => "add-rule"))
    }))

  test("not, where it is not usable: nothing is sent", () =>
    Effect.gen(function*() {
      const { asked, rules } = yield* managerOf()
      yield* failsWith("InvalidOptionError")(rules.create(ServiceBusRule.make("", ServiceBusRule.true)))
      yield* failsWith("InvalidOptionError")(rules.delete("a/b"))
      yield* failsWith("InvalidOptionError")(rules.get("a".repeat(51)))
      assert.deepStrictEqual(asked, [])
    }))
})

describe("a rule that is deleted", () => {
  test("once, or is not there", () =>
    Effect.gen(function*() {
      const { rules } = yield* managerOf(done, missing)
      yield* rules.delete("urgent")
      assert.strictEqual((yield* failsWith("RuleNotFoundError")(rules.delete("urgent"))).rule, "urgent")
    }))

  test("without an answer, and is not there any more", () =>
    Effect.gen(function*() {
      const { asked, rules } = yield* managerOf(lost, missing)
      yield* patiently(rules.delete("urgent"))
      assert.deepStrictEqual(asked, ["remove-rule", "remove-rule"])
    }))

  test("by another, while the service was busy: it is not there", () =>
    Effect.gen(function*() {
      const { rules } = yield* managerOf(busy, missing)
      yield* failsWith("RuleNotFoundError")(patiently(rules.delete("urgent")))
    }))
})

describe("rules that are listed", () => {
  test("page by page, until there is none, as they are pulled", () =>
    Effect.gen(function*() {
      const { asked, left, rules } = yield* managerOf(listing(["a", "1"], ["b", "2"]), busy, listing(["c", "3"]), {
        status: 204
      })
      const names = Stream.map(rules.list, (rule) => rule.name)
      assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(names, 2)), ["a", "b"])
      assert.lengthOf(left, 3)
      left.unshift(listing(["a", "1"], ["b", "2"]))
      assert.deepStrictEqual(yield* patiently(Stream.runCollect(names)), ["a", "b", "c"])
      assert.deepStrictEqual(asked.slice(1), [0, 2, 2, 3].map((skip) => `enumerate-rules ${skip}`))
    }))

  test("until the one that is asked for is found", () =>
    Effect.gen(function*() {
      const { left, rules } = yield* managerOf(listing(["a", "x"], ["b", "y"]), listing(["A", "x"]), listing())
      const found = yield* rules.get("b")
      assert.deepStrictEqual(found, Option.some({ name: "b", filter: ServiceBusRule.sql("y") }))
      assert.deepStrictEqual(yield* rules.get("a"), Option.none())
      assert.lengthOf(left, 0)
    }))
})

test("holds its node until its scope closes, and fails from then on", () =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const { asked, attached, rules } = yield* Scope.provide(managerOf(done), scope)
    assert.strictEqual(attached(), 1)
    yield* rules.create(urgent)
    assert.strictEqual(attached(), 1)
    yield* Scope.close(scope, Exit.void)
    assert.strictEqual(attached(), 0)
    for (const operation of [rules.create(urgent), rules.delete("a"), rules.get("a"), Stream.runDrain(rules.list)]) {
      assert.isTrue(
        (yield* failsWith("ServiceBusConnectionError")(operation as Effect.Effect<unknown, unknown>)).isClosed
      )
    }
    assert.deepStrictEqual(asked, ["add-rule"])
  }))
