/**
 * Pictures of numbers over time: lines of an entity's last hour, and marks for what is scheduled. Each says in words what it
 * shows, for those who do not see it.
 */
import { many, now, s } from "./dom.js"

const width = 720
const height = 190
const left = 52
const bottom = 24
const top = 10

/** The next number of 1, 2 or 5 and zeros. @param {number} most */
const rounded = (most) => {
  const power = 10 ** Math.floor(Math.log10(Math.max(most, 1)))
  return [1, 2, 5, 10].map((each) => each * power).find((each) => each >= most) ?? most
}

/** @param {number} millis @param {number} span */
const clock = (millis, span) => new Date(millis).toTimeString().slice(0, span < 600_000 ? 8 : 5)

/** @param {number} from @param {number} to @param {number} at */
const x = (from, to, at) => left + (width - left - 8) * (to === from ? 0 : (at - from) / (to - from))

/** @param {number} most @param {number} value */
const y = (most, value) => height - bottom - (height - bottom - top) * value / most

/** Lines for three values, or two where there is no whole number between them, and times for four instants. @param {number} from @param {number} to @param {number} most */
const axes = (from, to, most) => [
  ...(most % 2 === 0 ? [0, 0.5, 1] : [0, 1]).flatMap((part) => [
    s("line", { class: "axis", x1: left, x2: width - 8, y1: y(1, part), y2: y(1, part) }),
    s("text", { x: left - 6, y: y(1, part) + 4, "text-anchor": "end" }, many(most * part))
  ]),
  ...[0, 1 / 3, 2 / 3, 1].map((part) =>
    s(
      "text",
      {
        x: x(0, 1, part),
        y: height - 6,
        "text-anchor": part === 0 ? "start" : part === 1 ? "end" : "middle"
      },
      to - from > 86_400_000
        ? new Date(from + (to - from) * part).toLocaleDateString()
        : clock(from + (to - from) * part, to - from)
    )
  )
]

/**
 * Lines over time.
 * @param {ReadonlyArray<number>} times
 * @param {ReadonlyArray<{ readonly values: ReadonlyArray<number>, readonly style: string }>} lines
 * @param {string} words
 */
export const lines = (times, lines, words) => {
  const [from = 0] = times
  const to = times.at(-1) ?? 0
  const most = rounded(Math.max(1, ...lines.flatMap(({ values }) => values)))
  return s(
    "svg",
    { class: "picture", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": words },
    ...axes(from, to, most),
    ...lines.map(({ style, values }) =>
      s("polyline", {
        class: style,
        points: values.map((value, index) =>
          `${x(from, to, times[index] ?? 0).toFixed(1)},${y(most, value).toFixed(1)}`
        ).join(" ")
      })
    )
  )
}

/** The mark of a line, for a legend. @param {string} style */
export const mark = (style) =>
  s("svg", { viewBox: "0 0 32 10", "aria-hidden": "true" }, s("line", { class: style, x1: 0, x2: 32, y1: 5, y2: 5 }))

/** How many marks a time line has. */
const buckets = 60

/**
 * A time line of instants, from now to the last one, a bar for those that are near each other.
 * @param {ReadonlyArray<number>} instants
 * @param {string} words
 */
export const timeLine = (instants, words) => {
  const from = Math.min(now(), ...instants)
  const to = Math.max(from + 60_000, ...instants)
  const counts = Array.from({ length: buckets }, () => 0)
  for (const at of instants) {
    const bucket = Math.min(buckets - 1, Math.floor((at - from) / (to - from) * buckets))
    counts[bucket] = (counts[bucket] ?? 0) + 1
  }
  const most = rounded(Math.max(...counts))
  const step = (width - left - 8) / buckets
  return s(
    "svg",
    { class: "picture", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": words },
    ...axes(from, to, most),
    ...counts.map((count, index) =>
      count === 0
        ? null
        : s(
          "rect",
          {
            class: "bar-mark",
            x: (left + index * step + 1).toFixed(1),
            y: y(most, count).toFixed(1),
            width: (step - 2).toFixed(1),
            height: (height - bottom - y(most, count)).toFixed(1)
          },
          s(
            "title",
            {},
            `${many(count)} about ${new Date(from + (index + 0.5) * (to - from) / buckets).toLocaleString()}`
          )
        )
    )
  )
}
