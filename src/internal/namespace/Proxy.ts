/**
 * The HTTP proxy that a WebSocket is opened through: the one that a client names, or that of the environment, which names hosts
 * without one too. The agent is made by a class that the program gives: no module here loads a package that may not be there.
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as net from "node:net"
import { inspect } from "node:util"
import * as ConnectionString from "../../ConnectionString.ts"
import { InvalidOptionError } from "../../ServiceBusError.ts"
import { readOptions } from "../options.ts"

/** Options as a caller gives them. */
export interface Options {
  readonly agent: new(url: string) => object
  readonly url?: string | Redacted.Redacted<string> | undefined
}

const invalid = (option: string, expected: string) => new InvalidOptionError({ option, expected })

/** The first of some variables that is set, in upper or lower case; one that is empty is not. */
const variable = Effect.fnUntraced(function*(
  ...names: ReadonlyArray<string>
): Effect.fn.Return<string | undefined, InvalidOptionError> {
  for (const name of names.flatMap((name) => [name, name.toLowerCase()])) {
    const value = yield* Effect.mapError(
      Config.option(Config.String(name)),
      () => invalid("proxy", `an environment whose ${name} can be read`)
    )
    if (Option.isSome(value) && value.value.trim() !== "") return value.value.trim()
  }
  return undefined
})

/**
 * Whether NO_PROXY names a host: by its name, by that of a domain above it (with a dot before it or without), by its address, by
 * one of them with a port, or by an asterisk for all; a dot at the end of a name says nothing. As curl reads it; Azure's core
 * for JavaScript takes domains with a dot only.
 */
export const isBypassed = (list: string, host: string, port: number): boolean => {
  const asked = comparable(host.toLowerCase())
  return list.toLowerCase().split(/[\s,]+/).some((entry) => {
    if (entry === "*") return true
    const [name, ownPort] = partsOf(entry)
    const domain = comparable(name.replace(/^\*?\./, ""))
    return domain !== "" && (ownPort === "" || Number(ownPort) === port) &&
      (asked === domain || asked.endsWith(`.${domain}`))
  })
}

/** One spelling of what has several: an address of IPv6 (RFC 5952), and a name with the dot of the root at its end. */
const comparable = (host: string): string =>
  net.isIPv6(host) && URL.canParse(`http://[${host}]`)
    ? new URL(`http://[${host}]`).hostname.slice(1, -1)
    : host.replace(/\.$/, "")

/** Name and port of an entry, empty for any; an address of IPv6 has a port only where it stands in brackets. */
const partsOf = (entry: string): readonly [name: string, port: string] => {
  const [, literal, port = ""] = /^\[([^\]]*)\](?::(\d*))?$/.exec(entry) ?? []
  if (literal !== undefined) return [literal, port]
  const [name = "", ...ports] = entry.split(":")
  return ports.length > 1 ? [entry, ""] : [name, ports[0] ?? ""]
}

/** The address of a proxy, or undefined where it is none. Curl's: without a scheme it is HTTP. */
const addressOf = (text: string): string | undefined => {
  const url = text.includes("://") ? text : `http://${text}`
  return /^https?:\/\/[^/]/i.test(url) && URL.canParse(url) && isDecodable(new URL(url)) ? url : undefined
}

/** Whether user and password can be decoded, which an agent does when it dials. */
const isDecodable = ({ password, username }: URL): boolean => {
  try {
    decodeURIComponent(username)
    decodeURIComponent(password)
    return true
  } catch {
    return false
  }
}

const expectedClass = "a class that makes an agent of node:https out of the address of a proxy, as HttpsProxyAgent does"

/**
 * Whether Node dials TLS through a value: it asks for `addRequest`, and for no other protocol (ClientRequest of node:http). The
 * agents of the package agent-base have their protocol by a getter, which looks at who asks: it says nothing here.
 */
export const isAgent = (value: unknown): value is object => {
  try {
    const { addRequest } = value as { readonly addRequest?: unknown }
    const protocol: unknown = Object.getOwnPropertyDescriptor(value, "protocol")?.value
    return typeof value === "object" && typeof addRequest === "function" &&
      (protocol === undefined || protocol === "https:")
  } catch {
    return false
  }
}

/** What an agent must be, whoever makes it. */
export const expectedAgent = "an agent of node:https, or of a package that makes such agents (it has addRequest)"

/** What a host is dialled through. */
interface Dialled {
  readonly agent: object
  /** Whether a value that the agent failed with has the proxy's password in it, as it is written or sent. */
  readonly isSecret: (error: unknown) => boolean
}

const secretOf = ({ password, username }: URL): Dialled["isSecret"] => {
  const plain = decodeURIComponent(password)
  const credentials = Buffer.from(`${decodeURIComponent(username)}:${plain}`).toString("base64")
  return (error) => {
    if (password === "") return false
    try {
      const text = inspect(error, { depth: 10, showHidden: true, maxStringLength: Infinity })
      return [password, plain, credentials].some((secret) => text.includes(secret))
    } catch {
      // What cannot be looked at is not told either.
      return true
    }
  }
}

/**
 * The agent that a host is dialled through; undefined for none. No error says the proxy's address, which may have a password in
 * it.
 */
export const agentOf: (
  given: Options,
  host: string,
  port: number
) => Effect.Effect<Dialled | undefined, InvalidOptionError> = Effect.fnUntraced(function*(given, host, port) {
  const { agent: Agent, url } = yield* Effect.fromResult(readOptions(undefined, given, "proxy"))
  if (typeof Agent !== "function") {
    return yield* invalid(
      "proxy.agent",
      "the class HttpsProxyAgent of the package https-proxy-agent: npm install https-proxy-agent"
    )
  }
  let address: string | undefined
  if (url === undefined) {
    // The order of Azure's core for JavaScript (ts-http-runtime, proxyPolicy).
    const found = yield* variable("HTTPS_PROXY", "ALL_PROXY", "HTTP_PROXY")
    if (found === undefined || isBypassed((yield* variable("NO_PROXY")) ?? "", host, port)) return undefined
    address = addressOf(found)
  } else {
    const text = ConnectionString.textOf(url)
    address = typeof text === "string" ? addressOf(text) : undefined
  }
  if (address === undefined) {
    return yield* invalid(
      url === undefined ? "proxy" : "proxy.url",
      `${
        url === undefined ? "a variable of the environment with " : ""
      }the address of an HTTP proxy: http://host:port, or http://user:password@host:port with both percent-encoded`
    )
  }
  const made = yield* Effect.try({
    try: () => new Agent(address),
    // What it says may have the address in it.
    catch: () => invalid("proxy.agent", expectedClass)
  })
  return isAgent(made)
    ? { agent: made, isSecret: secretOf(new URL(address)) }
    : yield* invalid("proxy.agent", expectedClass)
})
