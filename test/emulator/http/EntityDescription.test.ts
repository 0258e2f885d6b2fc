/** What of a description becomes options of the broker, and what is kept beside them. */
import { Duration, Result } from "effect"
import * as EntityDescription from "../../../src/emulator/http/EntityDescription.ts"
import * as AtomXml from "../../../src/internal/administration/AtomXml.ts"
import type * as Description from "../../../src/internal/administration/Description.ts"
import { assert, describe, it } from "../../support/vitest.ts"

describe("a description that is read", () => {
  it("leaves what is given back and the broker does not have; what nobody answers is not kept", () => {
    const given: Description.Entity = {
      LockDuration: Duration.nanos(5_000_000_100n),
      MaxDeliveryCount: 3,
      ForwardTo: "https://localhost/other",
      UserMetadata: "mine",
      EnableExpress: true,
      // As they come back in an update, from clients that know them and from those that do not.
      SizeInBytes: 5,
      AccessedAt: undefined,
      unknown: [AtomXml.element(AtomXml.connect, "SomethingNewer", ["x".repeat(1000)])]
    }
    const { kept, options } = Result.getOrThrow(EntityDescription.read("queue", given, undefined))
    assert.deepInclude(options, { lockDuration: given.LockDuration, maxDeliveryCount: 3, forwardTo: "/other" })
    assert.deepStrictEqual(kept, {
      LockDuration: given.LockDuration,
      ForwardTo: "https://localhost/other",
      UserMetadata: "mine",
      EnableExpress: true,
      EnablePartitioning: false
    })
  })
})
