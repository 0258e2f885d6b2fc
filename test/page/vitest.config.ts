import { defineConfig, mergeConfig } from "vitest/config"
import base from "../../vitest.config.ts"

// A browser has more than one process by itself: files come one after the other, and so do the tests of a file.
export default mergeConfig(
  { ...base, test: { ...base.test, include: [], exclude: [] } },
  defineConfig({
    root: new URL("../..", import.meta.url).pathname,
    test: {
      include: ["test/page/*.test.ts"],
      sequence: { concurrent: false },
      fileParallelism: false,
      testTimeout: 120_000,
      hookTimeout: 120_000,
      typecheck: { enabled: false }
    }
  })
)
