/**
 * The control API, asked with the key that somebody gave. The key is kept for this tab alone, until it is closed, and is in no
 * address.
 */

/** A row of `/entities`. @typedef {import("../../control/EntityCounts.ts").EntityCounts} Row */

/**
 * A message of `/messages/page`.
 * @typedef {{ sequenceNumber: string, state: string, enqueuedTime: string, expiresAt?: string, scheduledEnqueueTime?: string,
 *   lockedUntil?: string, deliveryCount: number, messageId?: string, sessionId?: string, subject?: string, contentType?: string,
 *   deadLetterReason?: string, deadLetterErrorDescription?: string, deadLetterSource?: string, sizeInBytes: number,
 *   preview: string }} Summary
 */

/** @typedef {{ sequenceNumber: string, isDone: boolean, problem?: string, sentAs?: string }} Outcome */

const place = "effect-service-bus"

/** `back` is whoever showed another namespace. @typedef {{ readonly name: string, readonly key: string, readonly back?: User }} User */

/** @param {any} user @returns {user is User} */
const isUser = (user) =>
  typeof user?.name === "string" && typeof user.key === "string" && (user.back === undefined || isUser(user.back))

/** @returns {User | undefined} */
const stored = () => {
  try {
    const user = JSON.parse(sessionStorage.getItem(place) ?? "")
    return isUser(user) ? user : undefined
  } catch {
    return undefined
  }
}

let user = stored()

/** Who has signed in. */
export const signedIn = () => user

/** @param {User | undefined} next */
export const signIn = (next) => {
  user = next
  try {
    if (next === undefined) sessionStorage.removeItem(place)
    else sessionStorage.setItem(place, JSON.stringify(next))
  } catch {
    // A browser that keeps nothing asks again after a reload.
  }
}

/**
 * The name and the key in a connection string, as clients have it, or undefined.
 * @param {string} text
 * @returns {User | undefined}
 */
export const ofConnectionString = (text) => {
  // As it was printed: with the name of a variable before it, and quotes around it.
  const bare = text.trim().replace(/^\w+=(?=['"]?Endpoint=)/i, "").replace(/^(['"])(.*)\1$/s, "$2")
  const part = (/** @type {string} */ name) => new RegExp(`(?:^|;)\\s*${name}=([^;]*)`, "i").exec(bare)?.[1]?.trim()
  const name = part("SharedAccessKeyName")
  const key = part("SharedAccessKey")
  return name && key ? { name, key } : undefined
}

/** The name of a field as forms have it. @param {string} path */
const fieldOf = (path) => {
  const names = [...path.matchAll(/[$\w-]*[A-Za-z][\w-]*/g)].map(([name]) => name).filter((name) =>
    !name.startsWith("$")
  )
  const words = names.map((name) => name.replaceAll(/[a-z][A-Z]/g, ([a = "", b = ""]) => `${a} ${b.toLowerCase()}`))
  return words.join(", ").replace(/^./, (letter) => letter.toUpperCase())
}

/**
 * A refusal in the words of forms: a field by its name, where the control API has a place in JSON.
 * @param {string} text
 */
export const inWords = (text) => {
  const said = text.replace(/^the body: /, "").replaceAll("Expected no excess property", "There is no such property")
    .replaceAll("Missing key", "Something is missing")
  const [, before, problem] = /^(?:\[\d+\]|message)\.([^: ]+): (.*)$/s.exec(said) ?? []
  if (before !== undefined && problem !== undefined) return `${fieldOf(before)}: ${lower(problem)}`
  const place = / at ((?:\[(?:"[^"]*"|\d+)\])+)/g
  const places = [...said.matchAll(place)]
  const [[, only = ""] = []] = places
  return places.length === 1 && only !== "" && said.endsWith(only)
    ? `${fieldOf(only)}: ${lower(said.replace(place, ""))}`
    : said.replaceAll(place, (_, path) => ` (${fieldOf(path)})`)
}

/** @param {string} text */
const lower = (text) => text.replace(/^./, (letter) => letter.toLowerCase())

/** What the broker refused, with its status; 0 where it did not answer. */
export class Problem extends Error {
  /**
   * @param {number} status
   * @param {string} message
   */
  constructor(status, message) {
    super(message)
    this.status = status
  }
}

/** Is told when the key is not taken any more. */
let refused = () => {}

/** @param {() => void} listener */
export const onRefused = (listener) => {
  refused = listener
}

/**
 * Asks, and gives what is answered.
 * @param {"GET" | "POST" | "DELETE"} method
 * @param {string} path
 * @param {Record<string, string | number | undefined>} [query]
 * @param {unknown} [body]
 * @returns {Promise<any>}
 */
export const request = async (method, path, query = {}, body = undefined) => {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) if (value !== undefined) parameters.set(name, String(value))
  const target = parameters.size === 0 ? path : `${path}?${parameters}`
  const bytes = new TextEncoder().encode(`${user?.name ?? ""}:${user?.key ?? ""}`)
  const asker = user
  /** @type {Response} */
  let response
  let text = ""
  try {
    response = await fetch(target, {
      method,
      headers: { authorization: `Basic ${btoa(String.fromCharCode(...bytes))}` },
      // The browser is to ask nobody for a name, and to remember none.
      credentials: "omit",
      cache: "no-store",
      signal: AbortSignal.timeout(30_000),
      ...(body === undefined ? {} : { body: JSON.stringify(body) })
    })
    text = await response.text()
  } catch (error) {
    throw new Problem(0, `The broker does not answer (${error instanceof Error ? error.message : error}).`)
  }
  /** @type {any} */
  let json
  try {
    json = text === "" ? undefined : JSON.parse(text)
  } catch {
    throw new Problem(response.status, `The broker answered ${response.status} with what is no JSON.`)
  }
  if (response.ok) return json
  const problem = new Problem(
    response.status,
    json?.message !== undefined ? inWords(json.message) : `The broker answered ${response.status}.`
  )
  if (response.status === 401 && asker === user) refused()
  throw problem
}

/**
 * @param {string} path
 * @param {Record<string, string | number | undefined>} [query]
 */
export const get = (path, query) => request("GET", path, query)

/**
 * @param {string} path
 * @param {Record<string, string | number | undefined>} query
 * @param {unknown} body
 */
export const post = (path, query, body) => request("POST", path, query, body)

/**
 * The dead-letter queue of an entity.
 * @param {string} path
 */
export const deadLettersOf = (path) => `${path}/$DeadLetterQueue`
