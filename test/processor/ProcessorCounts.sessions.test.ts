/** The counts of a session processor add up, whatever its handlers and its sessions do. */
import {
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusProcessor,
  ServiceBusSession,
  Settlement
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Schema from "effect/Schema"
import { inMemory, passing } from "../support/harness.ts"
import { assert, describe, it } from "../support/vitest.ts"

const Carts = ServiceBusEntity.queue("carts", { body: ServiceBusBody.text, sessions: true })

const Behaviour = Schema.Literals([
  "void",
  "complete",
  "abandon",
  "defer",
  "deadLetter",
  "retry",
  "fail",
  "die",
  "hang",
  "interrupt",
  "slow",
  "cut",
  "lose",
  "throw in onFailure"
])

const Step = Schema.Literals([
  "pause",
  "resume",
  "1",
  "3",
  "wait",
  "wait long",
  "send",
  "cut",
  "lose",
  "lose by name",
  "busy",
  "refuse"
])

const Hook = Schema.Literals(["void", "slow", "fail", "die", "hang"])

const integer = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const lost = { condition: "com.microsoft:session-lock-lost" }

/** What a handler does with a message that it sees for the first time; later it completes it. */
const act = Effect.fnUntraced(function*(behaviour: typeof Behaviour.Type) {
  const emulator = yield* Emulator.Emulator
  switch (behaviour) {
    case "void":
      return undefined
    case "complete":
      return Settlement.complete
    case "abandon":
      return Settlement.abandon()
    case "defer":
      return Settlement.defer()
    case "deadLetter":
      return Settlement.deadLetter({ reason: "property" })
    case "retry":
      return Settlement.retryAfter("3 seconds")
    case "fail":
    case "throw in onFailure":
      return yield* Effect.fail(behaviour)
    case "die":
      return yield* Effect.die(behaviour)
    // Until its session is lost.
    case "hang":
      return yield* Effect.never
    case "interrupt":
      return yield* Effect.interrupt
    case "slow":
      return yield* Effect.as(Effect.sleep("12 seconds"), Settlement.complete)
    // While it is at work, or while its settlement is on its way.
    case "cut":
      yield* emulator.dropConnections
      return Settlement.complete
    case "lose":
      yield* emulator.detachLinks(lost, Carts)
      return Settlement.complete
  }
})

const entities = [Emulator.entity(Carts, { lockDuration: "10 seconds", maxDeliveryCount: 2000 })]
const broker = Layer.merge(inMemory({ entities }), Logger.layer([]))

describe("The counts of a session processor", () => {
  it.effect.prop(
    "every delivery has one outcome, sessions and handlers are never too many, order holds, and nothing stays locked",
    {
      behaviours: Schema.Array(Behaviour).check(Schema.isMaxLength(20)),
      steps: Schema.Array(Step).check(Schema.isMaxLength(12)),
      hooks: Schema.Array(Hook).check(Schema.isMaxLength(3)),
      sessions: integer(1, 4),
      concurrentSessions: integer(1, 3),
      callsPerSession: integer(1, 2),
      prefetch: integer(0, 2),
      share: integer(0, 4)
    },
    ({ behaviours, callsPerSession, concurrentSessions, hooks, prefetch, sessions, share, steps }) =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const problems: Array<string> = []
        const held = new Map<string, number>()
        let limit = concurrentSessions
        let sent = 0
        let open = 0
        const ordered = callsPerSession === 1 && prefetch === 0
        const hook = (nth: number) =>
          Effect.suspend((): Effect.Effect<void, string> => {
            const kind = hooks[nth % hooks.length] ?? "void"
            if (nth > 5 || kind === "void") return Effect.void
            if (kind === "slow") return Effect.sleep("3 seconds")
            if (kind === "fail") return Effect.fail(kind)
            if (kind === "die") return Effect.die(kind)
            return Effect.never
          })
        let opened = 0
        let closed = 0
        const processor = yield* ServiceBusProcessor.makeSessions(
          Carts,
          (_, message, { sessionId }) =>
            Effect.gen(function*() {
              if (message.sessionId !== sessionId) problems.push("a message of another session")
              yield* Effect.acquireRelease(
                Effect.sync(() => {
                  const running = (held.get(sessionId) ?? 0) + 1
                  held.set(sessionId, running)
                  if (running > callsPerSession) problems.push(`${running} calls`)
                }),
                () => Effect.sync(() => void held.set(sessionId, held.get(sessionId)! - 1))
              )
              if (ordered) {
                const before = (yield* emulator.messages(Carts)).filter((other) =>
                  other.sessionId === sessionId && other.state === "active" &&
                  other.sequenceNumber < message.sequenceNumber
                )
                if (before.length > 0) problems.push(`${message.sequenceNumber} before ${before[0]!.sequenceNumber}`)
              }
              const isNew = message.deliveryCount === 0 && message.retryAttempt === 0 && !seen.has(message.messageId)
              seen.add(message.messageId)
              return isNew ? yield* act(behaviours[Number(message.messageId) % behaviours.length] ?? "void") : undefined
            }),
          {
            concurrentSessions,
            callsPerSession,
            prefetch,
            idleTimeout: "2 seconds",
            ...(share === 0 ? {} : { messagesPerSession: share }),
            maxLockRenewal: "25 seconds",
            drainTimeout: "5 seconds",
            onFailure: (_, message) => {
              if (behaviours[Number(message.messageId) % behaviours.length] === "throw in onFailure") {
                throw new Error("thrown")
              }
              return Settlement.abandon()
            },
            open: () =>
              Effect.andThen(
                Effect.acquireRelease(
                  Effect.sync(() => {
                    if (++open > limit) problems.push(`${open} of ${limit} sessions`)
                  }),
                  () => Effect.sync(() => void open--)
                ),
                hook(opened++)
              ),
            close: () => hook(closed++)
          }
        )
        const seen = new Set<string>()
        const send = Effect.suspend(() => {
          const from = sent
          sent += behaviours.length
          return emulator.send(
            Carts,
            behaviours.map((body, i) => ({
              body,
              messageId: String(from + i),
              sessionId: `s${(from + i) % sessions}`
            }))
          )
        })
        yield* send
        for (const step of steps) {
          switch (step) {
            case "pause":
              yield* passing(processor.pause)
              break
            case "resume":
              yield* processor.resume
              break
            case "send":
              yield* send
              break
            case "cut":
              yield* emulator.dropConnections
              break
            case "lose":
              yield* emulator.detachLinks(lost, Carts)
              break
            case "lose by name":
              yield* emulator.fail({ operation: "renew", error: lost, entity: Carts })
              break
            case "busy":
            case "refuse": {
              const condition = step === "busy" ? "com.microsoft:server-busy" : "amqp:not-allowed"
              yield* emulator.fail({ operation: "settle", error: { condition }, entity: Carts })
              break
            }
            case "wait":
            case "wait long":
              yield* passing(Effect.sleep(step === "wait" ? "2 seconds" : "31 seconds"), "1 second")
              break
            default:
              limit = Math.max(limit, Number(step))
              yield* processor.setConcurrentSessions(Number(step))
          }
          const counts = yield* processor.counts
          assert.isAtMost(
            counts.completed + counts.abandoned + counts.deferred + counts.deadLettered + counts.retried +
              counts.lockLost + counts.unsettled + counts.released,
            counts.received
          )
          assert.isAtMost(counts.held, limit)
          yield* emulator.idle
        }
        const report = yield* passing(processor.drain, "1 second")
        assert.deepStrictEqual(problems, [])
        assert.strictEqual(report.received, report.settled + report.released + report.expired)
        assert.isTrue([...held.values()].every((running) => running === 0))
        assert.deepInclude(report, { held: 0 })
        assert.strictEqual(open, 0)
        yield* emulator.idle
        const counters = yield* emulator.counters(Carts)
        const within = (name: "completed" | "abandoned" | "deferred" | "deadLettered", least: number, more = 0) => {
          assert.isAtLeast(counters[name], least, name)
          assert.isAtMost(counters[name], least + report.unsettled + more, name)
        }
        assert.isAtLeast(counters.delivered, report.received)
        within("completed", report.completed + report.retried)
        // What has no link any more is given back by abandoning it.
        within("abandoned", report.abandoned, report.released)
        within("deferred", report.deferred)
        within("deadLettered", report.deadLettered)
        assert.strictEqual(
          counters.completed + (yield* emulator.messages(Carts)).length + (yield* emulator.deadLetters(Carts)).length,
          counters.enqueued
        )
        // At once, not when locks end.
        for (let i = 0; i < sessions; i++) {
          const now = yield* DateTime.now
          // What was scheduled goes on to say so when it is enqueued.
          const active = (yield* emulator.messages(Carts)).filter(({ scheduledEnqueueTime, sessionId, state }) =>
            sessionId === `s${i}` &&
            (state === "active" || state === "scheduled" && DateTime.isLessThanOrEqualTo(scheduledEnqueueTime!, now))
          )
          const session = yield* passing(ServiceBusSession.accept(Carts, `s${i}`), "1 second")
          if (active.length === 0) continue
          const messages = yield* session.receive({ max: active.length })
          assert.deepStrictEqual(
            messages.map(({ sequenceNumber }) => sequenceNumber),
            active.map(({ sequenceNumber }) => sequenceNumber)
          )
        }
      }).pipe(Effect.scoped, Effect.provide(broker)),
    { timeout: 240_000, arbitrary: { seed: 11, runs: 300 } }
  )
})
