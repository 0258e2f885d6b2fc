/**
 * What stands around the path of an entity, as peers and programs write it. A regular expression that looks for an end
 * (`/\/+$/`) starts anew at every slash: a path of many takes minutes, and whoever sends one stops the broker.
 *
 * A file of its own because everything that reads an address needs it.
 */

const without = (text: string, isAround: (character: string) => boolean): string => {
  let start = 0
  let end = text.length
  while (start < end && isAround(text[start]!)) start++
  while (end > start && isAround(text[end - 1]!)) end--
  return text.slice(start, end)
}

/** Without slashes at its ends. */
export const withoutSlashes = (path: string): string => without(path, (character) => character === "/")

/** Without slashes and blanks at its ends. */
export const trimmed = (path: string): string => without(path, (character) => /[/\s]/.test(character))
