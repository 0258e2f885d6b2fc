/**
 * Messages as a file that `/load` takes back: their entity as it is declared, with them alone in it.
 */
import { get } from "./api.js"
import { load } from "./detail.js"
import { counted, h, tell } from "./dom.js"

/**
 * Has the browser save a text.
 * @param {string} name
 * @param {string} text
 */
export const saveFile = (name, text) => {
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }))
  h("a", { href: url, download: name }).click()
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}

/**
 * Saves messages of an entity, or of its dead-letter queue.
 * @param {string} path
 * @param {ReadonlyArray<string>} numbers
 */
export const saveMessages = async (path, numbers) => {
  const [, source = path, transfer, dead] = /^(.*?)(\/\$Transfer)?(\/\$DeadLetterQueue)?$/.exec(path) ?? []
  const { entity } = await get("/settings", { entity: source })
  const messages = []
  const gone = []
  // A few at a time: they may be large.
  for (let at = 0; at < numbers.length; at += 8) {
    const found = await Promise.allSettled(numbers.slice(at, at + 8).map((number) => load(path, number)))
    for (const [index, each] of found.entries()) {
      if (each.status === "fulfilled") messages.push(each.value)
      else gone.push(numbers[at + index])
    }
  }
  const held = dead === undefined ? "messages" : transfer === undefined ? "deadLetters" : "transferDeadLetters"
  const dump = { version: 1, entities: [{ ...entity, [held]: messages }] }
  saveFile(`${source.replaceAll(/[^\w.-]+/g, "-")}-messages.json`, `${JSON.stringify(dump, null, 2)}\n`)
  tell(`${counted(messages.length, "message")} saved.`)
  if (gone.length > 0) tell(`Not here any more: ${gone.join(", ")}`, true)
}
