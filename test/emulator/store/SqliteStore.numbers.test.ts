/** Numbers of any size that a peer can have the broker keep are read from its file as they were. */
import { Context, DateTime, Effect, Layer, Result } from "effect"
import * as Emulator from "effect-service-bus/emulator"
import type { RestoredEntity, RestoredMessage, StoringEntity } from "../../../src/emulator/broker/Store.ts"
import type { StoredMessage } from "../../../src/emulator/broker/StoredMessage.ts"
import { SqliteStore } from "../../../src/emulator/store/SqliteStore.ts"
import * as DataFile from "../../support/dataFile.ts"
import { inMemory } from "../../support/harness.ts"
import { generator } from "../../support/random.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const random = generator(53)

/** A number of any size; most are whole. */
const numbers = [0, 0.5, -1, 2 ** 31, 2 ** 47 + 1, 2 ** 53 - 1, 2 ** 53, 2 ** 62, 2 ** 63, -(2 ** 62), 1e300, Infinity]
const any = (): number => random(3) === 0 ? numbers[random(numbers.length)]! : random(1000) * 2 ** random(100)
const maybe = (): number | undefined => random(4) === 0 ? undefined : any()

const opened = (file: string) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      Result.getOrThrow(
        SqliteStore.open({
          file,
          isSynchronous: false,
          schedule: () => {},
          later: () => {},
          now: () => 0,
          report: () => {},
          warn: () => {}
        })
      )
    ),
    (store) =>
      Effect.sync(() => {
        store.close()
      })
  )

describe("numbers in a file of a broker's data", () => {
  it.effect("are read as they were written, whatever their size", () =>
    Effect.gen(function*() {
      const file = yield* DataFile.file
      const written: Array<Record<string, unknown>> = []
      const progress = Array.from({ length: 20 }, () => ({
        lastSequence: any(),
        lastEnqueuedAt: any(),
        accessedAt: any(),
        duplicates: [{ id: "a", sequence: any(), until: any() }],
        sessions: [{ id: "s", state: Buffer.from("state"), updatedAt: any() }]
      }))
      yield* Effect.scoped(Effect.gen(function*() {
        const all = yield* opened(file)
        all.namespaces()
        const store = all.addNamespace("one")
        for (let i = 0; i < 500; i++) {
          // Those that are none of the columns are finite: whole numbers of hops, and times that a date can have.
          const others = {
            expiresAt: random(1000) * 2 ** random(100),
            hops: random(1000) * 2 ** random(100),
            enqueueNextAt: random(1000) * 2 ** random(100),
            sequenceNumber: BigInt(Number.MAX_SAFE_INTEGER) * 2n,
            firstSequenceNumber: 2n ** 63n - 1n
          }
          const incoming = {
            payload: Buffer.from("x"),
            messageId: undefined,
            sessionId: undefined,
            timeToLive: maybe(),
            propertiesSize: maybe(),
            ...others
          }
          const state = {
            sequence: any(),
            enqueuedAt: any(),
            enqueueAt: maybe(),
            expiresAt: maybe(),
            timeToLive: maybe(),
            deliveryCount: any()
          }
          written.push({ ...state, incoming: { ...incoming, payload: "x" } })
          store.changed(
            { owner: { row: 4 }, row: 0, incoming, properties: [], ...state } as unknown as StoredMessage
          )
        }
        progress.forEach((each, index) => {
          const queue = {
            row: 0,
            path: `orders${index}`,
            now: () => -Infinity,
            progress: () => ({ ...each, isInUse: false }),
            duplicates: () => each.duplicates,
            sessionState: () => each.sessions[0]
          }
          const settings = {}
          store.declared({
            declared: { kind: "queue", names: [queue.path], path: queue.path, settings },
            queue,
            createdAt: 0,
            updatedAt: 0,
            kept: undefined
          } as unknown as StoringEntity)
          store.advanced(queue as never)
          store.sessionChanged(queue as never, "s")
        })
        assert.isTrue(Result.isSuccess(all.serve()))
      }))
      const all = yield* opened(file)
      const [{ store }] = all.namespaces() as [ReturnType<typeof all.namespaces>[number]]
      const read: Array<Record<string, unknown>> = []
      store.messages(
        (_, { deliveryCount, enqueueAt, enqueuedAt, expiresAt, incoming, sequence, timeToLive }: RestoredMessage) => {
          const { firstSequenceNumber, hops, messageId, payload, propertiesSize, sequenceNumber, sessionId } = incoming
          read.push({
            sequence,
            enqueuedAt,
            enqueueAt,
            expiresAt,
            timeToLive,
            deliveryCount,
            incoming: {
              payload: String(payload),
              messageId,
              sessionId,
              timeToLive: incoming.timeToLive,
              propertiesSize,
              expiresAt: incoming.expiresAt,
              hops,
              enqueueNextAt: incoming.enqueueNextAt,
              sequenceNumber,
              firstSequenceNumber
            }
          })
        }
      )
      assert.deepStrictEqual(read, written)
      assert.deepStrictEqual(
        store.entities().map(({ accessedAt, duplicates, lastEnqueuedAt, lastSequence, sessions }: RestoredEntity) => ({
          lastSequence,
          lastEnqueuedAt,
          accessedAt,
          duplicates,
          sessions: sessions.map((each) => ({ ...each, state: Buffer.from(each.state) }))
        })),
        progress
      )
    }))

  it.effect("leave a broker that can be opened again", () =>
    Effect.gen(function*() {
      const file = yield* DataFile.file
      const open = Effect.map(
        Layer.build(inMemory({ data: file, entities: [Emulator.entity("orders")] })),
        (context) => Context.get(context, Emulator.Emulator)
      )
      yield* Effect.scoped(Effect.flatMap(open, (emulator) =>
        // Between these two are more than 2^53 milliseconds.
        emulator.send("orders", [{
          body: Buffer.from("x"),
          creationTime: DateTime.makeUnsafe(-8.64e15),
          absoluteExpiryTime: DateTime.makeUnsafe(8.64e15)
        }])))
      const found = yield* Effect.scoped(Effect.flatMap(open, (emulator) => emulator.messages("orders")))
      assert.strictEqual(found.length, 1)
    }))
})
