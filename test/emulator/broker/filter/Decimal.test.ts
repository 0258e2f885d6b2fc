/** Decimals: AMQP's bytes, arithmetic and its limits. The bytes are those of IEEE 754-2008 in binary integer form. */
import * as Decimal from "../../../../src/emulator/broker/filter/Decimal.ts"
import { FilterError } from "../../../../src/emulator/broker/filter/FilterMessage.ts"
import { assert, describe, it } from "../../../support/vitest.ts"

const of = (text: string): Decimal.Decimal => {
  const scale = text.includes(".") ? text.length - text.indexOf(".") - 1 : 0
  return new Decimal.Decimal(BigInt(text.replace(".", "")), scale)
}

describe("Decimal", () => {
  it("is read from the bytes of each size", () => {
    const cases: ReadonlyArray<readonly [hex: string, text: string | undefined]> = [
      ["32800001", "1"],
      ["b2800001", "-1"],
      ["3200000f", "1.5"],
      ["32000001", "0.1"],
      ["33000001", "10"],
      // Ten million less one, and one more than the short form holds: 8,388,608 begins with 100.
      ["6cb8967f", "9999999"],
      ["6ca00000", "8388608"],
      // Ten million is not canonical, and means zero.
      ["6cb89680", "0"],
      ["78000000", undefined],
      ["f8000000", undefined],
      ["7c000000", undefined],
      ["31c0000000000001", "1"],
      ["31a0000000000019", "2.5"],
      ["6c7386f26fc0ffff", "9999999999999999"],
      ["30400000000000000000000000000001", "1"],
      ["b03e0000000000000000000000000019", "-2.5"],
      ["3041ffffffffffffffffffffffffffff", "0"],
      ["6c100000000000000000000000000001", "0"],
      ["3041ed09bead87c0378d8e63ffffffff", "9999999999999999999999999999999999"],
      ["01", undefined]
    ]
    for (const [hex, text] of cases) {
      const value = Decimal.ofBytes(Buffer.from(hex, "hex"))
      assert.strictEqual(value && Decimal.toText(value).replace(/^0+$/, "0"), text, hex)
    }
  })

  it("is written as a decimal128, and comes back", () => {
    for (
      const text of ["0", "1", "-1", "0.1", "-2.50", "79228162514264337593543950335", "0.0000000000000000000000000001"]
    ) {
      const bytes = Decimal.toBytes(of(text))
      assert.strictEqual(bytes.length, 16)
      assert.strictEqual(Decimal.toText(Decimal.ofBytes(bytes)!), text)
    }
    assert.strictEqual(Buffer.from(Decimal.toBytes(of("-2.5"))).toString("hex"), "b03e0000000000000000000000000019")
  })

  it("is compared by value, not by digits", () => {
    assert.strictEqual(Decimal.compare(of("1.50"), of("1.5")), 0)
    assert.isBelow(Decimal.compare(of("-2"), of("1")), 0)
    assert.isAbove(Decimal.compare(of("0.2"), of("0.19")), 0)
    const largest = Decimal.ofBytes(Buffer.from("5fffed09bead87c0378d8e63ffffffff", "hex"))!
    const least = Decimal.ofBytes(Buffer.from("00000000000000000000000000000001", "hex"))!
    assert.isAbove(Decimal.compare(largest, least), 0)
    assert.isAbove(Decimal.compare(least, of("0")), 0)
  })

  it("calculates to 28 digits after the point, half to even", () => {
    const result = (a: string, operator: "+" | "-" | "*" | "/" | "%", b: string) =>
      Decimal.toText(Decimal.calculate(operator, of(a), of(b)))
    assert.strictEqual(result("0.1", "+", "0.2"), "0.3")
    assert.strictEqual(result("1", "/", "3"), "0.3333333333333333333333333333")
    assert.strictEqual(result("2", "/", "3"), "0.6666666666666666666666666667")
    assert.strictEqual(result("-2", "/", "3"), "-0.6666666666666666666666666667")
    assert.strictEqual(result("10", "/", "4"), "2.5")
    assert.strictEqual(result("7.5", "%", "2"), "1.5")
    assert.strictEqual(result("-7.5", "%", "2"), "-1.5")
    assert.strictEqual(result("0.0000000000000000000000000001", "*", "0.5"), "0.0000000000000000000000000000")
    assert.strictEqual(result("0.0000000000000000000000000003", "*", "0.5"), "0.0000000000000000000000000002")
    assert.strictEqual(result("79228162514264337593543950334", "+", "1"), "79228162514264337593543950335")
    assert.strictEqual(result("79228162514264337593543950334", "+", "0.4"), "79228162514264337593543950334")
    assert.throws(() => result("79228162514264337593543950335", "+", "1"), FilterError, "too large")
    assert.throws(() => result("79228162514264337593543950335", "*", "-2"), FilterError, "too large")
    assert.throws(() => result("1", "/", "0"), FilterError, "divide by zero")
    assert.throws(() => result("1", "%", "0.0"), FilterError, "divide by zero")
  })

  it("becomes the nearest double", () => {
    assert.strictEqual(Decimal.toNumber(of("0.1")), 0.1)
    assert.strictEqual(Decimal.toNumber(of("79228162514264337593543950335")), 7.922816251426434e28)
    assert.strictEqual(Decimal.toNumber(new Decimal.Decimal(1n, -400)), Infinity)
  })
})
