/**
 * What the page shows beside entities.
 */

/** @type {Record<string, { title: string, make: () => import("./main.js").View }>} */
export const views = {}
