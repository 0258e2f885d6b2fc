import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const src = (path: string) => fileURLToPath(new URL(`./src/${path}`, import.meta.url))

export default defineConfig({
  resolve: {
    alias: [
      { find: /^effect-service-bus$/, replacement: src("index.ts") },
      { find: /^effect-service-bus\/emulator$/, replacement: src("emulator/Emulator.ts") },
      { find: /^effect-service-bus\/(.+)$/, replacement: src("$1.ts") }
    ]
  },
  test: {
    include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
    // They need a browser, and have a configuration of their own.
    exclude: ["**/node_modules/**", "test/page/**"],
    setupFiles: ["test/setup.ts"],
    sequence: { concurrent: true },
    // For what never ends. No test is about it, and on a busy machine one that is right may take ten times as long.
    testTimeout: 60_000,
    // By default one core is left idle: of two that is half.
    maxWorkers: "100%",
    // Files of one worker share their modules: a third of the time went into loading them again. The library has no state of
    // its own that one test could leave to another.
    isolate: false,
    typecheck: { enabled: true, checker: "tsc", include: ["test/**/*.test-d.ts"] }
  }
})
