/**
 * The paths of the control API, and which requests are for it: a queue may be called anything, so that a request of
 * administration is told by its parameter `api-version`, which every administration client sends.
 *
 * What answers these paths is loaded with the first request, and this before it.
 */
import type { HttpRequest } from "../http/HttpMessage.ts"

/** The paths, and with a slash at its end the one that a name follows. */
export const paths: ReadonlyArray<string> = [
  "/openapi.json",
  "/clock",
  "/clock/advance",
  "/reset",
  "/entities",
  "/settings",
  "/sessions",
  "/samples",
  "/rules",
  "/rules/try",
  "/connections",
  "/messages",
  "/messages/page",
  "/messages/delete",
  "/messages/dead-letter",
  "/messages/defer",
  "/messages/resend",
  "/messages/purge",
  "/scheduled",
  "/scheduled/deliver",
  "/scheduled/reschedule",
  "/dump",
  "/load",
  "/namespaces",
  "/namespaces/",
  "/faults",
  "/faults/",
  "/connections/drop",
  "/links/detach",
  "/locks/lose"
]

const known: ReadonlySet<string> = new Set(paths)

/** The path of a target, as it was written. */
export const pathOf = (target: string): string => target.replace(/\?.*$/s, "")

/** Whether a request is for the control API. */
export const isControl = ({ target }: Pick<HttpRequest, "target">): boolean => {
  const path = pathOf(target)
  const isKnown = known.has(path) || paths.some((each) => each.endsWith("/") && path.startsWith(each))
  return isKnown && !isOfAdministration(target)
}

const isOfAdministration = (target: string): boolean => /[?&]api-version=/i.test(target)

/**
 * Whether a request was meant for the control API, although it has no such path: by HTTP Basic, which no client of
 * administration sends, and so a path that is misspelt is not answered as a token that is malformed.
 */
export const isMeant = (request: Pick<HttpRequest, "target" | "headers">): boolean =>
  isControl(request) ||
  (/^basic /i.test(request.headers["authorization"] ?? "") && !isOfAdministration(request.target))

/** Bytes of a body in which messages are; those of a dump are more in JSON than the broker keeps of them. */
export const maxMessagesSize = 128 * 1024 * 1024

const withMessages: ReadonlySet<string> = new Set(["/load", "/messages", "/messages/resend"])

/** Whether messages are in the body of a request. */
export const hasMessages = ({ method, target }: HttpRequest): boolean => {
  const path = pathOf(target)
  return method === "POST" && withMessages.has(path) && isControl({ target })
}
