/**
 * Settlements that cannot be written as they were said: cut where that is harmless, refused or dead-lettered otherwise.
 */
import { ServiceBusProcessor, ServiceBusReceiver, ServiceBusSender, Settlement } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Schedule from "effect/Schedule"
import {
  both,
  failsWith,
  type LayerFor,
  type Name,
  passing,
  reached,
  testsOf,
  Texts,
  texts,
  until
} from "../support/harness.ts"
import { assert, describe } from "../support/vitest.ts"

const long = "at frame (file.ts:1:1)\n".repeat(1000)

/** Properties that no message may have. */
const bad: ReadonlyArray<readonly [string, Settlement.Properties]> = [
  ["a symbol", { good: 1, bad: Symbol("x") as never }],
  ["a function", { good: 1, bad: (() => {}) as never }],
  ["an invalid date", { good: 1, bad: new Date(NaN) }],
  ["a list", { good: 1, bad: [1, 2] }],
  ["a map", { good: 1, bad: { a: 1 } }],
  ["more than 32 KB", { good: 1, bad: "x".repeat(33_000) }],
  ["half of a surrogate pair", { good: 1, bad: "\ud800" }],
  ["a key that is not ASCII", { good: 1, größe: 1 }],
  [
    "a getter that throws",
    Object.defineProperty({ good: 1 }, "bad", {
      enumerable: true,
      get: () => {
        throw new Error("thrown")
      }
    })
  ]
]

/** Runs an effect and gives the texts of the warnings that it logged. */
const warnings = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const lines: Array<string> = []
    const logger = Logger.make<unknown, void>(({ logLevel, message }) => {
      if (logLevel === "Warn") lines.push(String(Array.isArray(message) ? message[0] : message))
    })
    return Effect.as(Effect.provide(effect, Logger.layer([logger])), lines)
  })

