/**
 * A processor for the messages of one run on an entity that may be shared: what others have put there is held and handed
 * back when the processor ends, at the price of one delivery. A held message does not take a worker away.
 */
import { Data, Deferred, Effect } from "effect"
import { type ServiceBusError, ServiceBusProcessor, type ServiceBusReceiver, Settlement } from "effect-service-bus"

/** The application property that marks the messages of a run. */
export const runProperty = "run"

/** More messages of others than this are not held; it is more than a run leaves behind when it is stopped. */
const mostForeign = 4000

/** The entity holds too much of others. */
export class EntityInUse extends Data.TaggedError("EntityInUse")<{ readonly entity: string }> {
  override get message(): string {
    return `"${this.entity}" holds more than ${mostForeign} messages that are not of this run. Give the job a topic of its own.`
  }
}

export interface RunProcessor {
  readonly counts: Effect.Effect<ServiceBusProcessor.Counts & { readonly foreign: number }>
  /** Takes no more messages, lets handlers finish, and hands back what is not finished in time. */
  readonly end: Effect.Effect<void>
  /** Never succeeds. */
  readonly join: Effect.Effect<never, ServiceBusError.ReceiveError | EntityInUse>
}

export const make = Effect.fnUntraced(function*<A, E, R>(
  receiver: ServiceBusReceiver.ServiceBusReceiver<A>,
  options: {
    readonly run: string
    readonly handler: ServiceBusProcessor.Handler<A, E, R>
    readonly concurrency: number
    readonly prefetch: number
  }
) {
  const { concurrency, handler, prefetch, run } = options
  const over = yield* Deferred.make<void>()
  const inUse = yield* Deferred.make<never, EntityInUse>()
  let foreign = 0

  const hold = Effect.suspend(() => {
    foreign++
    return foreign > mostForeign
      ? Deferred.fail(inUse, new EntityInUse({ entity: receiver.entity }))
      : Effect.orDie(processor.setConcurrency(concurrency + foreign))
  }).pipe(
    Effect.andThen(Deferred.await(over)),
    Effect.as(Settlement.abandon())
  )

  const processor: ServiceBusProcessor.Processor = yield* ServiceBusProcessor.make(
    receiver,
    (body: A, message) => message.applicationProperties[runProperty] === run ? handler(body, message) : hold,
    // What is held is held for the whole run.
    { concurrency, prefetch, maxLockRenewal: "1 day", drainTimeout: "5 seconds" }
  )

  // What is held is handed back once no more comes in, or it would come again at once.
  const end = processor.pause.pipe(
    Effect.andThen(Deferred.succeed(over, undefined)),
    Effect.andThen(processor.drain),
    Effect.asVoid
  )
  yield* Effect.addFinalizer(() => end)

  return {
    counts: Effect.map(processor.counts, (counts) => ({ ...counts, foreign })),
    end,
    join: Effect.raceFirst(processor.join, Deferred.await(inUse))
  } satisfies RunProcessor
})
