/**
 * Values and bodies of messages in the JSON of the control API, for people: what stands in an input, and back.
 */

/** The types that a property may be given; every other value is written as the API has it. */
export const types = ["text", "boolean", "int", "long", "double", "time", "uuid", "JSON"]

const isInt = (/** @type {number} */ number) => number === (number | 0)

const tags = { long: "$long", double: "$double", time: "$timestamp", uuid: "$uuid" }

/**
 * The type of a value and its text.
 * @param {any} value
 * @returns {{ type: string, text: string }}
 */
export const read = (value) => {
  if (typeof value === "string") return { type: "text", text: value }
  if (typeof value === "boolean") return { type: "boolean", text: String(value) }
  if (typeof value === "number") return { type: isInt(value) ? "int" : "double", text: String(value) }
  const [tag, ...others] = Object.keys(value ?? {})
  const found = Object.entries(tags).find(([, name]) => name === tag)
  return found !== undefined && others.length === 0
    ? { type: found[0], text: String(value[found[1]]) }
    : { type: "JSON", text: JSON.stringify(value) }
}

/**
 * A value out of a text; throws an Error that says what is wrong.
 * @param {string} type
 * @param {string} text
 * @param {string} name
 */
export const write = (type, text, name) => {
  const fail = (/** @type {string} */ expected) => {
    throw new Error(`${name}: ${expected}, not "${text.slice(0, 60)}"`)
  }
  switch (type) {
    case "text":
      return text
    case "boolean":
      return text === "true" ? true : text === "false" ? false : fail("expected true or false")
    case "int": {
      const number = Number(text)
      return text.trim() !== "" && isInt(number) ? number : fail("expected an int")
    }
    case "long":
      return /^-?\d{1,19}$/.test(text.trim()) ? { $long: text.trim() } : fail("expected a whole number")
    case "double": {
      const number = Number(text)
      if (text.trim() === "" || Number.isNaN(number) && text.trim() !== "NaN") return fail("expected a number")
      // JSON has no word for these.
      if (!Number.isFinite(number) || Object.is(number, -0)) {
        return { $double: Object.is(number, -0) ? "-0" : `${number}` }
      }
      return Number.isInteger(number) ? { $double: number } : number
    }
    case "time":
      return Number.isNaN(Date.parse(text))
        ? fail("expected a time such as 2026-11-30T12:00:00Z")
        : { $timestamp: new Date(text).toISOString() }
    case "uuid":
      return { $uuid: text.trim() }
    default:
      try {
        return JSON.parse(text)
      } catch {
        return fail("expected JSON")
      }
  }
}

/**
 * A value as it is shown.
 * @param {any} value
 */
export const shown = (value) => {
  const { text, type } = read(value)
  if (type !== "JSON") return type === "text" || type === "boolean" || type === "int" ? text : `${text} (${type})`
  const [[tag = "", inner] = [], ...others] = Object.entries(value ?? {})
  return tag.startsWith("$") && others.length === 0 && typeof inner !== "object" ? `${inner} (${tag.slice(1)})` : text
}

const encoder = new TextEncoder()

/** @param {string} text */
const ofBase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0))

/**
 * The bytes of a body; undefined where it is a value of AMQP.
 * @param {any} body
 * @returns {Uint8Array | undefined}
 */
export const bytesOf = (body) => {
  if (body === undefined) return new Uint8Array()
  if (typeof body === "string") return encoder.encode(body)
  if ("text" in body) return encoder.encode(body.text)
  if ("json" in body) return encoder.encode(JSON.stringify(body.json))
  if ("base64" in body) return ofBase64(body.base64)
  if (!("data" in body)) return undefined
  const parts = body.data.map((/** @type {any} */ part) => bytesOf(part))
  const all = new Uint8Array(
    parts.reduce((/** @type {number} */ sum, /** @type {Uint8Array} */ part) => sum + part.length, 0)
  )
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

/**
 * JSON with its lines, each number, name and text in it as it was written: a parser would round the one and drop the other. Throws
 * where it is none.
 * @param {string} text
 */
export const indented = (text) => {
  JSON.parse(text)
  let depth = 0
  // However deep it is, the text does not become many times as long.
  const line = () => `\n${"  ".repeat(Math.min(depth, 100))}`
  return text.replaceAll(/\s*("[^"\\]*(?:\\.[^"\\]*)*"|[{[]\s*[}\]]|[{}[\],:]|[^\s{}[\],:"]+)\s*/g, (_, token) => {
    switch (token[0]) {
      case "{":
      case "[":
        if (token.length > 1) return token[0] + token.at(-1)
        depth += 1
        return token + line()
      case "}":
      case "]":
        depth -= 1
        return line() + token
      case ",":
        return token + line()
      case ":":
        return `${token} `
      default:
        return token
    }
  })
}

/**
 * What a body is: its kind for the editor, and the text that stands in it.
 * @param {any} body
 * @returns {{ kind: "text" | "JSON" | "base64" | "AMQP", text: string }}
 */
export const readBody = (body) => {
  if (body === undefined) return { kind: "text", text: "" }
  if (typeof body === "string") return { kind: "text", text: body }
  if ("text" in body) return { kind: "text", text: body.text }
  if ("json" in body) return { kind: "JSON", text: JSON.stringify(body.json, null, 2) }
  if ("base64" in body) return { kind: "base64", text: body.base64 }
  return { kind: "AMQP", text: JSON.stringify(body, null, 2) }
}

/**
 * A body out of a text; throws an Error that says what is wrong.
 * @param {string} kind
 * @param {string} text
 */
export const writeBody = (kind, text) => {
  switch (kind) {
    case "text":
      return { text }
    case "JSON": {
      /** @type {any} */
      let json
      try {
        json = JSON.parse(text)
      } catch (error) {
        throw new Error(`The body is no JSON: ${error instanceof Error ? error.message : error}.`, { cause: error })
      }
      // Without the lines that were put in to read it, unless a number would become another one.
      const compact = JSON.stringify(json)
      return compact.replaceAll(/\s/g, "") === text.replaceAll(/\s/g, "") ? { json } : { text }
    }
    case "base64":
      try {
        ofBase64(text.replaceAll(/\s/g, ""))
      } catch {
        throw new Error("The body is not base64.")
      }
      return { base64: text.replaceAll(/\s/g, "") }
    default:
      try {
        return JSON.parse(text)
      } catch (error) {
        throw new Error(
          `The body is not as the API has it, such as {"value": …}: ${error instanceof Error ? error.message : error}.`,
          { cause: error }
        )
      }
  }
}

/** Bytes that a dump in hexadecimal shows. */
export const mostHex = 32 * 1024

/** @param {Uint8Array} bytes */
export const hex = (bytes) => {
  const lines = []
  for (let at = 0; at < Math.min(bytes.length, mostHex); at += 16) {
    const part = [...bytes.subarray(at, at + 16)]
    const digits = part.map((byte) => byte.toString(16).padStart(2, "0")).join(" ")
    const text = part.map((byte) => byte > 31 && byte < 127 ? String.fromCharCode(byte) : ".").join("")
    lines.push(`${at.toString(16).padStart(6, "0")}  ${digits.padEnd(47)}  ${text}`)
  }
  return lines.join("\n")
}
