/**
 * For random trees of topics, subscriptions, rules and forwards, every message is found exactly where a small model says, as
 * often as it says, and nowhere else.
 */
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import * as Broker from "../../../src/emulator/broker/Broker.ts"
import * as ServiceBusRule from "../../../src/ServiceBusRule.ts"
import { ok } from "../../support/broker.ts"
import { generator } from "../../support/random.ts"
import { assert, describe, it } from "../../support/vitest.ts"

/** A queue, a topic or a subscription; of a message rules see its label, which is the first letter of its id. */
interface Place {
  readonly path: string
  readonly entity: Broker.Entity
  readonly takes: (label: string) => boolean
  readonly forwardTo: string | undefined
  readonly deadTo: string | undefined
  readonly isDisabled: boolean
  readonly needsSession: boolean
  readonly topic: string | undefined
}

const labels = ["a", "b", "c"]

const rulesOf = (
  next: (n: number) => number
): { readonly rules: ReadonlyArray<ServiceBusRule.Rule>; readonly takes: Place["takes"] } => {
  const [one, other] = [labels[next(3)]!, labels[next(3)]!]
  const correlation = ServiceBusRule.make("one", ServiceBusRule.correlation({ subject: one }))
  switch (next(6)) {
    case 0:
      return { rules: [], takes: () => false }
    case 1:
      return { rules: [ServiceBusRule.make("none", ServiceBusRule.false)], takes: () => false }
    case 2:
      return { rules: [correlation], takes: (label) => label === one }
    case 3: {
      const sql = ServiceBusRule.make("other", ServiceBusRule.sql(`sys.Label = '${other}'`))
      // One copy for all rules without an action.
      return { rules: [correlation, sql], takes: (label) => label === one || label === other }
    }
    default:
      return { rules: [ServiceBusRule.make("$Default", ServiceBusRule.true)], takes: () => true }
  }
}

/** A namespace without circles of `forwardTo`: what an entity forwards to has a greater number. Dead letters go anywhere. */
const namespaceOf = (next: (n: number) => number): ReadonlyArray<Place> => {
  const isTopic = Array.from({ length: 4 + next(6) }, () => next(3) === 0)
  const nameOf = (i: number) => `${isTopic[i]! ? "t" : "q"}${i}`
  const one = (after: number): string | undefined => {
    const left = isTopic.length - after
    return left > 0 && next(3) > 0 ? nameOf(after + next(left)) : undefined
  }
  return isTopic.flatMap((is, i): ReadonlyArray<Place> => {
    const isDisabled = next(8) === 0
    const name = nameOf(i)
    if (!is) {
      const target = next(3) === 0 ? nameOf(next(isTopic.length)) : undefined
      const deadTo = target === name ? undefined : target
      const forwardTo = one(i + 1)
      // What has sessions forwards none of its messages.
      const needsSession = next(5) === 0 && forwardTo === undefined
      // What is disabled takes nothing, and gives what it has.
      const options = {
        forwardTo,
        forwardDeadLetteredMessagesTo: deadTo,
        requiresSession: needsSession,
        status: isDisabled ? "SendDisabled" : "Active"
      } as const
      return [{
        path: name,
        entity: { name, options },
        takes: () => true,
        forwardTo,
        deadTo,
        isDisabled,
        needsSession,
        topic: undefined
      }]
    }
    const topic: Place = {
      path: name,
      entity: { kind: "topic", name, options: { status: isDisabled ? "SendDisabled" : "Active" } },
      takes: () => true,
      forwardTo: undefined,
      deadTo: undefined,
      isDisabled,
      needsSession: false,
      topic: undefined
    }
    const subscriptions = Array.from({ length: 1 + next(3) }, (_, s): Place => {
      const { rules, takes } = rulesOf(next)
      const forwardTo = one(i + 1)
      return {
        path: `${name}/Subscriptions/s${s}`,
        entity: { kind: "subscription", topic: name, name: `s${s}`, options: { rules, forwardTo } },
        takes,
        forwardTo,
        deadTo: undefined,
        isDisabled: false,
        needsSession: false,
        topic: name
      }
    })
    return [topic].concat(subscriptions)
  })
}

