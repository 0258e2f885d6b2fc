/**
 * The embedded broker as a state machine: queues, their dead-letter queues, locks and expiry, without a wire.
 *
 * Everything on it is a plain synchronous function, because it is called from socket callbacks; time is Effect's Clock
 * alone. Delivery is at least once in peek-lock mode and at most once in receive-and-delete mode; nothing outlives the
 * scope in which the broker was made.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { EmulatorError } from "../ServiceBusError.ts"
import * as Alarm from "./Alarm.ts"
import * as BrokerQueue from "./BrokerQueue.ts"
import type { Queue } from "./Queue.ts"
import * as QueueOptions from "./QueueOptions.ts"

export type {
  Attachment,
  Consumer,
  Counters,
  Delivery,
  IncomingMessage,
  Queue,
  Refusal,
  StoredMessage
} from "./Queue.ts"
export type { QueueOptions, QueueSettings } from "./QueueOptions.ts"

/**
 * An entity to make a broker with.
 *
 * @category models
 */
export interface Entity {
  readonly name: string
  readonly options?: QueueOptions.QueueOptions | undefined
}

/**
 * A broker.
 *
 * @category models
 */
export interface Broker {
  /**
   * The queue of a path such as `orders` or `orders/$DeadLetterQueue`: case does not matter, nor do slashes at its
   * ends.
   */
  readonly queue: (path: string) => Queue | undefined
  /** The declared queues, in the order of their declaration; each knows its dead-letter queue. */
  readonly queues: () => ReadonlyArray<Queue>
}

/**
 * Makes a broker with these queues. Fails with `EmulatorError` for an option out of range and for a name that is empty,
 * reserved or given twice. When the scope closes its timer ends and every further operation is refused as
 * `EntityNotFound`.
 *
 * @category constructors
 */
export const make: (entities: ReadonlyArray<Entity>) => Effect.Effect<Broker, EmulatorError, Scope.Scope> = Effect
  .fnUntraced(function*(entities: ReadonlyArray<Entity>) {
    const clock = yield* Clock.Clock
    const declared: Array<{ readonly name: string; readonly settings: QueueOptions.QueueSettings }> = []
    const names = new Set<string>()
    for (const entity of entities) {
      const name = trim(entity.name)
      const problem = nameProblem(name, names)
      if (problem !== undefined) return yield* new EmulatorError({ problem })
      names.add(name.toLowerCase())
      declared.push({ name, settings: yield* Effect.fromResult(QueueOptions.settings(name, entity.options)) })
    }

    const alarm = yield* Alarm.make<BrokerQueue.Entry>(BrokerQueue.onDue)
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    const report = (queue: string, defect: unknown) =>
      void fork(Effect.logError(`A consumer of "${queue}" failed and is detached`, Cause.die(defect)))
    const room: BrokerQueue.Room = { clock, alarm, report, closed: false }
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        room.closed = true
      })
    )
    const queues: Array<Queue> = []
    const byPath = new Map<string, Queue>()
    for (const { name, settings } of declared) {
      const queue = BrokerQueue.make(room, name, settings)
      queues.push(queue)
      for (const each of [queue, queue.deadLetterQueue!]) byPath.set(each.path.toLowerCase(), each)
    }
    return {
      queue: (path) => byPath.get(trim(path).toLowerCase()),
      queues: () => queues
    }
  })

const trim = (path: string): string => path.replace(/^[/\s]+|[/\s]+$/g, "")

const nameProblem = (name: string, taken: ReadonlySet<string>): string | undefined => {
  if (name === "") return "a queue needs a name"
  if (name.length > 260) return `queue "${name.slice(0, 32)}…": a name has at most 260 characters`
  if (/(^|\/)(\$|\/)/.test(name)) return `queue "${name}": no part of a name is empty or begins with "$"`
  if (taken.has(name.toLowerCase())) return `queue "${name}" is declared twice`
  return undefined
}
