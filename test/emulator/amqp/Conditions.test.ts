/** What the broker says when it refuses: it fits a frame, whatever a peer has named. */
import { Conditions } from "../../../src/emulator/amqp/Conditions.ts"
import { assert, describe, it } from "../../support/vitest.ts"

describe("an error", () => {
  const conditions = new Conditions("localhost", () => 0)

  it("says the whole of what is short", () => {
    const name = "q".repeat(260)
    assert.include(conditions.notFound(name).description, `'sb://localhost/${name}' could not be found. `)
    assert.include(
      conditions.notFound(name).description,
      `SystemTracker:localhost:${name}, Timestamp:1970-01-01T00:00:00`
    )
  })

  it("says no more than a frame has of what is long", () => {
    const long = "ü".repeat(60_000)
    const errors = [
      conditions.notFound(long),
      conditions.unauthorized(long, "Send"),
      conditions.argument(long, long),
      conditions.protocol("amqp:decode-error", long),
      conditions.token("InvalidSignature", long),
      conditions.changed(long),
      conditions.injected({ condition: "x:y", description: long }, long)
    ]
    for (const { description } of errors) {
      assert.isBelow(Buffer.byteLength(description!), 16_384)
      assert.match(description!, /TrackingId:.*Timestamp:1970-01-01T00:00:00$/)
    }
  })
})
