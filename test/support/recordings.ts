/**
 * Recorded exchanges with the management API of real namespaces, and requests of the official .NET client. They are no part of
 * this repository: what is compared with them runs where they lie beside it.
 */
import * as Yaml from "effect/encoding/Yaml"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const folder = fileURLToPath(new URL("../../../shared/recordings", import.meta.url))

/** Whether they are there. */
export const arePresent = existsSync(folder)

/** One request and its answer. */
export interface Exchange {
  /** The recording, and the place in it. */
  readonly name: string
  readonly method: string
  readonly url: string
  readonly requestHeaders: Readonly<Record<string, ReadonlyArray<string>>>
  readonly requestBody: string
  readonly status: number
  readonly headers: Readonly<Record<string, ReadonlyArray<string>>>
  readonly body: string
}

interface Recording {
  readonly interactions: ReadonlyArray<{
    readonly request: {
      readonly method: string
      readonly uri: string
      readonly headers: Exchange["headers"]
      readonly body: string | null
    }
    readonly response: {
      readonly status: { readonly code: number }
      readonly headers: Exchange["headers"]
      readonly body: { readonly string: string | null }
    }
  }>
}

/** All exchanges, by recording. */
export const recordings = (): ReadonlyArray<readonly [name: string, exchanges: ReadonlyArray<Exchange>]> =>
  readdirSync(`${folder}/azure-management`).toSorted().map((file) => {
    const { interactions } = Yaml.parse(readFileSync(`${folder}/azure-management/${file}`, "utf8")) as Recording
    const name = file.replace(/^test_mgmt_\w+\.test_mgmt_|\.yaml$/g, "")
    return [
      name,
      interactions.map(({ request, response }, index): Exchange => ({
        name: `${name} ${index + 1}`,
        method: request.method,
        url: request.uri,
        requestHeaders: request.headers,
        requestBody: request.body ?? "",
        status: response.status.code,
        headers: response.headers,
        body: response.body.string ?? ""
      }))
    ]
  })

/** A request of the official .NET client. */
export interface DotnetRequest {
  /** The method called, and the case. */
  readonly call: string
  readonly method: string
  readonly path: string
  readonly query: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export const dotnetRequests = (): ReadonlyArray<DotnetRequest> =>
  JSON.parse(readFileSync(`${folder}/dotnet-7.21-requests.json`, "utf8")) as ReadonlyArray<DotnetRequest>
