/**
 * The columns of lists of messages: which there are in which, and what stands in each.
 */
import { distance, h, size, time } from "./dom.js"

/** @typedef {import("./api.js").Summary} Summary */

/** Columns by what a list is of. */
export const columns = {
  messages: ["state", "enqueued", "deliveries", "id", "session", "subject", "preview", "size"],
  dead: ["enqueued", "reason", "deliveries", "id", "session", "subject", "preview", "size"],
  scheduled: ["due", "id", "session", "subject", "preview", "size"],
  deferred: ["enqueued", "deliveries", "id", "session", "subject", "preview", "size"]
}

/** @type {Record<string, readonly [string, (message: Summary) => import("./dom.js").Child, string?]>} */
export const cells = {
  state: [
    "State",
    ({ lockedUntil, state }) => lockedUntil === undefined ? state : h("span", { title: `until ${lockedUntil}` }, state)
  ],
  enqueued: ["Enqueued", ({ enqueuedTime }) => time(enqueuedTime), "time"],
  due: [
    "Due",
    ({ scheduledEnqueueTime }) =>
      h(
        "span",
        {},
        time(scheduledEnqueueTime),
        h("span", { class: "faint" }, ` ${distance(scheduledEnqueueTime ?? "")}`)
      ),
    "time"
  ],
  deliveries: ["Failed deliveries", ({ deliveryCount }) => deliveryCount, "number"],
  reason: [
    "Reason",
    ({ deadLetterErrorDescription, deadLetterReason }) =>
      h("span", { title: deadLetterErrorDescription }, deadLetterReason ?? "none given"),
    "clip"
  ],
  id: ["Message id", ({ messageId }) => messageId, "clip"],
  session: ["Session", ({ sessionId }) => sessionId, "clip"],
  subject: ["Subject", ({ subject }) => subject, "clip"],
  preview: ["Body", ({ preview }) => preview, "preview"],
  size: ["Size", ({ sizeInBytes }) => size(sizeInBytes), "number"]
}
