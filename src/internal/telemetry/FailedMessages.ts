/**
 * The messages of which a consumer has said that they failed: one that comes again at once, and fails again, is one line of
 * the log, not one for each of its deliveries. Only failures come here.
 * A file of its own because receivers, sessions and processors each make one.
 */

/** How many are remembered: messages that fail in turn, and small beside what a consumer holds. */
const capacity = 1024

export class FailedMessages {
  /** Their sequence numbers; the one that failed last is the last. */
  private readonly numbers = new Set<bigint>()

  /** Whether a message has failed before, as far as is remembered. It has from now on. */
  isRepeated(sequenceNumber: bigint): boolean {
    const { numbers } = this
    const isRepeated = numbers.delete(sequenceNumber)
    numbers.add(sequenceNumber)
    if (numbers.size > capacity) {
      for (const oldest of numbers) {
        numbers.delete(oldest)
        break
      }
    }
    return isRepeated
  }
}
