/** Paths as they are written: what stands around them costs no more time than it is long. */
import * as EntityPath from "../../../src/emulator/broker/EntityPath.ts"
import * as Resource from "../../../src/emulator/http/Resource.ts"
import * as Authorization from "../../../src/emulator/security/Authorization.ts"
import { assert, describe, it } from "../../support/vitest.ts"

describe("what stands around a path", () => {
  it("is taken away", () => {
    assert.strictEqual(EntityPath.withoutSlashes("//a/b//"), "a/b")
    assert.strictEqual(EntityPath.withoutSlashes("///"), "")
    assert.strictEqual(EntityPath.withoutSlashes(" /a"), " /a")
    assert.strictEqual(EntityPath.trimmed(" /\t/a b/ \n"), "a b")
    assert.strictEqual(EntityPath.trimmed(" / "), "")
    assert.strictEqual(Resource.parse("/a//")!.path, "a")
    assert.strictEqual(Resource.parse("//a")!.path, "/a")
  })

  it("is no way to stop the broker: these took minutes", () => {
    const path = `a${"/".repeat(400_000)}b`
    assert.strictEqual(EntityPath.trimmed(path), path)
    assert.strictEqual(Authorization.bareOf(`sb://host/${path}`), path)
    assert.strictEqual(Resource.parse(`/${path}`)!.path, path)
  })
})
