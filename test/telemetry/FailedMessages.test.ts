/** Which messages failed before: the last 1,024, and no more. */
import { FailedMessages } from "../../src/internal/telemetry/FailedMessages.ts"
import { assert, describe, it } from "../support/vitest.ts"

describe("Messages that failed", () => {
  it("are remembered, the last 1,024 of them by their last failure", () => {
    const failed = new FailedMessages()
    assert.isFalse(failed.isRepeated(0n))
    assert.isTrue(failed.isRepeated(0n))
    for (let i = 1n; i < 1024n; i++) assert.isFalse(failed.isRepeated(i))
    // It fails again, and is the youngest: the next one takes the place of another.
    assert.isTrue(failed.isRepeated(0n))
    assert.isFalse(failed.isRepeated(1024n))
    assert.isTrue(failed.isRepeated(0n))
    assert.isTrue(failed.isRepeated(2n))
    assert.isFalse(failed.isRepeated(1n))
  })
})
