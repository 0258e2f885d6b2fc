/** The main job on small files of its own: every line is accounted for, and what goes wrong is found. */
import { NodeFileSystem } from "@effect/platform-node"
import { Effect, FileSystem, Layer, Result, Stream } from "effect"
import { ServiceBusReceiver, ServiceBusRule, ServiceBusRuleManager, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { fileURLToPath } from "node:url"
import { mean } from "../../../examples/main/Airports.ts"
import * as Flight from "../../../examples/main/Flight.ts"
import * as Job from "../../../examples/main/Job.ts"
import * as JobCounts from "../../../examples/main/JobCounts.ts"
import * as lines from "../../../examples/main/lines.ts"
import * as plainPass from "../../../examples/main/plainPass.ts"
import * as Progress from "../../../examples/main/Progress.ts"
import { report } from "../../../examples/main/report.ts"
import * as routes from "../../../examples/main/routes.ts"
import { until } from "../../support/harness.ts"
import { steadily } from "../../support/steadyClock.ts"
import { assert, it } from "../../support/vitest.ts"

const entities = Flight.entities("flights")
const { broken, flights, topic } = entities

const Live = ({ maxMessageSize, ...options }: Omit<Emulator.EntityOptions, "status">) =>
  Layer.mergeAll(
    Emulator.layer({
      entities: [
        Emulator.entity(topic, maxMessageSize === undefined ? {} : { maxMessageSize }),
        Emulator.entity(flights, { maxDeliveryCount: 5, ...options }),
        Emulator.entity(broken, { maxDeliveryCount: 5, ...options })
      ]
    }),
    NodeFileSystem.layer,
    Progress.silent
  )

const flight = (id: string, fields: Record<string, unknown> = {}) => ({
  id,
  date: "2001/02/28 23:59",
  delay: 10,
  distance: 500,
  origin: "BOS",
  destination: "LAX",
  ...fields
})

const json = JSON.stringify

/** Real time, in which locks last for as much as the program does meanwhile, on a machine that is busy too. */
const test = (title: string, effect: () => Effect.Effect<void, unknown>) =>
  it.live(title, () => steadily(Effect.suspend(effect)))

/** Runs the job on a file of these lines. */
const run = Effect.fnUntraced(function*(
  content: ReadonlyArray<string | Uint8Array>,
  options: Partial<Job.Options> = {}
) {
  const fs = yield* FileSystem.FileSystem
  const file = yield* fs.makeTempFileScoped({ suffix: ".ndjson" })
  yield* fs.writeFile(file, Buffer.concat(content.flatMap((line) => [Buffer.from(line), Buffer.from("\n")])))
  return yield* Job.run({
    file,
    size: yield* lines.sizeOf(file),
    topic: topic.name,
    ready: Effect.void,
    slowFor: "2500 millis",
    stop: Effect.never,
    patience: 20,
    ...options
  })
})

const { date: _, ...undated } = flight("M1")

const day = [
  ...Array.from({ length: 300 }, (_, i) => json(flight(`F${i}`, { origin: i % 3 === 0 ? "JFK" : "BOS", delay: i }))),
  "{\"id\":",
  "",
  Uint8Array.of(0xff, 0xfe),
  json(undated),
  "{}",
  json(flight("W1", { delay: "10" })),
  "[]",
  json(flight("A1", { date: "2001/02/29 00:00" })),
  json(flight("A2", { date: "9999/12/31 00:00" })),
  json(flight("O1", { origin: "Boston" })),
  json(flight("F7", { delay: 10_000 })),
  json(flight("F8")),
  json(flight("L1", { origin: "X".repeat(3000) })),
  json(flight("L2", { origin: "X".repeat(lines.maxLine) }))
]

test("a day: every line is accounted for, and the delays are those of the file", () =>
  Effect.gen(function*() {
    const emulator = yield* Emulator.Emulator
    const { airports, counts, end, problems } = yield* run(day, { poison: "F5", slow: "F6", slowFor: "4500 millis" })
    assert.deepStrictEqual(problems, [])
    assert.strictEqual(end, "done")
    assert.deepInclude(counts, {
      read: 314,
      sent: 312,
      refused: { LineTooLong: 1, MessageSizeExceededError: 1 },
      completed: 299,
      broken: { AbsurdDate: 2, MissingField: 2, NotJson: 3, OutOfRange: 1, WrongType: 2 },
      deadLettered: { DuplicateFlight: 2, MaxDeliveryCountExceeded: 1 },
      redelivered: 4,
      uncertain: 0,
      foreign: 0
    })
    assert.isAtLeast(counts.renewals, 1)
    assert.deepStrictEqual(airports.map((airport) => [airport.airport, airport.flights, mean(airport)]), [
      ["BOS", 199, (30_000 - 5) / 199],
      ["JFK", 100, 148.5]
    ])
    for (const subscription of [flights, broken]) {
      assert.lengthOf(yield* emulator.messages(subscription), 0)
      assert.lengthOf(yield* emulator.deadLetters(subscription), 0)
      assert.deepStrictEqual((yield* emulator.rules(subscription)).map((rule) => rule.name), ["lines"])
    }
    assert.include(report({ airports, counts, end, problems }), "The counts add up")
  }).pipe(Effect.scoped, Effect.provide(Live({ lockDuration: "6 seconds", maxMessageSize: 2000 }))))

test("messages of others are handed back, and do not count", () =>
  Effect.gen(function*() {
    const emulator = yield* Emulator.Emulator
    const others = Array.from({ length: 100 }, (_, i) => ({ body: Buffer.from(json(flight(`F${i}`))) }))
    // Somebody has used the name of the rule for another one.
    const rules = yield* ServiceBusRuleManager.make(flights)
    yield* rules.create("lines", ServiceBusRule.false)
    yield* routes.set(entities)
    const sender = yield* ServiceBusSender.make(topic)
    const receiver = yield* ServiceBusReceiver.make(flights)
    yield* sender.sendAll(others.slice(0, 20))
    for (const message of yield* receiver.receive({ max: 20 })) yield* receiver.deadLetter(message)
    yield* sender.sendAll(others)
    const { counts, problems } = yield* run(day)
    assert.deepStrictEqual(problems, [])
    assert.deepInclude(counts, { sent: 312, completed: 300, foreign: 120 })
    assert.lengthOf(yield* emulator.messages(flights), 100)
    assert.lengthOf(yield* emulator.deadLetters(flights), 20)
  }).pipe(Effect.scoped, Effect.provide(Live({ maxMessageSize: 2000 }))))

test("a stop reads no further, and the counts say what is left", () =>
  Effect.gen(function*() {
    const emulator = yield* Emulator.Emulator
    const many = Array.from({ length: 20_000 }, (_, i) => json(flight(`F${i}`)))
    const { counts, end, problems } = yield* run(many, {
      slow: "F6",
      slowFor: "300 millis",
      stop: until(Effect.map(emulator.messages(flights), (messages) => messages.length > 0)).pipe(Effect.orDie)
    })
    assert.deepStrictEqual(problems, [])
    assert.strictEqual(end, "stopped")
    assert.isBelow(counts.read, many.length)
    assert.strictEqual(counts.sent, counts.read)
    const left = yield* emulator.messages(flights)
    assert.strictEqual(JobCounts.open(counts), left.length)
  }).pipe(Effect.scoped, Effect.provide(Live({}))))

test("a job in which nothing happens any more gives up, and says so", () =>
  Effect.gen(function*() {
    const { end, problems } = yield* run([json(flight("F1"))], { slow: "F1", slowFor: "3 seconds", patience: 1 })
    assert.strictEqual(end, "stalled")
    assert.deepStrictEqual(problems, ["nothing happened for 1 seconds"])
  }).pipe(Effect.scoped, Effect.provide(Live({}))))

test("a topic that is missing fails the job before it begins", () =>
  Effect.gen(function*() {
    const error = yield* Effect.flip(run(day, { topic: "missing", ready: Effect.die("it began") }))
    assert.strictEqual(error._tag, "MessagingEntityNotFoundError")
  }).pipe(Effect.scoped, Effect.provide(Live({}))))

const balanced: JobCounts.JobCounts = {
  read: 10,
  bytes: 1000,
  sent: 9,
  refused: { MessageSizeExceededError: 1 },
  completed: 6,
  broken: { NotJson: 1 },
  deadLettered: { DuplicateFlight: 1, MaxDeliveryCountExceeded: 1 },
  rejected: 1,
  redelivered: 4,
  renewals: 0,
  uncertain: 0,
  foreign: 0,
  seconds: 1,
  busySeconds: 1
}

it("counts that do not add up are found out", () => {
  const problems = (counts: Partial<JobCounts.JobCounts>, whole = true) =>
    JobCounts.problems({ ...balanced, ...counts }, { whole })
  assert.deepStrictEqual(problems({}), [])
  assert.deepStrictEqual(problems({ read: 11 }), ["read 11, but sent + refused = 10"])
  assert.deepStrictEqual(problems({ completed: 5 }), ["sent 9, but completed + broken + dead-lettered = 8"])
  assert.deepStrictEqual(problems({ broken: { NotJson: 2 } }, false), [
    "sent 9, but completed + broken + dead-lettered = 10"
  ])
  // Of a run that was stopped some messages are still in the subscriptions.
  assert.deepStrictEqual(problems({ completed: 5 }, false), [])
  assert.deepStrictEqual(problems({ rejected: 3 }), ["the workers rejected 3, but the dead-letter queue had 2"])
})

it("delays that differ from those of the plain pass are found out", () => {
  const bos = { airport: "BOS", flights: 3, minutes: 40 }
  const jfk = { airport: "JFK", flights: 3, minutes: 30 }
  const plain = { flights: 6, broken: 1, airports: [bos, jfk] }
  assert.deepStrictEqual(JobCounts.differences(balanced, [bos, jfk], plain), [])
  assert.deepStrictEqual(JobCounts.differences(balanced, [bos], plain), ["JFK is in the plain pass only"])
  assert.lengthOf(JobCounts.differences(balanced, [{ ...bos, minutes: 41 }, jfk], plain), 1)
  assert.lengthOf(JobCounts.differences({ ...balanced, completed: 5 }, [bos, jfk], plain), 1)
  assert.deepStrictEqual(JobCounts.differences({ ...balanced, broken: {} }, [bos, jfk], plain), [
    "broken 0, but the plain pass finds 1"
  ])
})

it.effect("lines come out whole, wherever the file is cut into chunks", () =>
  Effect.gen(function*() {
    const bytes = Buffer.from("one\n\nthree\r\nfünf\nlast")
    for (let size = 1; size <= bytes.length; size++) {
      const chunks = Array.from(
        { length: Math.ceil(bytes.length / size) },
        (_, i) => bytes.subarray(i * size, (i + 1) * size)
      )
      const found = yield* Stream.runCollect(lines.split(Stream.fromIterable(chunks)))
      assert.deepStrictEqual(found.map((line) => Buffer.from(line.bytes).toString()), [
        "one",
        "",
        "three\r",
        "fünf",
        "last"
      ])
      assert.deepStrictEqual(found.map((line) => line.number), [1, 2, 3, 4, 5])
    }
  }))

it.effect("a line of any length is kept up to the limit only", () =>
  Effect.gen(function*() {
    const chunk = new Uint8Array(65_536).fill(120)
    const [long, next] = yield* Stream.fromIterable(Array.from({ length: 40 }, () => chunk)).pipe(
      Stream.concat(Stream.make(Buffer.from("\nnext\n"))),
      lines.split,
      Stream.runCollect
    )
    assert.strictEqual(long!.size, 40 * 65_536)
    assert.strictEqual(long!.bytes.length, lines.maxLine)
    assert.strictEqual(Buffer.from(next!.bytes).toString(), "next")
  }))

it.live("the shipped day has the lines that its README names", () =>
  Effect.gen(function*() {
    const file = fileURLToPath(new URL("../../../examples/data/flights.ndjson", import.meta.url))
    const found: Record<string, number> = {}
    const ids = new Set<string>()
    yield* Stream.runForEach(lines.ofFile(file), ({ bytes }) =>
      Effect.sync(() => {
        const decoded = Flight.decode(bytes)
        const what = bytes.length > 262_144
          ? "over-long"
          : Result.isFailure(decoded)
          ? decoded.failure.reason
          : ids.has(decoded.success.id)
          ? "duplicate"
          : "flight"
        if (Result.isSuccess(decoded)) ids.add(decoded.success.id)
        found[what] = (found[what] ?? 0) + 1
      }))
    assert.deepStrictEqual(found, {
      flight: 20_000,
      NotJson: 45,
      MissingField: 45,
      WrongType: 45,
      AbsurdDate: 32,
      duplicate: 31,
      "over-long": 2
    })
    const plain = yield* plainPass.make({ file, poison: "F07777", refused: new Set() })
    assert.strictEqual(plain.flights, 19_999)
    // With the two that are too long.
    assert.strictEqual(plain.broken, 169)
  }).pipe(Effect.provide(NodeFileSystem.layer)))
