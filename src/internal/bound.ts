/**
 * Binds the methods of an object to it: the public types declare functions, and `Effect.forEach(messages, receiver.complete)`
 * must work.
 */
export const bind = (self: object): void => {
  for (
    let prototype = Object.getPrototypeOf(self);
    prototype !== Object.prototype;
    prototype = Object.getPrototypeOf(prototype)
  ) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
      if (name === "constructor" || typeof value !== "function" || Object.hasOwn(self, name)) continue
      Object.defineProperty(self, name, { value: value.bind(self), enumerable: false })
    }
  }
}
