/** Requests of the control API, in this process: the broker answers as it does on its ports. */
import { Effect, Redacted } from "effect"
import { ConnectionString } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { HttpBody, HttpClientRequest, type HttpMethod } from "effect/http"

/** The name and key of the root policy, as curl's `-u` takes them. */
export const userOf = Effect.gen(function*() {
  const { connectionString } = yield* Emulator.Emulator
  const { credential } = yield* Effect.orDie(ConnectionString.parse(connectionString))
  if (credential._tag !== "SharedKey") return yield* Effect.die("a key was expected")
  return `${credential.name}:${Redacted.value(credential.key)}`
})

/** A header of HTTP Basic. */
export const basic = (user: string): string => `Basic ${Buffer.from(user).toString("base64")}`

/** Asks, with the root policy unless another header is given; null for none. A body that is no text is sent as JSON. */
export const ask = Effect.fnUntraced(function*(
  method: HttpMethod.HttpMethod,
  path: string,
  body?: unknown,
  authorization?: string | null
) {
  const { httpClient } = yield* Emulator.Emulator
  const header = authorization === undefined ? basic(yield* userOf) : authorization
  const text = typeof body === "string" ? body : JSON.stringify(body)
  const response = yield* Effect.orDie(
    httpClient.execute(
      HttpClientRequest.make(method)(`http://localhost${path}`, {
        headers: header === null ? {} : { authorization: header },
        ...(body === undefined ? {} : { body: HttpBody.text(text, "application/x-www-form-urlencoded") })
      })
    )
  )
  const answered = yield* Effect.orDie(response.text)
  return {
    status: response.status,
    headers: response.headers,
    // oxlint-disable-next-line typescript/no-unsafe-assignment
    json: answered === "" ? undefined : JSON.parse(answered) as never
  } as { readonly status: number; readonly headers: Readonly<Record<string, string>>; readonly json: any }
})
