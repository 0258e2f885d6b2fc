/**
 * A text that a peer chose, as a column has it. Node 24.15 and older read no text beyond a U+0000 in
 * it, so that none is stored: U+0000 is U+0001 and "0", and U+0001 itself is U+0001 and "1".
 *
 * A file of its own because columns of four tables have such texts.
 */

// oxlint-disable-next-line no-control-regex
const special = /[\0\x01]/

// oxlint-disable-next-line no-control-regex
const escaped = /\x01([01])/g

/** A text for a column. */
export const write = (text: string): string =>
  special.test(text) ? text.replaceAll("\x01", "\x011").replaceAll("\0", "\x010") : text

/** The text of a column. */
export const read = (stored: string): string =>
  stored.includes("\x01") ? stored.replaceAll(escaped, (_, which) => which === "0" ? "\0" : "\x01") : stored
