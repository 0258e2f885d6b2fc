// Makes flights.ndjson from flights-20k.json: `node examples/data/make.ts path/to/flights-20k.json`. Always the same
// file: 20,000 flights, each with an id, and 200 lines that are broken in different ways spread between them.
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"

const source = process.argv[2]
if (source === undefined) {
  console.error("Usage: node examples/data/make.ts path/to/flights-20k.json")
  process.exit(2)
}
const flights: Array<Record<string, unknown>> = []
for (const flight of JSON.parse(readFileSync(source, "utf8")) as Array<Record<string, unknown>>) {
  flights.push({ id: `F${String(flights.length + 1).padStart(5, "0")}`, ...flight })
}

type Breaker = (flight: Record<string, unknown>, variant: number) => string | Uint8Array

const json = JSON.stringify
const pick = <A>(variants: ReadonlyArray<A>, variant: number): A => variants[variant % variants.length]!

const notJson: Breaker = (flight, variant) =>
  pick([
    json(flight).slice(0, -9),
    json(flight).replaceAll("\"", "'"),
    json(flight).replace("}", ",}"),
    `${Object.values(flight).join(",")}`,
    "<html><body>502 Bad Gateway</body></html>",
    "",
    "NaN",
    Buffer.from(json(flight), "utf16le").filter((byte) => byte !== 10),
    Buffer.concat([Buffer.from(json(flight)), Buffer.from([0xff, 0xfe, 0x80])])
  ], variant)

const missingField: Breaker = (flight, variant) => {
  const { [pick(["id", "date", "delay", "distance", "origin", "destination"], variant)]: _, ...rest } = flight
  return json(rest)
}

const wrongType: Breaker = (flight, variant) =>
  pick([
    json({ ...flight, delay: String(flight["delay"]) }),
    json({ ...flight, delay: null }),
    json({ ...flight, distance: "far" }),
    json({ ...flight, origin: [flight["origin"]] }),
    json({ ...flight, date: Date.parse(`${flight["date"]}Z`) }),
    json({ ...flight, id: Number(String(flight["id"]).slice(1)) }),
    json([flight]),
    json(flight["id"]),
    "null"
  ], variant)

const absurdDate: Breaker = (flight, variant) =>
  json({
    ...flight,
    date: pick([
      "2001/13/01 10:00",
      "2001/02/29 06:30",
      "2001/01/32 00:47",
      "2001/03/10 25:61",
      "0001/01/01 00:00",
      "9999/12/31 23:59",
      "yesterday",
      "01.03.2001"
    ], variant)
  })

/** An id for the second time: the same flight again, or one that says something else. */
const duplicate: Breaker = (flight, variant) =>
  json(variant % 2 === 0 ? flight : { ...flight, delay: Number(flight["delay"]) + 600 })

/** More than the 262,144 bytes that a message may have. */
const overLong: Breaker = (flight) => json({ ...flight, origin: "X".repeat(263_000) })

const kinds: ReadonlyArray<readonly [Breaker, number]> = [
  [notJson, 45],
  [missingField, 45],
  [wrongType, 45],
  [absurdDate, 32],
  [duplicate, 31],
  [overLong, 2]
]
const breakers = kinds.flatMap(([breaker, count]) =>
  Array.from({ length: count }, (_, variant) => ({ breaker, variant }))
)

const lines: Array<string | Uint8Array> = []
for (const [index, flight] of flights.entries()) {
  lines.push(json(flight))
  // One broken line after every hundred flights; 37 and 200 have no common divisor, so that the kinds are mixed.
  if (index % 100 !== 99) continue
  const { breaker, variant } = breakers[((index - 99) / 100 * 37) % breakers.length]!
  lines.push(breaker(breaker === duplicate ? flights[index - 50 - variant]! : { ...flight, id: `B${index}` }, variant))
}
writeFileSync(
  join(import.meta.dirname, "flights.ndjson"),
  Buffer.concat(lines.flatMap((line) => [Buffer.from(line), Buffer.from("\n")]))
)
