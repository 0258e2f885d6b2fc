/** What a broker holds is there again after the process that had it was killed, and after one that ended. */
import { Context, DateTime, Effect, Layer, Redacted } from "effect"
import {
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusReceiver,
  ServiceBusRule,
  ServiceBusSender,
  ServiceBusSession
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { TestClock } from "effect/testing"
import * as DataFile from "../../support/dataFile.ts"
import { Carts, entities, fill, Once } from "../../support/everything.ts"
import { both, idsOf, Texts } from "../../support/harness.ts"
import { assert, describe, it } from "../../support/vitest.ts"

both((name, layerFor) => {
  describe(`a broker with a file ${name}`, () => {
    it.effect("is after a kill what it was", () =>
      Effect.gen(function*() {
        const file = yield* DataFile.file
        const startAt = DateTime.makeUnsafe("2026-02-28T23:59:59.999Z")
        const options = { clock: "manual", startAt } as const
        const copy = yield* DataFile.file
        const before = yield* Effect.gen(function*() {
          yield* fill
          const emulator = yield* Emulator.Emulator
          yield* emulator.idle
          yield* DataFile.killed(file, copy)
          return yield* emulator.dump()
        }).pipe(
          Effect.scoped,
          Effect.provide(layerFor({ ...options, data: file, entities: [Emulator.entity(Texts), ...entities] }))
        )
        const again = Context.get(
          yield* Layer.build(layerFor({ ...options, data: copy, entities: [] })),
          Emulator.Emulator
        )
        // A lock that ended with the process is one that was lost.
        const lost = JSON.stringify(before, null, 1).replace(
          /("deliveryCount": )0(,\s*"messageId": "locked")/,
          (_, name: string, rest: string) => `${name}1${rest}`
        )
        assert.notStrictEqual(lost, JSON.stringify(before, null, 1))
        assert.strictEqual(JSON.stringify(yield* again.dump(), null, 1), lost)
        yield* again.send(Once, [{ body: "x again", messageId: "x" }])
        assert.deepStrictEqual(idsOf(yield* again.messages(Once)), ["x", "b", "a", "\0\x01"])
      }))

    it.effect("has the key that it had, and goes on with its numbers", () =>
      Effect.gen(function*() {
        const file = yield* DataFile.file
        const once = Effect.gen(function*() {
          const { connectionString } = yield* Emulator.Emulator
          const sender = yield* ServiceBusSender.make(Texts)
          const receiver = yield* ServiceBusReceiver.make(Texts)
          yield* sender.send({ body: "a" })
          const [message] = yield* receiver.receive({ max: 1 })
          yield* receiver.complete(message!)
          return [connectionString, message!.sequenceNumber] as const
        }).pipe(
          Effect.scoped,
          Effect.provide(layerFor({ data: file, entities: [Emulator.entity(Texts)] }))
        )
        const [, first] = yield* once
        const [, second] = yield* once
        assert.deepStrictEqual([first, second], [1n, 2n])
      }))

    it.effect("does at once what came due meanwhile, in its order", () =>
      Effect.gen(function*() {
        const file = yield* DataFile.file
        const at = yield* Emulator.now
        const Expiring = Emulator.entity(Texts, { deadLetteringOnExpiration: true })
        const open = (startAt: DateTime.Utc, entities: ReadonlyArray<Emulator.Entity> = []) =>
          Effect.map(
            Layer.build(layerFor({ clock: "manual", startAt, data: file, entities })),
            (context) => Context.get(context, Emulator.Emulator)
          )
        yield* Effect.scoped(Effect.gen(function*() {
          const context = yield* Layer.build(
            layerFor({
              clock: "manual",
              startAt: at,
              data: file,
              entities: [
                Expiring,
                Emulator.entity(Once, { duplicateDetectionWindow: "1 hour" }),
                Emulator.entity("idle", { autoDeleteOnIdle: "1 hour" }),
                Emulator.entity("used", { autoDeleteOnIdle: "4 hours" })
              ]
            })
          )
          const emulator = Context.get(context, Emulator.Emulator)
          const sender = yield* Effect.provide(ServiceBusSender.make(Texts), context)
          yield* sender.schedule({ body: "second", messageId: "second" }, "2 hours")
          yield* sender.schedule({ body: "first", messageId: "first" }, "1 hour")
          yield* emulator.send(Texts, [{ body: "short", messageId: "short", timeToLive: "1 hour" }])
          yield* emulator.send(Once, [{ body: "x", messageId: "x" }])
        }))
        const again = yield* open(DateTime.add(at, { hours: 3 }))
        yield* again.idle
        assert.deepStrictEqual(idsOf(yield* again.messages(Texts)), ["first", "second"])
        assert.deepStrictEqual((yield* again.messages(Texts)).map(({ sequenceNumber }) => sequenceNumber), [4n, 5n])
        const [short] = yield* again.deadLetters(Texts)
        assert.deepStrictEqual([short!.messageId, short!.deadLetterReason], ["short", "TTLExpiredException"])
        yield* again.send(Once, [{ body: "x again", messageId: "x" }])
        assert.deepStrictEqual(idsOf(yield* again.messages(Once)), ["x", "x"])
        yield* again.runtime("used")
        const gone = yield* Effect.flip(again.runtime("idle"))
        assert.strictEqual(gone.reason, "notFound")
      }))

    it.effect("begins where what an entity forwards to was deleted, and goes on where it is made again", () =>
      Effect.gen(function*() {
        const data = yield* DataFile.file
        const run = <A, E>(use: (emulator: Emulator.Emulator["Service"]) => Effect.Effect<A, E>) =>
          Effect.flatMap(Emulator.Emulator, use).pipe(Effect.scoped, Effect.provide(layerFor({ data, entities: [] })))
        yield* run((emulator) =>
          Effect.gen(function*() {
            yield* emulator.create(Emulator.entity(Once))
            yield* emulator.create(Emulator.entity(Texts, { forwardTo: Once.path }))
            yield* emulator.delete(Once.path)
            yield* emulator.send(Texts, [{ body: "waits", messageId: "waits" }])
          })
        )
        yield* run((emulator) =>
          Effect.gen(function*() {
            assert.deepStrictEqual(idsOf(yield* emulator.messages(Texts)), ["waits"])
            yield* emulator.create(Emulator.entity(Once))
            yield* emulator.idle
            assert.deepStrictEqual(idsOf(yield* emulator.messages(Once)), ["waits"])
          })
        )
      }))

    it.effect("remembers for duplicate detection what came after a clock that had gone back", () =>
      Effect.gen(function*() {
        const data = yield* DataFile.file
        const startAt = DateTime.makeUnsafe("2026-01-01T00:00:00Z")
        const entity = Emulator.entity(Once, { duplicateDetectionWindow: "1 hour" })
        const run = (days: number, ids: ReadonlyArray<string>) =>
          Effect.gen(function*() {
            const emulator = yield* Emulator.Emulator
            yield* emulator.advance(`${days} days`)
            // One in each commit.
            for (const messageId of ids) {
              yield* emulator.send(Once, [{ body: messageId, messageId }])
              yield* emulator.idle
            }
            return idsOf(yield* emulator.messages(Once))
          }).pipe(Effect.scoped, Effect.provide(layerFor({ clock: "manual", startAt, data, entities: [entity] })))
        yield* run(1, ["first"])
        yield* run(0, ["x", "y", "z"])
        assert.deepStrictEqual(yield* run(0, ["x", "y", "z"]), ["first", "x", "y", "z"])
      }))

    it.effect("dead-letters what expired meanwhile where it was, and forwards it no more", () =>
      Effect.gen(function*() {
        const data = yield* DataFile.file
        const at = DateTime.makeUnsafe("2026-01-01T00:00:00Z")
        const From = Emulator.entity(Texts, { forwardTo: Once.path, deadLetteringOnExpiration: true })
        yield* Effect.flatMap(
          Emulator.Emulator,
          (emulator) => emulator.send(Texts, [{ body: "short", messageId: "short", timeToLive: "1 minute" }])
        ).pipe(
          Effect.scoped,
          Effect.provide(layerFor({
            clock: "manual",
            startAt: at,
            data,
            entities: [From, Emulator.entity(Once, { status: "SendDisabled" })]
          }))
        )
        const again = Context.get(
          yield* Layer.build(layerFor({
            clock: "manual",
            startAt: DateTime.add(at, { hours: 1 }),
            data,
            entities: [Emulator.entity(Once, { status: "Active" })]
          })),
          Emulator.Emulator
        )
        yield* again.advance("1 second")
        assert.deepStrictEqual(idsOf(yield* again.messages(Once)), [])
        assert.deepStrictEqual(idsOf(yield* again.deadLetters(Texts)), ["short"])
      }))

    it.effect("is as full as it was, by its messages and the states of its sessions", () =>
      Effect.gen(function*() {
        const data = yield* DataFile.file
        const layer = layerFor({ data, entities: [Emulator.entity(Carts, { maxSize: 3000 })] })
        const send = (emulator: Emulator.Emulator["Service"], length: number) =>
          emulator.send(Carts, [{ body: "x".repeat(length), sessionId: "s" }])
        yield* Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* send(emulator, 1000)
          const session = yield* ServiceBusSession.accept(Carts, "s")
          yield* session.setState(new Uint8Array(1000) as never)
        }).pipe(Effect.scoped, Effect.provide(layer))
        yield* Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          assert.include((yield* Effect.flip(send(emulator, 1500))).message, "The maximum entity size has been reached")
          yield* send(emulator, 500)
        }).pipe(Effect.scoped, Effect.provide(layer))
      }))

    it.effect("knows for duplicate detection what came after a reset, and what was loaded", () =>
      Effect.gen(function*() {
        const data = yield* DataFile.file
        const layer = layerFor({ data, entities: [Emulator.entity(Once, { duplicateDetectionWindow: "1 hour" })] })
        const send = (emulator: Emulator.Emulator["Service"], ...ids: ReadonlyArray<string>) =>
          Effect.andThen(
            emulator.send(Once, ids.map((messageId) => ({ body: messageId, messageId }))),
            Effect.map(emulator.messages(Once), idsOf)
          )
        yield* Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* send(emulator, "before", "both")
          yield* emulator.idle
          yield* emulator.reset(Once.path)
          yield* send(emulator, "both")
        }).pipe(Effect.scoped, Effect.provide(layer))
        const dump = yield* Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          assert.deepStrictEqual(yield* send(emulator, "both", "before"), ["both", "before"])
          const dump = yield* emulator.dump()
          yield* emulator.reset(Once.path)
          yield* emulator.idle
          yield* emulator.load(dump)
          return dump
        }).pipe(Effect.scoped, Effect.provide(layer))
        yield* Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          assert.deepStrictEqual(yield* emulator.dump(), dump)
          assert.deepStrictEqual(yield* send(emulator, "both", "before"), ["both", "before"])
        }).pipe(Effect.scoped, Effect.provide(layer))
      }))

    it.effect("takes no idle time from what was attached to when the process ended", () =>
      Effect.gen(function*() {
        const data = yield* DataFile.file
        const copy = yield* DataFile.file
        const at = DateTime.makeUnsafe("2026-01-01T00:00:00Z")
        const entities = [Texts, Once].map((each) => Emulator.entity(each, { autoDeleteOnIdle: "1 hour" }))
        yield* Effect.gen(function*() {
          yield* ServiceBusReceiver.make(Texts)
          yield* Effect.flatMap(Emulator.Emulator, ({ idle }) => idle)
          yield* DataFile.killed(data, copy)
        }).pipe(Effect.scoped, Effect.provide(layerFor({ clock: "manual", startAt: at, data, entities })))
        const again = Context.get(
          yield* Layer.build(
            layerFor({ clock: "manual", startAt: DateTime.add(at, { hours: 3 }), data: copy, entities: [] })
          ),
          Emulator.Emulator
        )
        yield* again.runtime(Texts)
        assert.strictEqual((yield* Effect.flip(again.runtime(Once))).reason, "notFound")
        yield* again.advance("1 hour")
        assert.strictEqual((yield* Effect.flip(again.runtime(Texts))).reason, "notFound")
      }))

    it.effect("has its namespaces, by use and made, with their keys", () =>
      Effect.gen(function*() {
        const file = yield* DataFile.file
        const key = Redacted.make("a key of team-a")
        const options = { namespaces: "any", data: file, entities: [Emulator.entity(Texts)] } as const
        const layer = layerFor(options)
        const times = Effect.flatMap(Emulator.Emulator, ({ namespaces }) =>
          Effect.map(namespaces, (all) =>
            all.map(({ createdAt }) => DateTime.toEpochMillis(createdAt))))
        let createdAt: ReadonlyArray<number> = []
        const made = yield* Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          const team = yield* emulator.createNamespace({ name: "team-a", key, entities: [Emulator.entity(Once)] })
          yield* team.send(Once, [{ body: "a", messageId: "a" }])
          yield* emulator.createNamespace({ name: "gone" })
          yield* emulator.removeNamespace("gone")
          yield* emulator.send(Texts, [{ body: "default", messageId: "default" }])
          createdAt = yield* times
          return Redacted.value(team.connectionString)
        }).pipe(Effect.scoped, Effect.provide(layer))
        yield* TestClock.adjust("1 hour")
        yield* Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          const names = (yield* emulator.namespaces).map(({ isByUse, name }) =>
            `${name} ${isByUse}`
          )
          assert.deepStrictEqual(names, ["default false", "team-a false"])
          assert.deepStrictEqual(yield* times, createdAt)
          const team = yield* emulator.namespace("team-a")
          const keyIn = (text: string) => text.split(";").find((part) => part.startsWith("SharedAccessKey="))
          assert.strictEqual(keyIn(Redacted.value(team.connectionString)), keyIn(made))
          assert.deepStrictEqual(idsOf(yield* team.messages(Once)), ["a"])
          assert.deepStrictEqual(idsOf(yield* emulator.messages(Texts)), ["default"])
          yield* team.reset()
          assert.deepStrictEqual(idsOf(yield* team.messages(Once)), [])
        }).pipe(Effect.scoped, Effect.provide(layerFor(options)))
      }))

    it.effect("has entities be as they are declared, in what is given, and refuses by name what cannot be changed", () =>
      Effect.gen(function*() {
        const file = yield* DataFile.file
        const start = <A, E>(
          entities: ReadonlyArray<Emulator.Entity>,
          use: (emulator: typeof Emulator.Emulator.Service) => Effect.Effect<A, E>
        ) =>
          Effect.flatMap(Emulator.Emulator, use).pipe(
            Effect.scoped,
            Effect.provide(layerFor({ data: file, entities }))
          )
        const rule = (name: string, sql: string) => ServiceBusRule.make(name, ServiceBusRule.sql(sql))
        const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
        const Sport = ServiceBusEntity.subscription(News, "sport")
        yield* start(
          [Emulator.entity("orders", { lockDuration: "30 seconds" }), Emulator.entity(News), Emulator.entity(Sport)],
          (emulator) =>
            Effect.andThen(
              emulator.update("orders", { maxDeliveryCount: 3 }),
              emulator.send("orders", [{ body: Buffer.from("kept") }])
            )
        )
        const dump = yield* start(
          [
            Emulator.entity("orders", { lockDuration: "20 seconds" }),
            Emulator.entity(News),
            Emulator.entity(Sport, { rules: [rule("red", "color = 'red'")] })
          ],
          (emulator) => emulator.dump()
        )
        const of = (name: string) => dump.entities.find((each) => each.name === name)!
        const { messages, options } = of("orders") as Extract<typeof dump.entities[number], { kind: "queue" }>
        assert.deepStrictEqual(
          [options!.lockDuration, options!.maxDeliveryCount, messages!.length],
          ["PT20S", 3, 1]
        )
        const { rules } = of("sport") as Extract<typeof dump.entities[number], { kind: "subscription" }>
        assert.deepStrictEqual(rules!.map(({ name }) => name), ["$Default", "red"])
        const refused = yield* Effect.flip(
          start([Emulator.entity("orders", { requiresSession: true })], () => Effect.void)
        )
        assert.include(
          refused.message,
          "queue \"orders\": the file has it with requiresSession false, which cannot be changed"
        )
        const other = yield* Effect.flip(start([Emulator.entity(ServiceBusEntity.topic("orders", {
          body: ServiceBusBody.text
        }))], () => Effect.void))
        assert.include(other.message, "the file has a queue of this name")
      }))
  })
})
