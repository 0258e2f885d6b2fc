/** The way in: a file becomes messages, one a line, as fast as the workers take them off. */
import { Effect, Result, Stream } from "effect"
import { ServiceBusError, type ServiceBusSender } from "effect-service-bus"
import * as Flight from "./Flight.ts"
import { type JobCounter, open } from "./JobCounts.ts"
import * as lines from "./lines.ts"
import { brokenProperty } from "./routes.ts"
import { runProperty } from "./RunProcessor.ts"

/** The sender waits while more messages than this are in the subscriptions, so that a file of any size fits. */
const mostOpen = 2000

export const sendFile = (options: {
  readonly file: string
  readonly run: string
  readonly sender: ServiceBusSender.ServiceBusSender<Uint8Array>
  readonly counter: JobCounter
}) => {
  const { file, counter, run, sender } = options

  const message = ({ bytes, number }: lines.Line) => {
    const flight = Flight.decode(bytes)
    return {
      body: bytes,
      messageId: `${run}-${number}`,
      // What a run leaves behind when it is stopped goes away by itself.
      timeToLive: "10 minutes" as const,
      applicationProperties: {
        [runProperty]: run,
        line: number,
        // Rules read properties, and no bodies.
        ...(Result.isFailure(flight) ? { [brokenProperty]: flight.failure.reason } : {})
      }
    }
  }

  // A busy service has taken nothing, so that sending again is safe; after any other error it might not be.
  const whileBusy = <A>(send: Effect.Effect<A, ServiceBusError.SendError>) =>
    Effect.retry(send, {
      while: (error) => error._tag === "ServiceBusServerBusyError",
      schedule: ServiceBusError.retrySchedule
    })

  const sent = (count: number) =>
    Effect.sync(() => {
      counter.sent += count
    })

  const sendOne = (line: lines.Line) =>
    sender.send(message(line)).pipe(
      whileBusy,
      Effect.andThen(sent(1)),
      Effect.catchTag("MessageSizeExceededError", ({ _tag }) => Effect.sync(() => counter.refuse(line.number, _tag)))
    )

  const sendAll = Effect.fnUntraced(function*(chunk: ReadonlyArray<lines.Line>) {
    const whole = chunk.filter((line) => line.size === line.bytes.length)
    counter.read += chunk.length
    for (const line of chunk) {
      counter.bytes += line.size + 1
      if (line.size > line.bytes.length) counter.refuse(line.number, "LineTooLong")
    }
    yield* sender.sendAll(whole.map(message)).pipe(
      whileBusy,
      Effect.andThen(sent(whole.length)),
      // One line is too long for a message, and nothing was sent: line by line the others get through.
      Effect.catchTag("MessageSizeExceededError", () => Effect.forEach(whole, sendOne, { concurrency: 64 }))
    )
  })

  const fewAreOpen = Effect.suspend(() => open(counter.counts) > mostOpen ? Effect.sleep("5 millis") : Effect.void)
    .pipe(
      Effect.repeat({ until: () => open(counter.counts) <= mostOpen })
    )

  // A stop comes between two chunks: what is being sent has its answer first, or it would not be counted.
  return Stream.runForEachArray(
    lines.ofFile(file),
    (chunk) => Effect.andThen(fewAreOpen, Effect.uninterruptible(sendAll(chunk)))
  )
}
