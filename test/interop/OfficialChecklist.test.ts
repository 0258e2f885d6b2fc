/**
 * The checklist of `npm run interop` with the official client for JavaScript: the one that needs nothing but this
 * repository's own packages, and so runs with every test run.
 */
import { Effect, Layer, Redacted } from "effect"
import * as Emulator from "effect-service-bus/emulator"
import { selfSigned } from "../../src/emulator/security/Certificate.ts"
import { trust } from "../support/trust.ts"
import { it } from "../support/vitest.ts"
import { checks, entities, identities } from "./checks.ts"
import { lacking, runCheck } from "./javascript/checklist.ts"

// The client has no option for an authority: it trusts what the process trusts.
const certificate = selfSigned()
trust(certificate.cert)

const Server = Layer.orDie(
  Emulator.layerServer({
    entities,
    identities,
    namespaces: "any",
    tlsPort: 0,
    webSocketPort: 0,
    httpsPort: 0,
    certificate
  })
)

it.layer(Server, { excludeTestServices: true })("the official client", (it) => {
  for (const name of Object.keys(checks).filter((name) => lacking[name] === undefined)) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const { connectionString, httpsPort, tlsPort, webSocketPort } = yield* Emulator.Emulator
        const place = { connection: Redacted.value(connectionString), webSocketPort, httpsPort, tlsPort }
        // The failure itself, and not what Effect wraps around it, is what a reader of the test wants.
        yield* Effect.tryPromise({ try: () => runCheck(name, place), catch: (error) => error })
      }))
  }
})
