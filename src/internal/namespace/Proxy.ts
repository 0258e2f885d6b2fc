/**
 * The HTTP proxy that a WebSocket is opened through: the one that a client names, or that of the environment, which names hosts
 * without one too. The agent is made by a class that the program gives: no module here loads a package that may not be there.
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
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
 * one of them with a port, or by an asterisk for all. As curl reads it; Azure's core for JavaScript takes domains with a dot
 * only.
 */
export const isBypassed = (list: string, host: string, port: number): boolean =>
  list.toLowerCase().split(/[\s,]+/).some((entry) => {
    if (entry === "*") return true
    const [name, ownPort] = partsOf(entry)
    const domain = name.replace(/^\*?\./, "")
    const asked = host.toLowerCase()
    return domain !== "" && (ownPort === undefined || Number(ownPort) === port) &&
      (asked === domain || asked.endsWith(`.${domain}`))
  })

/** Name and port of an entry; an address of IPv6 has a port only where it stands in brackets. */
const partsOf = (entry: string): readonly [name: string, port: string | undefined] => {
  const [, literal, port] = /^\[([^\]]*)\](?::(\d+))?$/.exec(entry) ?? []
  if (literal !== undefined) return [literal, port]
  const [name = "", ...ports] = entry.split(":")
  return ports.length > 1 ? [entry, undefined] : [name, ports[0]]
}

/** The address of a proxy, or undefined where it is none. Curl's: without a scheme it is HTTP. */
const addressOf = (text: string): string | undefined => {
  const url = text.includes("://") ? text : `http://${text}`
  return URL.canParse(url) && /^https?:\/\/[^/]/i.test(url) ? url : undefined
}

/**
 * The agent that a host is dialled through; undefined for none. No error says the proxy's address, which may have a password in
 * it.
 */
export const agentOf: (
  given: Options,
  host: string,
  port: number
) => Effect.Effect<object | undefined, InvalidOptionError> = Effect.fnUntraced(function*(given, host, port) {
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
    const text = typeof url === "string" ? url : Redacted.isRedacted(url) ? Redacted.value(url) : undefined
    address = typeof text === "string" ? addressOf(text) : undefined
  }
  if (address === undefined) {
    return yield* invalid(
      url === undefined ? "proxy" : "proxy.url",
      `${url === undefined ? "a variable of the environment with " : ""}the address of an HTTP proxy: http://host:port`
    )
  }
  return yield* Effect.try({
    try: () => new Agent(address),
    // What it says may have the address in it.
    catch: () => invalid("proxy.agent", "a class that makes an agent of node:http out of the address of a proxy")
  })
})
