/**
 * What is done with a message: by a worker, among the broken lines, and in the dead-letter queue. What a handler
 * knows to be wrong it settles itself; what it does not know goes on as a typed failure, and the processor abandons.
 */
import { Data, type Duration, Effect, Result } from "effect"
import { type ServiceBusMessage, Settlement } from "effect-service-bus"
import { Delays } from "./Airports.ts"
import type * as Flight from "./Flight.ts"
import type { JobCounter } from "./JobCounts.ts"

export interface Special {
  /** The id of a flight whose handler always fails. */
  readonly poison?: string | undefined
  /** The id of a flight whose handler takes `slowFor`. */
  readonly slow?: string | undefined
  readonly slowFor: Duration.Input
}

class DuplicateFlight extends Data.TaggedError("DuplicateFlight")<{ readonly description: string }> {}

class PoisonFlight extends Data.TaggedError("PoisonFlight")<{ readonly id: string }> {}

/** The handler of the workers, and the delays that they have learned from all flights. */
export const worker = ({ poison, slow, slowFor }: Special, counter: JobCounter) => {
  const delays = new Delays()
  // To recognise duplicates every id is remembered: this is what grows with the file.
  const seen = new Map<string, { readonly sequenceNumber: bigint; counted: boolean }>()

  // Deliveries are at least once: the same message again is not a duplicate, another message with the same id is.
  const recognise = (id: string, sequenceNumber: bigint) => {
    const before = seen.get(id)
    if (before === undefined) {
      const first = { sequenceNumber, counted: false }
      seen.set(id, first)
      return Result.succeed(first)
    }
    return before.sequenceNumber === sequenceNumber
      ? Result.succeed(before)
      : Result.fail(new DuplicateFlight({ description: `${id} came before, as message ${before.sequenceNumber}` }))
  }

  const handler = Effect.fnUntraced(
    function*(
      line: Flight.Line,
      message: ServiceBusMessage.LockedMessage<unknown>
    ) {
      if (message.deliveryCount > 0) counter.redelivered++
      const { delay, id, origin } = yield* Effect.fromResult(line)
      const record = yield* Effect.fromResult(recognise(id, message.sequenceNumber))
      if (id === poison) return yield* new PoisonFlight({ id })
      if (id === slow) yield* Effect.sleep(slowFor)
      if (!record.counted) {
        record.counted = true
        delays.add(origin, delay)
      }
      return Settlement.complete
    },
    Effect.catchTags({
      BrokenLine: ({ description, reason }) => Effect.succeed(Settlement.deadLetter({ reason, description })),
      DuplicateFlight: ({ _tag, description }) => Effect.succeed(Settlement.deadLetter({ reason: _tag, description }))
    })
  )
  return { delays, handler }
}

/** The handler of broken lines: each is counted once, by what is wrong with it. */
export const countBroken = (counter: JobCounter) => {
  const seen = new Set<bigint>()
  return (line: Flight.Line, message: ServiceBusMessage.LockedMessage<unknown>) =>
    Effect.sync(() => {
      if (message.deliveryCount > 0) counter.redelivered++
      if (seen.has(message.sequenceNumber)) return
      seen.add(message.sequenceNumber)
      // One that is a flight is none of these: the plain pass finds it missing elsewhere.
      counter.break(Result.isFailure(line) ? line.failure.reason : "NotBroken")
    })
}

/** The handler of dead letters: each is counted once, and removed from the queue. */
export const countDeadLetter = (counter: JobCounter) => {
  const seen = new Set<bigint>()
  return (_: unknown, message: ServiceBusMessage.LockedMessage<unknown>) =>
    Effect.sync(() => {
      if (seen.has(message.sequenceNumber)) return
      seen.add(message.sequenceNumber)
      counter.deadLetter(message.deadLetterReason ?? "no reason")
    })
}
