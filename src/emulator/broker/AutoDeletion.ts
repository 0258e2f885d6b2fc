/**
 * The deletion of an entity that is idle (Service Bus documentation, `AutoDeleteOnIdle`). It owns one deadline, which is moved
 * only when it is due, so that use costs the write of a field.
 */
import type { DeadlineTimer } from "./DeadlineTimer.ts"
import type { Due } from "./StoredMessage.ts"

/**
 * What is asked of the entity.
 *
 * @category models
 */
export interface Idling {
  /** When it was used last, in milliseconds: now, while it is in use. */
  lastUse(now: number): number
  /** Deletes it. */
  delete(): void
}

/**
 * Deletes an entity that is not used for `idle` milliseconds.
 *
 * @category models
 */
export class AutoDeletion implements Due {
  at = 0
  slot = -1
  readonly sequence = 0
  readonly owner = this
  private readonly deadlines: DeadlineTimer<Due>
  private readonly idle: number
  private readonly entity: Idling

  constructor(deadlines: DeadlineTimer<Due>, idle: number, entity: Idling, now: number) {
    this.deadlines = deadlines
    this.idle = idle
    this.entity = entity
    this.onDue(this, now)
  }

  onDue(_due: Due, now: number): void {
    const until = this.entity.lastUse(now) + this.idle
    if (until > now) this.deadlines.set(this, until)
    else this.entity.delete()
  }

  flush(): void {}

  end(): void {
    this.deadlines.clear(this)
  }
}
