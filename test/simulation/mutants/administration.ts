/** Administration that does not say what became of entities and rules. */
import type { Mutant } from "./Mutant.ts"

export const administration: ReadonlyArray<Mutant> = [
  {
    name: "a create whose answer was lost is said to exist already",
    file: "administration/Administration.ts",
    text: "    retryPolicy.run(tried)",
    replacement: "    retryPolicy.runIdempotent(tried)",
    workload: "administration",
    fault: "lost administration"
  },
  {
    name: "an update that was done is said to have failed with its next try",
    file: "administration/Administration.ts",
    text: "              const written = yield* retryPolicy.run(",
    replacement: "              const written = yield* retryPolicy.runIdempotent(",
    workload: "administration",
    fault: "lost administration"
  },
  {
    name: "an update is applied twice",
    file: "administration/Administration.ts",
    text: "              const written = yield* retryPolicy.run(\n                put(",
    replacement: "              const written = yield* retryPolicy.run(\n                repeated(",
    also: [[
      "  /** Pages of a list, as they are pulled. */",
      "  const repeated: typeof put = (...given) => Effect.andThen(put(...given), put(...given))\n"
    ]],
    workload: "administration",
    fault: "chunks"
  },
  {
    name: "an update forgets what it does not change",
    file: "administration/Administration.ts",
    text: "{ ...Settings.writable(before), ...changes }",
    replacement: "{ ...changes }",
    workload: "administration",
    fault: "late administration"
  },
  {
    name: "a delete is done whatever the answer says",
    file: "administration/Administration.ts",
    text: "errorMap.isLostThen(\"MessagingEntityNotFoundError\"), () => Effect.void",
    replacement: "() => true, () => Effect.void",
    workload: "administration",
    fault: "refused administration"
  },
  {
    name: "a list leaves its last entry out",
    file: "administration/Administration.ts",
    text: "          return Effect.succeed([found, Option.map(next",
    replacement: "          found.pop()\n          return Effect.succeed([found, Option.map(next",
    workload: "administration",
    fault: "late administration"
  }
]