/** What no receiver can write: each is refused where it is called, and costs its message nothing in a processor. */
const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { clock, test } = testsOf(name, layerFor)

    test("a long reason and description are cut to 4096 characters, and a warning says so once", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(8))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const messages = yield* receiver.receive({ max: 8 })
        const full = "d".repeat(4096)
        assert.deepStrictEqual(
          yield* warnings(receiver.deadLetter(messages[0]!, { reason: full, description: full })),
          []
        )
        const one = yield* warnings(receiver.deadLetter(messages[1]!, { reason: `${full}e`, description: `${full}e` }))
        assert.lengthOf(one, 1)
        assert.include(one[0], "The reason and the description of a dead letter")
        // No half of a pair at the end.
        yield* receiver.deadLetter(messages[2]!, { reason: "r", description: "x" + "😀".repeat(2048) })
        yield* receiver.deadLetter(messages[3]!, { reason: "", description: "😀".repeat(2048) })
        const many = yield* warnings(
          receiver.settleAll(messages.slice(4, 6), Settlement.deadLetter({ reason: "Error", description: long }))
        )
        assert.lengthOf(many, 1)
        assert.include(many[0], "The description of a dead letter")
        const token = yield* receiver.handOver(messages[6]!)
        const byToken = yield* warnings(
          ServiceBusReceiver.settleByToken(Texts, [token], Settlement.deadLetter({ reason: long }))
        )
        assert.lengthOf(byToken, 1)
        // By its lock token where the link is lost.
        yield* emulator.detachLinks({ condition: "amqp:link:detach-forced" }, Texts)
        yield* emulator.idle
        yield* passing(receiver.deadLetter(messages[7]!, { description: long }))
        assert.deepStrictEqual(
          (yield* emulator.deadLetters(Texts)).map((letter) => [
            letter.deadLetterReason,
            letter.deadLetterErrorDescription
          ]),
          [
            [full, full],
            [full, full],
            ["r", "x" + "😀".repeat(2047)],
            ["", "😀".repeat(2048)],
            ["Error", long.slice(0, 4096)],
            ["Error", long.slice(0, 4096)],
            [long.slice(0, 4096), undefined],
            [undefined, long.slice(0, 4096)]
          ]
        )
      }))

    test("texts that are no text, and what is no settlement, are refused where it is called", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [message] = yield* receiver.receive()
        for (const reason of [5, null, {}, "half \ud800"] as unknown as ReadonlyArray<never>) {
          const error = yield* receiver.deadLetter(message!, { reason }).pipe(failsWith("MessageEncodeError"))
          assert.deepInclude(error, { part: "reason", operation: "settle", entity: "texts" })
          yield* receiver.deadLetter(message!, { description: reason }).pipe(failsWith("MessageEncodeError"))
        }
        for (const settlement of [undefined, null, "x", {}, { _tag: "x" }, []] as unknown as ReadonlyArray<never>) {
          yield* receiver.settle(message!, settlement).pipe(failsWith("InvalidOptionError"))
          yield* receiver.settleAll([message!], settlement).pipe(failsWith("InvalidOptionError"))
        }
        for (const delay of ["x", Infinity, NaN, -1, {}, null] as unknown as ReadonlyArray<never>) {
          yield* receiver.settle(message!, Settlement.retryAfter(delay)).pipe(failsWith("InvalidOptionError"))
          yield* receiver.settle(message!, { _tag: "RetryAfter", delay }).pipe(failsWith("InvalidOptionError"))
        }
        for (const [, properties] of bad) {
          for (const make of [Settlement.abandon, Settlement.defer, Settlement.deadLetter]) {
            yield* receiver.settle(message!, make({ properties })).pipe(failsWith("MessageEncodeError"))
          }
        }
        yield* receiver.abandon(message!, { properties: new Map([["a", 1]]) as never }).pipe(
          failsWith("MessageEncodeError")
        )
        yield* receiver.deadLetter(message!, {
          reason: "r".repeat(4096),
          properties: { a: "x".repeat(31_000), b: "x".repeat(31_000) }
        }).pipe(failsWith("MessageEncodeError"))
        yield* receiver.complete(message!)
        assert.strictEqual((yield* emulator.counters(Texts)).completed, 1)
      }))

    test("what a handler gives by mistake is told by its kind, never by what it says", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* emulator.send(Texts, texts(1))
        const logged = yield* warnings(Effect.scoped(Effect.gen(function*() {
          const processor = yield* ServiceBusProcessor.make(
            receiver,
            () => Effect.succeed("Bearer SECRET-TOKEN" as unknown as Settlement.Settlement)
          )
          yield* passing(reached(processor, ({ deadLettered }) => deadLettered === 1))
        })))
        const [letter] = yield* emulator.deadLetters(Texts)
        assert.include(letter!.deadLetterErrorDescription, "a string")
        assert.notInclude(letter!.deadLetterErrorDescription, "SECRET")
        assert.notInclude(logged.map(String).join(), "SECRET")
      }))

    test("in a processor: a dead letter keeps what can be written", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const said: Record<string, Settlement.Settlement> = {
          long: Settlement.deadLetter({ reason: "Invalid", description: long }),
          half: Settlement.deadLetter({ reason: "Inv\ud800alid", description: 5 as never }),
          map: Settlement.deadLetter({ reason: "Invalid", properties: new Map() as never }),
          ...Object.fromEntries(bad.map(([key, properties]) => [
            key,
            Settlement.deadLetter({ reason: "Invalid", description: key, properties })
          ]))
        }
        const ids = Object.keys(said)
        yield* emulator.send(Texts, ids.map((messageId) => ({ body: "", messageId })))
        const runs: Array<string> = []
        const logged = yield* warnings(Effect.scoped(Effect.gen(function*() {
          const processor = yield* ServiceBusProcessor.make(receiver, (_, { messageId }) => {
            runs.push(messageId)
            // From the handler or from `onFailure`.
            return runs.length % 2 === 0 ? Effect.succeed(said[messageId]!) : Effect.fail("no")
          }, { onFailure: (_, { messageId }) => said[messageId]! })
          yield* passing(reached(processor, ({ deadLettered }) => deadLettered === ids.length))
          assert.deepInclude(yield* processor.counts, { received: ids.length, released: 0 })
        })))
        assert.deepStrictEqual(runs, ids)
        assert.lengthOf(
          logged.filter((line) => line.includes("could not be written") || line.includes("was cut")),
          ids.length
        )
        const letters = yield* emulator.deadLetters(Texts)
        const of = (id: string) => letters.find(({ messageId }) => messageId === id)!
        assert.deepInclude(of("long"), {
          deadLetterReason: "Invalid",
          deadLetterErrorDescription: long.slice(0, 4096)
        })
        assert.deepInclude(of("half"), {
          deadLetterReason: "Inv\ufffdalid",
          deadLetterErrorDescription: undefined
        })
        assert.strictEqual(of("map").deadLetterReason, "Invalid")
        for (const [key] of bad) {
          assert.deepInclude(of(key), { deadLetterReason: "Invalid", deadLetterErrorDescription: key })
          assert.deepStrictEqual(of(key).applicationProperties, {
            good: 1,
            DeadLetterReason: "Invalid",
            DeadLetterErrorDescription: key
          })
          assert.isTrue(logged.some((line) => line.includes("properties \"")), key)
        }
      }))

    const others: ReadonlyArray<readonly [string, string, Settlement.Settlement]> = [
      ...bad.flatMap(([what, properties]) =>
        [Settlement.abandon({ properties }), Settlement.defer({ properties })].map((settlement) =>
          [`${settlement._tag} with ${what}`, "MessageEncodeError", settlement] as const
        )
      ),
      ["retryAfter of an infinite delay", "InvalidOptionError", Settlement.retryAfter(Infinity)],
      ["retryAfter of no delay", "InvalidOptionError", Settlement.retryAfter("x" as never)],
      [
        "retryAfter of a schedule with such a step",
        "InvalidOptionError",
        Settlement.retryAfter(Schedule.spaced(Infinity))
      ]
    ]

    test("in a processor without onFailure: anything else is dead-lettered at once, and says why", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* emulator.send(Texts, texts(others.length))
        let runs = 0
        const processor = yield* ServiceBusProcessor.make(receiver, (_, { messageId }) => {
          runs++
          return Effect.succeed(others[Number(messageId)]![2])
        })
        yield* passing(reached(processor, ({ deadLettered }) => deadLettered === others.length))
        assert.strictEqual(runs, others.length)
        assert.deepInclude(yield* processor.counts, { received: runs, failed: runs, released: 0 })
        const letters = yield* emulator.deadLetters(Texts)
        assert.deepStrictEqual(letters.map((letter) => letter.deadLetterReason), others.map(([, tag]) => tag))
        for (const letter of letters) assert.include(letter.deadLetterErrorDescription, "settle on \"texts\"")
      }))

    test("in a processor: onFailure is asked why, once; what it cannot say either is dead-lettered", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* emulator.send(Texts, texts(others.length))
        const asked: Array<unknown> = []
        let runs = 0
        const processor = yield* ServiceBusProcessor.makeBatched(receiver, (messages) => {
          runs++
          return Effect.succeed(messages.map(({ messageId }) => others[Number(messageId)]![2]))
        }, {
          size: others.length,
          within: "5 seconds",
          onFailure: (cause, { messageId }) => {
            const [reason] = cause.reasons
            asked.push(reason?._tag === "Die" ? (reason.defect as { readonly _tag: string })._tag : reason?._tag)
            return Number(messageId) % 2 === 0 ? Settlement.complete : others[Number(messageId)]![2]
          }
        })
        yield* passing(
          until(
            Effect.map(processor.counts, ({ completed, deadLettered }) => completed + deadLettered === others.length)
          )
        )
        assert.strictEqual(runs, 1)
        assert.deepStrictEqual(asked.toSorted(), others.map(([, tag]) => tag).toSorted())
        assert.deepInclude(yield* processor.counts, { received: others.length, released: 0, unsettled: 0 })
        const letters = yield* emulator.deadLetters(Texts)
        assert.deepStrictEqual(
          letters.map(({ deadLetterReason, messageId }) => [messageId, deadLetterReason]).toSorted(),
          others.flatMap(([, tag], i) => i % 2 === 0 ? [] : [[String(i), tag]]).toSorted()
        )
      }))

    test("in a processor: what is no settlement is a failure of its handler", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const nonsense = [
          "a string",
          null,
          5,
          {},
          { _tag: "x" },
          [],
          [Settlement.complete],
          Promise.resolve(),
          () => {}
        ]
        yield* emulator.send(Texts, texts(nonsense.length))
        const causes: Array<string> = []
        const processor = yield* ServiceBusProcessor.make(
          receiver,
          (_, { messageId }) => Effect.succeed(nonsense[Number(messageId)] as never),
          {
            onFailure: (cause, { messageId }) => {
              causes.push(String(Cause.squash(cause)))
              // It may give nonsense too.
              return Number(messageId) < 4 ? nonsense[Number(messageId)] as never : Settlement.complete
            }
          }
        )
        yield* passing(
          until(
            Effect.map(processor.counts, ({ completed, deadLettered }) => completed + deadLettered === nonsense.length)
          )
        )
        assert.deepInclude(yield* processor.counts, {
          received: nonsense.length,
          failed: nonsense.length,
          completed: nonsense.length - 4,
          deadLettered: 4
        })
        assert.lengthOf(causes, nonsense.length)
        for (const cause of causes) assert.match(cause, /settlement is not usable/)
        const letters = yield* emulator.deadLetters(Texts)
        for (const letter of letters) assert.strictEqual(letter.deadLetterReason, "InvalidOptionError")
      }))

    clock(
      "the copy of a retry whose properties have no space for what it adds: dead-lettered, and the others go on",
      () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          const sender = yield* ServiceBusSender.make(Texts)
          const properties = (length: number) => ({
            a: "x".repeat(32_000),
            b: "x".repeat(32_000),
            c: "x".repeat(length)
          })
          yield* sender.sendAll([
            { body: "", messageId: "0" },
            { body: "", messageId: "1", applicationProperties: properties(1_000) },
            { body: "", messageId: "2" }
          ])
          // As large as a message may be.
          for (let length = 1_500;; length--) {
            const exit = yield* Effect.exit(
              sender.send({ body: "", messageId: "3", applicationProperties: properties(length) })
            )
            if (exit._tag === "Success") break
          }
          const receiver = yield* ServiceBusReceiver.make(Texts)
          const processor = yield* ServiceBusProcessor.makeBatched(
            receiver,
            () => Effect.succeed(Settlement.retryAfter("1 hour")),
            { size: 4, within: "1 second" }
          )
          const manual = yield* ServiceBusReceiver.make(Texts)
          yield* passing(
            until(Effect.map(processor.counts, ({ deadLettered, retried }) => deadLettered + retried === 4))
          )
          assert.deepInclude(yield* processor.counts, { received: 4, deadLettered: 1, retried: 3, failed: 1 })
          yield* processor.drain
          const [letter] = yield* emulator.deadLetters(Texts)
          // There is no space for our reason either.
          assert.deepInclude(letter, { messageId: "3", deadLetterReason: "HeaderSizeExceeded" })
          // What has less space is put off or refused here, never by the broker.
          const seen = new Set<string>()
          for (let length = 1_000; length < 1_500; length += 7) {
            const exit = yield* Effect.exit(sender.send({ body: "", applicationProperties: properties(length) }))
            if (exit._tag === "Failure") {
              break
            }
            const [message] = yield* manual.receive()
            const settled = yield* Effect.exit(manual.settle(message!, Settlement.retryAfter("1 hour")))
            if (settled._tag === "Failure") {
              yield* manual.complete(message!)
            }
            seen.add(settled._tag === "Success" ? "put off" : (Cause.squash(settled.cause) as { _tag: string })._tag)
          }
          assert.deepStrictEqual([...seen], ["put off", "MessageEncodeError"])
        })
    )
  })

describe("Settlements that cannot be written", () => both(suite))
