/**
 * Where somebody is on the page, as the part of the address behind its #: which entity, which tab, which message. It can be kept
 * and given to others; the key is not in it.
 */

/** @typedef {Record<string, string | undefined>} Route */

/** @returns {Route} */
export const here = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)))

/**
 * An address.
 * @param {Route} route
 */
export const to = (route) => {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(route)) if (value !== undefined) parameters.set(name, value)
  return `#${parameters}`
}

/**
 * Remembers a part of where somebody is, without a step to go back over.
 * @param {Route} part
 */
export const remember = (part) => history.replaceState(null, "", to({ ...here(), ...part }))
