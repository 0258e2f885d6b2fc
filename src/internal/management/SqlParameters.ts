/**
 * Parameters of a SQL expression, written into it as constants. AMQP carries the expression of a filter or an action and nothing
 * else (Service Bus documentation, AMQP request/response operations; the SDKs for .NET, Java and JavaScript send it alone, and
 * drop parameters): a parameter that is sent by its name would mean nothing.
 */
import * as Result from "effect/Result"
import type { AmqpValue } from "../../AmqpValue.ts"
import * as ServiceBusRule from "../../ServiceBusRule.ts"

/** What parameters cannot be: which one, and what it would have to be. */
interface Problem {
  readonly name: string
  readonly expected: string
}

/** A string, a delimited name, a quoted name, or a parameter. One that is not closed is the service's to refuse. */
const tokens = /'(?:[^']|'')*'?|\[(?:[^\]]|\]\])*\]?|"(?:[^"]|"")*"?|@[\p{L}_][\p{L}\p{N}_]*/gu

/** The expression with a constant in the place of each parameter. */
export const inline = (expression: string, parameters: ServiceBusRule.Parameters): Result.Result<string, Problem> => {
  let problem: Problem | undefined
  const text = expression.replace(tokens, (token) => {
    if (!token.startsWith("@")) return token
    const value = valueOf(parameters, token)
    const constant = ServiceBusRule.constantOf(value)
    if (constant !== undefined) return constant
    problem ??= {
      name: token,
      expected: value === undefined
        ? "a value: the expression names it"
        : "a value that SQL has a constant for, because AMQP carries no parameters of rules: " +
          "a string, an integer of 64 bits, a double, a boolean or null"
    }
    return token
  })
  return problem === undefined ? Result.succeed(text) : Result.fail(problem)
}

/** The value of a parameter. SQL does not tell names by their case; one that is written alike goes first. */
const valueOf = (parameters: ServiceBusRule.Parameters, token: string): AmqpValue => {
  const name = Object.hasOwn(parameters, token)
    ? token
    : Object.keys(parameters).find((each) => each.toLowerCase() === token.toLowerCase())
  return name === undefined ? undefined : parameters[name]
}