/** The model: where a message ends that comes to a place after so many hops. */
const endsOf = (places: ReadonlyMap<string, Place>, at: Place, label: string, hops: number): ReadonlyArray<string> => {
  const subscriptions = [...places.values()].filter(({ topic }) => topic === at.path)
  if (at.entity.kind === "topic") {
    return subscriptions.flatMap((each) => each.takes(label) ? endsOf(places, each, label, hops) : [])
  }
  const dead = `${at.path}/$DeadLetterQueue`
  /** It is dead-lettered here; where that goes on, what is disabled keeps it waiting. */
  const deadLettered = (): ReadonlyArray<string> => {
    const target = at.deadTo === undefined ? undefined : places.get(at.deadTo)!
    return target === undefined || target.isDisabled || hops === 4 ? [dead] : endsOf(places, target, label, hops + 1)
  }
  if (at.needsSession) return deadLettered()
  if (at.forwardTo === undefined) return [at.path]
  const target = places.get(at.forwardTo)!
  return target.isDisabled || hops === 4 ? deadLettered() : endsOf(places, target, label, hops + 1)
}

const read = (message: Broker.IncomingMessage) => ({
  system: (name: string) => name === "label" ? message.messageId!.slice(0, 1) : undefined,
  property: () => undefined,
  spelling: () => undefined
})

const run = Effect.fnUntraced(function*(seed: number) {
  const next = generator(seed)
  for (let i = 0; i < 5; i++) next(2)
  const list = namespaceOf((n) => next(1000 * n) % n)
  const places = new Map(list.map((place) => [place.path, place]))
  const broker = yield* Broker.make(list.map(({ entity }) => entity), { read })
  const expected = new Map<string, Array<string>>()
  const sent: Array<string> = []
  for (const place of list) {
    if (place.topic !== undefined || place.isDisabled || place.needsSession) continue
    for (const label of labels) {
      const id = `${label} ${place.path}`
      sent.push(id)
      for (const end of endsOf(places, place, label, 0)) expected.set(end, [...expected.get(end) ?? [], id])
      const message = { payload: "", messageId: id, sessionId: undefined, timeToLive: undefined }
      ok(broker.queue(place.path)!.send([message]))
    }
  }
  // What is disabled is waited for a minute at each hop.
  yield* TestClock.adjust("10 minutes")
  const found = new Map<string, Array<string>>()
  for (const queue of broker.queues()) {
    for (const each of [queue, queue.deadLetterQueue, queue.transferDeadLetterQueue]) {
      const ids = each?.messages().map(({ messageId }) => messageId!) ?? []
      if (ids.length > 0) found.set(each!.path, ids)
    }
  }
  const sorted = (ends: ReadonlyMap<string, ReadonlyArray<string>>) =>
    Object.fromEntries([...ends].map(([path, ids]) => [path, ids.toSorted()] as const))
  assert.deepStrictEqual(sorted(found), sorted(expected), `seed ${seed}`)
  return { sent: sent.length, ends: [...found.values()].reduce((sum, ids) => sum + ids.length, 0), found }
}, Effect.scoped)

describe("a message", () => {
  it.effect("is where the model says, in 400 random namespaces", () =>
    Effect.gen(function*() {
      let sent = 0
      let ends = 0
      let dead = 0
      for (let seed = 1; seed <= 400; seed++) {
        const result = yield* run(seed)
        sent += result.sent
        ends += result.ends
        for (const [path, ids] of result.found) if (path.endsWith("$DeadLetterQueue")) dead += ids.length
      }
      // The namespaces are no trivial ones.
      assert.isAbove(sent, 5000)
      assert.isAbove(ends, sent / 2)
      assert.isAbove(dead, 500)
    }))
})
