// A connection string in its parts, with the key redacted, and what is said of one that is malformed.
import { Console, Effect, Redacted } from "effect"
import { ConnectionString } from "effect-service-bus"

const text = Redacted.make(
  "Endpoint=sb://contoso.servicebus.windows.net/;SharedAccessKeyName=billing;SharedAccessKey=c2VjcmV0;EntityPath=orders"
)

const program = Effect.gen(function*() {
  const { credential, entityPath, host } = yield* ConnectionString.parse(text)
  const name = credential._tag === "SharedKey" ? credential.name : "a token"
  const key = credential._tag === "SharedKey" ? String(credential.key) : ""

  // The part is named, its value never.
  const without = Redacted.make("Endpoint=sb://contoso.servicebus.windows.net/;SharedAccessKeyName=billing")
  const problem = yield* ConnectionString.parse(without).pipe(
    Effect.as("parsed"),
    Effect.catchTag("ConnectionStringError", (error) => Effect.succeed(`${error.part}: ${error.problem}`))
  )
  yield* Console.log(`${host}, ${entityPath}, by ${name} with ${key}; ${problem}`)
})

await Effect.runPromise(program)
