/** The ledger of the broker that is killed sees each thing that it is there for. */
import { assert, describe, it } from "../support/vitest.ts"
import { bodyOf, deadLettersOf, Ledger, type Outcome } from "./Ledger.ts"

const place = "orders"

/** A ledger with one message that was accepted. */
const withOne = (options: { readonly session?: number; readonly due?: number } = {}) => {
  const ledger = new Ledger()
  const { due, session } = options
  ledger.intend({
    id: "a",
    places: [place],
    due,
    session: session === undefined ? undefined : { id: "s", number: session }
  })
  ledger.accepted("test", "a")
  return ledger
}

const came = (sequenceNumber: bigint, id = "a", deliveryCount = 0, sessionId?: string) => ({
  id,
  body: bodyOf(id),
  sequenceNumber,
  deliveryCount,
  sessionId
})

const settle = (ledger: Ledger, sequenceNumber: bigint, outcome: Outcome, at = place) =>
  ledger.settled(ledger.settling("test", at, sequenceNumber, outcome))

const kill = (ledger: Ledger) => {
  ledger.life++
}

const finds = (ledger: Ledger, ...patterns: ReadonlyArray<RegExp>) => {
  ledger.finish()
  assert.strictEqual(ledger.violations.length, patterns.length, ledger.violations.join("\n"))
  patterns.forEach((pattern, index) => assert.match(ledger.violations[index]!, pattern))
}

describe("the ledger of a broker that is killed", () => {
  it("finds nothing where all is right", () => {
    const ledger = withOne()
    ledger.delivered("test", place, came(1n))
    kill(ledger)
    ledger.delivered("test", place, came(1n, "a", 1))
    settle(ledger, 1n, "abandon")
    ledger.delivered("test", place, came(1n, "a", 2))
    settle(ledger, 1n, "defer")
    ledger.delivered("test", place, came(1n, "a", 2), true)
    settle(ledger, 1n, "deadLetter")
    ledger.delivered("test", deadLettersOf(place), came(1n, "a", 2))
    settle(ledger, 1n, "complete", deadLettersOf(place))
    finds(ledger)
  })

  it("finds what was accepted and is lost", () => finds(withOne(), /a was accepted and never came to orders/))

  it("takes a message whose sending was not answered either way", () => {
    const ledger = new Ledger()
    ledger.intend({ id: "a", places: [place] })
    ledger.intend({ id: "b", places: [place] })
    ledger.delivered("test", place, came(1n))
    settle(ledger, 1n, "complete")
    finds(ledger)
  })

  it("finds what was delivered and is lost", () => {
    const ledger = withOne()
    ledger.delivered("test", place, came(1n))
    kill(ledger)
    finds(ledger, /is delivered, and nowhere any more/)
  })

  it("finds what was completed and comes back", () => {
    const ledger = withOne()
    ledger.delivered("test", place, came(1n))
    settle(ledger, 1n, "complete")
    kill(ledger)
    ledger.delivered("test", place, came(1n, "a", 1))
    settle(ledger, 1n, "complete")
    finds(ledger, /comes though it is completed/)
  })

  it("takes a completion that was not answered either way", () => {
    const ledger = withOne()
    ledger.intend({ id: "b", places: [place] })
    ledger.delivered("test", place, came(1n))
    ledger.delivered("test", place, came(2n, "b"))
    ledger.settling("test", place, 1n, "complete")
    ledger.settling("test", place, 2n, "complete")
    kill(ledger)
    ledger.delivered("test", place, came(2n, "b", 1))
    settle(ledger, 2n, "complete")
    finds(ledger)
  })

  it("takes an abandoned message that another client gets before the first is told", () => {
    const ledger = withOne()
    ledger.delivered("test", place, came(1n))
    const first = ledger.settling("test", place, 1n, "abandon")
    ledger.delivered("other", place, came(1n, "a", 1))
    const second = ledger.settling("other", place, 1n, "complete")
    ledger.settled(first)
    ledger.settled(second)
    finds(ledger)
  })

  it("finds a dead letter that is lost, and one that comes back", () => {
    const ledger = withOne()
    ledger.delivered("test", place, came(1n))
    settle(ledger, 1n, "deadLetter")
    finds(ledger, /was dead-lettered and is no dead letter/)
    const other = withOne()
    other.delivered("test", place, came(1n))
    settle(other, 1n, "deadLetter")
    other.delivered("test", place, came(1n))
    settle(other, 1n, "complete")
    finds(other, /comes though it is deadLettered/)
  })

  it("finds a deferred message that is lost, and one that comes by itself", () => {
    const ledger = withOne()
    ledger.delivered("test", place, came(1n))
    settle(ledger, 1n, "defer")
    assert.deepStrictEqual(ledger.deferred(place), [1n])
    ledger.delivered("test", place, came(1n))
    settle(ledger, 1n, "defer")
    finds(ledger, /comes by itself/, /is deferred, and nowhere any more/)
  })

  it("finds a number that is given twice, to a message that is there or was", () => {
    const ledger = withOne()
    ledger.delivered("test", place, came(1n))
    settle(ledger, 1n, "complete")
    ledger.intend({ id: "b", places: [place] })
    ledger.delivered("test", place, came(1n, "b"))
    ledger.intend({ id: "c", places: [place] })
    ledger.delivered("test", place, came(0n, "c"))
    settle(ledger, 0n, "complete")
    finds(ledger, /has the number that a had/, /was given before/)
  })

  it("finds a message that is there twice, at a wrong place, or never was", () => {
    const ledger = withOne()
    ledger.delivered("test", place, came(1n))
    ledger.delivered("test", place, came(2n))
    ledger.delivered("test", "news", came(1n))
    ledger.delivered("test", place, came(3n, "z"))
    settle(ledger, 1n, "complete")
    settle(ledger, 2n, "complete")
    settle(ledger, 1n, "complete", "news")
    finds(ledger, /is there twice/, /does not belong there/, /was never sent/)
  })

  it("finds another body, and a delivery count that does not grow", () => {
    const ledger = withOne()
    ledger.delivered("test", place, { ...came(1n), body: "other" })
    kill(ledger)
    ledger.delivered("test", place, came(1n))
    settle(ledger, 1n, "complete")
    finds(ledger, /another body/, /delivery count stays 0/)
  })

  it("finds a session that is out of order, and a state that is lost", () => {
    const ledger = withOne({ session: 1 })
    ledger.intend({ id: "b", places: [place], session: { id: "s", number: 0 } })
    ledger.delivered("test", place, came(1n, "a", 0, "s"))
    ledger.delivered("test", place, came(2n, "b", 0, "s"))
    settle(ledger, 1n, "complete")
    settle(ledger, 2n, "complete")
    ledger.settingState(place, "s", "1")
    ledger.stateSet("test", place, "s", "1")
    ledger.settingState(place, "s", "2")
    ledger.stateRead(place, "s", "2")
    ledger.stateRead(place, "s", "1")
    ledger.stateRead(place, "s", undefined)
    finds(ledger, /comes after the 1 of its session/, /has the state 1, and 2 was set/, /has the state undefined/)
  })

  it("finds what was cancelled and comes, and what comes too early", () => {
    const ledger = withOne({ due: Date.now() + 60_000 })
    ledger.delivered("test", place, came(1n))
    settle(ledger, 1n, "complete")
    ledger.intend({ id: "b", places: [place] })
    ledger.cancelling("b")
    ledger.cancelled("test", "b")
    ledger.delivered("test", place, came(2n, "b"))
    settle(ledger, 2n, "complete")
    finds(ledger, /comes before its time/, /comes though it was cancelled/)
  })
})
