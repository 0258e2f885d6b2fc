/**
 * The entities of a workload, as faults change them: disabled, full, without their forwarding, deleted, and made again as they
 * were. What cannot be made yet, because its topic or its target is gone, is made as soon as that is there.
 */
import * as Effect from "effect/Effect"
import type * as Emulator from "../../src/emulator/Emulator.ts"

/** The options that faults change. */
interface Changes {
  readonly status?: "Active" | "Disabled" | "SendDisabled" | "ReceiveDisabled"
  readonly maxSize?: number
  readonly maxDeliveryCount?: number
  readonly lockDuration?: number
  readonly forwardTo?: null
}

export const pathOf = (entity: Emulator.Entity): string =>
  entity.kind === "subscription" ? `${entity.topic}/Subscriptions/${entity.name}` : entity.name

/** The options that an entity has by itself and a fault may change. */
const originals = (entity: Emulator.Entity) => {
  const options: Record<string, unknown> = { ...entity.options }
  const size = entity.kind === "subscription" ? {} : { maxSize: options["maxSize"] ?? 1024 ** 3 }
  const own = entity.kind === "topic" ? [] : ["lockDuration", "maxDeliveryCount", "forwardTo"]
  const given = own.filter((name) => options[name] !== undefined).map((name) => [name, options[name]])
  return { status: "Active" as const, ...size, ...Object.fromEntries(given) }
}

export class Topology {
  private readonly emulator: Emulator.Emulator["Service"]
  private readonly entities: ReadonlyArray<Emulator.Entity>
  /** The paths of those that are to be gone. */
  private readonly gone = new Set<string>()

  constructor(emulator: Emulator.Emulator["Service"], entities: ReadonlyArray<Emulator.Entity>) {
    this.emulator = emulator
    this.entities = entities
  }

  /** One of them, by any number. */
  pick(which: number, of: (entity: Emulator.Entity) => boolean = () => true): string | undefined {
    const fitting = this.entities.filter(of)
    return fitting.length === 0 ? undefined : pathOf(fitting[which % fitting.length]!)
  }

  /** Changes options, where the entity is there and can have them. */
  change(path: string, changes: Changes): Effect.Effect<void> {
    return Effect.ignore(this.emulator.update(path, changes))
  }

  /** Has the options again that it was declared with. */
  restore(path: string): Effect.Effect<void> {
    const entity = this.entities.find((each) => pathOf(each) === path)!
    return Effect.ignore(this.emulator.update(path, originals(entity)))
  }

  delete(path: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.gone.add(path)
      return Effect.ignore(this.emulator.delete(path))
    })
  }

  /** It is to be there again, and with it all that needs it. */
  create(path: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.gone.delete(path)
      return this.mend
    })
  }

  /** All of them are there, as they were declared. */
  get heal(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      this.gone.clear()
      yield* this.mend
      for (const entity of this.entities) yield* Effect.orDie(this.emulator.update(pathOf(entity), originals(entity)))
    })
  }

  /** Makes what is to be there and is not, until nothing more can be made. */
  private get mend(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      for (let hasMade = true; hasMade;) {
        hasMade = false
        for (const entity of this.entities) {
          const path = pathOf(entity)
          if (this.gone.has(path)) continue
          // It fails where the entity is there, and where what it needs is not.
          const exit = yield* Effect.exit(this.emulator.create(entity))
          hasMade ||= exit._tag === "Success"
        }
      }
    })
  }
}
