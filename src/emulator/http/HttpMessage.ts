/**
 * A request for the management API and the answer to it, as plain data: what answers knows no sockets, and what serves sockets
 * knows no entities.
 *
 * A file of its own because both sides, and a client in memory, import it.
 */

/** A request whose body has come. */
export interface HttpRequest {
  readonly method: string
  /** Path and query, as they stand in the request line. */
  readonly target: string
  /** By their names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: string
  /** Whether it came over TLS. */
  readonly isSecure: boolean
}

/** What is answered; the length of the body and the date are added by what sends it. */
export interface HttpAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** What every answer of the service says of its server. */
export const server = { server: "Microsoft-HTTPAPI/2.0" } as const

/** In place of an answer the connection is cut. */
export const cut: HttpAnswer = Object.freeze({ status: 500, headers: {}, body: "" })
