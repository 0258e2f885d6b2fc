/**
 * Runs programs one after the other in a process of their own, with the package resolved to its source, and prints a JSON
 * array of what each printed. It is a file because its process must not be the tests'.
 */
import { registerHooks } from "node:module"
import { pathToFileURL } from "node:url"

const name = "effect-service-bus"

const source = (specifier: string): string => {
  const path = specifier === name ? "index" : specifier.slice(name.length + 1)
  return new URL(`../../src/${path === "emulator" ? "emulator/Emulator" : path}.ts`, import.meta.url).href
}

registerHooks({
  resolve: (specifier, context, next) =>
    specifier === name || specifier.startsWith(`${name}/`)
      ? { url: source(specifier), shortCircuit: true }
      : next(specifier, context)
})

const printed: Array<string> = []
const { write } = process.stdout
for (const file of process.argv.slice(2)) {
  let text = ""
  process.stdout.write = (chunk: Uint8Array | string) => {
    text += chunk.toString()
    return true
  }
  await import(pathToFileURL(file).href)
  process.stdout.write = write
  printed.push(text)
}
process.stdout.write(JSON.stringify(printed))
