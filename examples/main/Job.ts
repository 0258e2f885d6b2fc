/**
 * The job: a day of flights goes through a queue. A sender streams the file in, workers take the messages off, a clerk
 * reads the dead-letter queue, and in the end the books must add up. It needs a client and a file system and does not
 * care which: the embedded broker and a real namespace are two layers.
 */
import { Clock, Effect } from "effect"
import { ServiceBusEntity, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import { randomUUID } from "node:crypto"
import type { Airport } from "./Airports.ts"
import * as Books from "./Books.ts"
import * as Crew from "./Crew.ts"
import * as Flight from "./Flight.ts"
import * as handlers from "./handlers.ts"
import * as plainPass from "./plainPass.ts"
import { Progress } from "./Progress.ts"
import { sendFile } from "./sending.ts"

export interface Options extends handlers.Special {
  readonly file: string
  /** The size of the file, of which progress is a part. */
  readonly size: number
  readonly queue: string
  /** Run once the queue is there and work begins. */
  readonly ready: Effect.Effect<unknown>
  /** The job stops when this is done: it reads no further and lets the workers finish what they have. */
  readonly stop: Effect.Effect<unknown>
  /** The job gives up when nothing happens for so long, in seconds. */
  readonly patience: number
}

export interface Report {
  readonly end: "done" | "stopped" | "stalled" | "failed"
  readonly books: Books.Books
  readonly airports: ReadonlyArray<Airport>
  /** What does not add up. */
  readonly problems: ReadonlyArray<string>
}

/** How many messages are in work at a time. */
const workers = 32

export const run = Effect.fnUntraced(function*(options: Options) {
  const progress = yield* Progress
  const clock = yield* Clock.Clock
  const ledger = new Books.Ledger()
  const { delays, handler } = handlers.worker(options, ledger)
  const problems: Array<string> = []
  const id = randomUUID()

  const end = yield* Effect.gen(function*() {
    const queue = Flight.queue(options.queue)
    const sender = yield* ServiceBusSender.make(queue)
    const crew = yield* Crew.make(yield* ServiceBusReceiver.make(queue), {
      run: id,
      concurrency: workers,
      prefetch: 256,
      handler
    })
    const clerk = yield* Crew.make(yield* ServiceBusReceiver.make(ServiceBusEntity.deadLetter(queue)), {
      run: id,
      concurrency: workers,
      prefetch: workers,
      handler: handlers.clerk(ledger)
    })

    yield* options.ready
    const now = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e9
    const started = now()
    let [then, finished] = [started, 0]

    /** Brings the books up to date. */
    const look = Effect.gen(function*() {
      const counts = yield* crew.counts
      ledger.completed = counts.completed
      ledger.rejected = counts.deadLettered
      ledger.renewals = counts.renewals
      ledger.uncertain = counts.lockLost + counts.unsettled
      ledger.foreign = counts.foreign + (yield* clerk.counts).foreign
      const time = now()
      ledger.seconds = time - started
      const { books } = ledger
      if (Books.finished(books) > finished) ledger.busySeconds += time - then
      finished = Books.finished(books)
      then = time
      return books
    })

    /** Tells the person, and ends when nothing has happened for too long. */
    const watch = Effect.gen(function*() {
      let [signs, alive] = ["", 0]
      for (;;) {
        const books = yield* look
        const before = signs
        signs = [books.read, Books.finished(books), books.redelivered, books.renewals].join()
        if (signs !== before) alive = books.seconds
        else if (books.seconds - alive > options.patience) {
          problems.push(`nothing happened for ${options.patience} seconds`)
          return "stalled" as const
        }
        yield* progress.show(books, options.size)
        yield* Effect.sleep("20 millis")
      }
    })

    const settled = Effect.repeat(Effect.andThen(Effect.sleep("10 millis"), look), {
      until: (books) => Books.open(books) === 0
    })

    const work = sendFile({ file: options.file, run: id, sender, ledger }).pipe(
      Effect.andThen(settled),
      Effect.as("done" as const)
    )
    const stop = Effect.as(options.stop, "stopped" as const)
    const end = yield* Effect.raceAllFirst([work, stop, watch, crew.join, clerk.join]).pipe(
      // What was done until then is in the books all the same.
      Effect.catch((error) => {
        problems.push(error.message)
        return Effect.succeed("failed" as const)
      })
    )
    yield* progress.end(end)
    yield* crew.end
    // The clerk has still to see what the workers rejected last.
    yield* Effect.repeat(Effect.andThen(Effect.sleep("10 millis"), look), {
      until: (books) => Books.sum(books.deadLettered) >= books.rejected
    }).pipe(Effect.timeoutOption("5 seconds"))
    yield* clerk.end
    yield* look
    return end
  }).pipe(Effect.scoped)

  const airports = delays.ranking()
  const whole = end === "done" || end === "stalled"
  problems.push(...Books.problems(ledger.books, { whole }))
  if (whole) {
    const plain = yield* plainPass.make({ file: options.file, poison: options.poison, refused: ledger.refusedLines })
    problems.push(...Books.differences(ledger.books, airports, plain))
  }
  return { end, books: ledger.books, airports, problems } satisfies Report
})
