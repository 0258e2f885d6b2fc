/** Defects of the filters, which their tests must see: `npm run filter:mutants`. */
import type { Mutant } from "../../simulation/mutants/Mutant.ts"

const filter = (file: string) => `broker/filter/${file}.ts`

export const mutants: ReadonlyArray<Mutant> = [
  {
    name: "unknown AND true is true",
    file: filter("SqlEvaluator"),
    text: "    if (value === false) return false\n    if (value === undefined) result = undefined",
    replacement: "    if (value === false) return false"
  },
  {
    name: "unknown AND false is unknown",
    file: filter("SqlEvaluator"),
    text: "    if (value === false) return false\n    if (value === undefined) result = undefined",
    replacement: "    if (value !== true) return value"
  },
  {
    name: "false OR unknown is false",
    file: filter("SqlEvaluator"),
    text: "    if (value === true) return true\n    if (value === undefined) result = undefined",
    replacement: "    if (value === true) return true"
  },
  {
    name: "NOT unknown is true",
    file: filter("SqlEvaluator"),
    text: "value === undefined ? undefined : !value",
    replacement: "!value"
  },
  {
    name: "a comparison with what is not there is false",
    file: filter("SqlEvaluator"),
    text: "return order === undefined ? undefined : holds(order)",
    replacement: "return order === undefined ? false : holds(order)"
  },
  {
    name: "less or equal is less",
    file: filter("SqlEvaluator"),
    text: "\"<=\": (order) => order <= 0",
    replacement: "\"<=\": (order) => order < 0"
  },
  {
    name: "NaN is not different",
    file: filter("SqlEvaluator"),
    text: "\"<>\": (order) => order !== 0",
    replacement: "\"<>\": (order) => order < 0 || order > 0"
  },
  {
    name: "IS NULL needs the property",
    file: filter("SqlEvaluator"),
    text: "((operand(message) ?? null) === null) !== node.isNegated",
    replacement: "(operand(message) === null) !== node.isNegated"
  },
  {
    name: "EXISTS needs a value",
    file: filter("SqlEvaluator"),
    text: "return (message) => operand(message) !== undefined",
    replacement: "return (message) => (operand(message) ?? undefined) !== undefined"
  },
  {
    name: "IN of what is not there is false",
    file: filter("SqlEvaluator"),
    text: "    if (value === undefined) return undefined\n    return items.some",
    replacement: "    return items.some"
  },
  {
    name: "IN takes any value in whose place an order can be told",
    file: filter("SqlEvaluator"),
    text: "SqlValue.compare(value, item(message)) === 0) !== node.isNegated",
    replacement: "(SqlValue.compare(value, item(message)) ?? 0) === 0) !== node.isNegated"
  },
  {
    name: "NOT LIKE is LIKE",
    file: filter("SqlEvaluator"),
    text: "pattern.matches(value) !== node.isNegated",
    replacement: "pattern.matches(value)"
  },
  {
    name: "a system property that there is not has no value",
    file: filter("SqlParser"),
    text: "    if (system === undefined) {",
    replacement: "    if (name === undefined) {"
  },
  {
    name: "a system property of the broker's own can be set",
    file: filter("SqlParser"),
    text: "if (target.scope === \"sys\" && settableNameOf(target.name) === undefined) {",
    replacement: "if (target.scope === undefined) {"
  },
  {
    name: "a wrong pattern of LIKE is an error of each message",
    file: filter("SqlEvaluator"),
    text: "const isFixed = (node: Expression): boolean => node.kind === \"constant\" || node.kind === \"parameter\"",
    replacement: "const isFixed = (node: Expression): boolean => node.kind === undefined"
  },
  {
    name: "REMOVE clears a system property",
    file: filter("SqlAction"),
    text: "    throw new FilterError(`The system property '${name}' cannot be removed.`)",
    replacement: ""
  },
  {
    name: "SET rounds a half up",
    file: filter("SqlConversion"),
    text: "rest < 0.5 || rest === 0.5 && below % 2 === 0 ? below",
    replacement: "rest < 0.5 ? below"
  },
  {
    name: "SET writes a number that its type does not have",
    file: filter("SqlConversion"),
    text: "if (whole < least || whole > most) throw new FilterError",
    replacement: "if (whole < least && whole > most) throw new FilterError"
  },
  {
    name: "SET puts null in the place of a number",
    file: filter("SqlConversion"),
    text: "if (given === undefined) return isReference(type) ? null : fail(\"null\", type)",
    replacement: "if (given === undefined) return null"
  },
  {
    name: "SET of any text over a boolean is a boolean",
    file: filter("SqlConversion"),
    text: "text === \"true\" || text === \"false\" ? text === \"true\"",
    replacement: "text !== \"\" ? text === \"true\""
  },
  {
    name: "names of properties have a case",
    file: filter("SqlEvaluator"),
    text: "  const name = node.name.toLowerCase()\n  return (message) => message.property(name)",
    replacement: "  const name = node.name\n  return (message) => message.property(name)"
  },
  {
    name: "names of parameters have a case",
    file: filter("SqlEvaluator"),
    text: "each.replace(/^@/, \"\").toLowerCase() === name",
    replacement: "each.replace(/^@/, \"\") === node.name"
  },
  {
    name: "text is compared without its case",
    file: filter("SqlValue"),
    text: "typeof right === \"string\" ? order(left, right) : undefined",
    replacement: "typeof right === \"string\" ? order(left.toLowerCase(), right.toLowerCase()) : undefined"
  },
  {
    name: "whole numbers of 64 bits are doubles",
    file: filter("SqlValue"),
    text: "typeof right === \"bigint\") return order(left, right)",
    replacement: "typeof right === \"bigint\") return order(Number(left), Number(right))"
  },
  {
    name: "a long that overflows wraps around",
    file: filter("SqlValue"),
    text: "if (BigInt.asIntN(64, result) === result) return result",
    replacement: "return BigInt.asIntN(64, result)"
  },
  {
    name: "whole numbers divide into doubles",
    file: filter("SqlValue"),
    text: "return withinRange(a / b, a, b)",
    replacement: "return Number(a) / Number(b) as never"
  },
  {
    name: "a remainder has the sign of the divisor",
    file: filter("SqlValue"),
    text: "      return a % b\n  }\n}\n\n/** A long",
    replacement: "      return (a % b + b) % b\n  }\n}\n\n/** A long"
  },
  {
    name: "a division of doubles by zero fails",
    file: filter("SqlValue"),
    text: "      return a / b\n",
    replacement: "      if (b === 0) throw new FilterError(\"zero\")\n      return a / b\n"
  },
  {
    name: "a float is compared as a double",
    file: filter("SqlValue"),
    text: ": [new Single(toSingle(a)), new Single(toSingle(b))]",
    replacement: ": [toDouble(a), toDouble(b)]"
  },
  {
    name: "a long becomes a float by way of a double",
    file: filter("SqlValue"),
    text: "size < 2n ** 53n ? Math.fround(Number(size))",
    replacement: "size < 2n ** 64n ? Math.fround(Number(size))"
  },
  {
    name: "decimals are doubles",
    file: filter("SqlValue"),
    text: "return [toDecimal(a), toDecimal(b)]",
    replacement: "return [toDouble(a), toDouble(b)]"
  },
  {
    name: "a text is no sum",
    file: filter("SqlValue"),
    text: "(typeof left === \"string\" || typeof right === \"string\")",
    replacement: "(typeof left === \"string\" && typeof right === \"string\")"
  },
  {
    name: "a time less a span is later",
    file: filter("SqlValue"),
    text: "const sign = operator === \"+\" ? 1n : -1n",
    replacement: "const sign = 1n"
  },
  {
    name: "_ takes no character",
    file: filter("LikePattern"),
    text: "signs.push(pattern[i] === \"_\" ? \"any\" : pattern.charCodeAt(i))",
    replacement: "signs.push(pattern.charCodeAt(i))"
  },
  {
    name: "% takes one character at least",
    file: filter("LikePattern"),
    text: "return isOpenAfter ? (value) => value.startsWith(text)",
    replacement: "return isOpenAfter ? (value) => value.startsWith(text) && value !== text"
  },
  {
    name: "what a run keeps is lost at the next word of bits",
    file: filter("LikePattern"),
    text: "carry = moved >>> width - 1 & 1",
    replacement: "carry = 0"
  },
  {
    name: "an escaped % is a run",
    file: filter("LikePattern"),
    text: "      signs.push(pattern.charCodeAt(i))\n    } else",
    replacement:
      "      if (pattern[i] === \"%\") runs.add(signs.length)\n      else signs.push(pattern.charCodeAt(i))\n    } else"
  },
  {
    name: "OR binds before AND",
    file: filter("SqlParser"),
    text: "    return this.chain(\"OR\", \"or\", () => this.and())",
    replacement: "    return this.chain(\"AND\", \"and\", () => this.chain(\"OR\", \"or\", () => this.not()))"
  },
  {
    name: "NOT binds before a comparison's AND is read",
    file: filter("SqlParser"),
    text: "operand: this.asPredicate(this.not()) }))",
    replacement: "operand: this.asPredicate(this.and()) }))"
  },
  {
    name: "products are sums: from left to right",
    file: filter("SqlParser"),
    text: "return this.binary([\"+\", \"-\"], () => this.multiplicative())",
    replacement: "return this.binary([\"+\", \"-\", \"*\", \"/\", \"%\"], () => this.sign())"
  },
  {
    name: "the least integer is too large",
    file: filter("SqlParser"),
    text: "return { kind: \"constant\", value: this.integer(-1n) }",
    replacement: "return { kind: \"constant\", value: -this.integer(1n) }"
  },
  {
    name: "a doubled quote ends a text",
    file: filter("SqlLexer"),
    text: "if (text[next + 1] !== last) return { value, end: next + 1 }",
    replacement: "return { value, end: next + 1 }"
  },
  {
    name: "SET forgets the type that was there",
    file: filter("SqlAction"),
    text: "value: value === undefined ? undefined : SqlConversion.convert(before, value)",
    replacement: "value"
  },
  {
    name: "SET makes a second property of another spelling",
    file: filter("SqlAction"),
    text: "name: before === undefined ? name : this.spelling(lower) ?? name,",
    replacement: "name,"
  },
  {
    name: "a statement does not see the one before",
    file: filter("SqlAction"),
    text: "return changed === undefined ? this.before.property(name) : changed.value",
    replacement: "return this.before.property(name)"
  },
  {
    name: "one condition of a correlation filter is enough",
    file: filter("CorrelationFilter"),
    text: "systems.every(({ name, value }) => message.system(name) === value) &&",
    replacement: "systems.some(({ name, value }) => message.system(name) === value) ||"
  },
  {
    name: "unknown matches",
    file: filter("Rule"),
    text: "return (message) => decide(message) === true",
    replacement: "return (message) => decide(message) !== false"
  },
  {
    name: "properties are read without their exact types",
    file: "amqp/StoredProperties.ts",
    text: "const exactReader = new Reader(Buffer.alloc(0), 0, 0, true)",
    replacement: "const exactReader = new Reader(Buffer.alloc(0), 0, 0, false)"
  },
  {
    name: "the first property that was read is the value of all",
    file: "amqp/StoredProperties.ts",
    text: "if (this.isRead[at] === true) return this.values[at]",
    replacement: "if (this.isRead[at] === true) return this.values[0]"
  },
  {
    name: "a changed property is there twice",
    file: "amqp/StoredPayload.ts",
    text: "let count = copyEntries(writer, sections, at, changed)",
    replacement: "let count = copyEntries(writer, sections, at, nothing)"
  }
]
