import { describe } from "@effect/vitest"
import { both } from "./suites/harness.ts"
import { suite as receiving } from "./suites/receiving.ts"
import { suite as streaming } from "./suites/streaming.ts"
import { suite as undecodable } from "./suites/undecodable.ts"

describe("Receiving", () => both(receiving))
describe("Messages as a stream", () => both(streaming))
describe("Undecodable messages", () => both(undecodable))
