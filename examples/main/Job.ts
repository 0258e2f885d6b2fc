/**
 * The job: a day of flights goes through a topic. A sender streams the file in, rules route flights to one subscription and
 * broken lines to another, workers take the flights off, other processors count and remove broken lines and dead letters, and in
 * the end the counts must add up. It needs a client and a file system
 * and does not care which: the embedded broker and a real namespace are two layers.
 */
import { Clock, Effect } from "effect"
import { ServiceBusEntity, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import { randomUUID } from "node:crypto"
import type { Airport } from "./Airports.ts"
import * as Flight from "./Flight.ts"
import * as handlers from "./handlers.ts"
import * as JobCounts from "./JobCounts.ts"
import * as plainPass from "./plainPass.ts"
import { Progress } from "./Progress.ts"
import * as routes from "./routes.ts"
import * as RunProcessor from "./RunProcessor.ts"
import { sendFile } from "./sending.ts"

export interface Options extends handlers.Special {
  readonly file: string
  /** The size of the file, of which progress is a part. */
  readonly size: number
  readonly topic: string
  /** Run once the topic and its subscriptions are there and work begins. */
  readonly ready: Effect.Effect<unknown>
  /** The job stops when this is done: it reads no further and lets the workers finish what they have. */
  readonly stop: Effect.Effect<unknown>
  /** The job gives up when nothing happens for so long, in seconds. */
  readonly patience: number
}

export interface Report {
  readonly end: "done" | "stopped" | "stalled" | "failed"
  readonly counts: JobCounts.JobCounts
  readonly airports: ReadonlyArray<Airport>
  /** What does not add up. */
  readonly problems: ReadonlyArray<string>
}

/** How many messages are in work at a time. */
const concurrency = 32

export const run = Effect.fnUntraced(function*(options: Options) {
  const progress = yield* Progress
  const clock = yield* Clock.Clock
  const counter = new JobCounts.JobCounter()
  const { delays, handler } = handlers.worker(options, counter)
  const problems: Array<string> = []
  const id = randomUUID()

  const end = yield* Effect.gen(function*() {
    const entities = Flight.entities(options.topic)
    yield* routes.set(entities)
    const sender = yield* ServiceBusSender.make(entities.topic)
    const workers = yield* RunProcessor.make(yield* ServiceBusReceiver.make(entities.flights), {
      run: id,
      concurrency,
      prefetch: 256,
      handler
    })
    const broken = yield* RunProcessor.make(yield* ServiceBusReceiver.make(entities.broken), {
      run: id,
      concurrency,
      prefetch: concurrency,
      handler: handlers.countBroken(counter)
    })
    const deadLetters = yield* RunProcessor.make(
      yield* ServiceBusReceiver.make(ServiceBusEntity.deadLetter(entities.flights)),
      { run: id, concurrency, prefetch: concurrency, handler: handlers.countDeadLetter(counter) }
    )

    yield* options.ready
    const now = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e9
    const started = now()
    let [then, finished] = [started, 0]

    /** Brings the counts up to date. */
    const look = Effect.gen(function*() {
      const processed = yield* workers.counts
      counter.completed = processed.completed
      counter.rejected = processed.deadLettered
      counter.renewals = processed.renewals
      counter.uncertain = processed.lockLost + processed.unsettled
      counter.foreign = processed.foreign + (yield* broken.counts).foreign + (yield* deadLetters.counts).foreign
      const time = now()
      counter.seconds = time - started
      const { counts } = counter
      if (JobCounts.finished(counts) > finished) counter.busySeconds += time - then
      finished = JobCounts.finished(counts)
      then = time
      return counts
    })

    /** Tells the person, and ends when nothing has happened for too long. */
    const watch = Effect.gen(function*() {
      let [signs, alive] = ["", 0]
      for (;;) {
        const counts = yield* look
        const before = signs
        signs = [counts.read, JobCounts.finished(counts), counts.redelivered, counts.renewals].join()
        if (signs !== before) alive = counts.seconds
        else if (counts.seconds - alive > options.patience) {
          problems.push(`nothing happened for ${options.patience} seconds`)
          return "stalled" as const
        }
        yield* progress.show(counts, options.size)
        yield* Effect.sleep("20 millis")
      }
    })

    const settled = Effect.repeat(Effect.andThen(Effect.sleep("10 millis"), look), {
      until: (counts) => JobCounts.open(counts) === 0
    })

    const work = sendFile({ file: options.file, run: id, sender, counter }).pipe(
      Effect.andThen(settled),
      Effect.as("done" as const)
    )
    const stop = Effect.as(options.stop, "stopped" as const)
    const end = yield* Effect.raceAllFirst([work, stop, watch, workers.join, broken.join, deadLetters.join]).pipe(
      // What was done until then is counted all the same.
      Effect.catch((error) => {
        problems.push(error.message)
        return Effect.succeed("failed" as const)
      })
    )
    yield* progress.end(end)
    yield* workers.end
    // What the workers dead-lettered last has still to be counted.
    yield* Effect.repeat(Effect.andThen(Effect.sleep("10 millis"), look), {
      until: (counts) => JobCounts.sum(counts.deadLettered) >= counts.rejected
    }).pipe(Effect.timeoutOption("5 seconds"))
    yield* broken.end
    yield* deadLetters.end
    yield* look
    return end
  }).pipe(Effect.scoped)

  const airports = delays.ranking()
  const whole = end === "done" || end === "stalled"
  problems.push(...JobCounts.problems(counter.counts, { whole }))
  if (whole) {
    const plain = yield* plainPass.make({ file: options.file, poison: options.poison, refused: counter.refusedLines })
    problems.push(...JobCounts.differences(counter.counts, airports, plain))
  }
  return { end, counts: counter.counts, airports, problems } satisfies Report
})
