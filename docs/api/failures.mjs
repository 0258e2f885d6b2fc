// A plugin of typedoc: the private type `Failure<U>` of receivers and sessions is shown as what it stands for. typedoc's own
// `@inline` writes the members of MessageDecodeError out instead of its name.
import { ConditionalType, Converter, IntrinsicType, LiteralType, makeRecursiveVisitor, ReferenceType } from "typedoc"

const isFailure = (type) => type instanceof ReferenceType && type.name === "Failure"

export const load = (app) => {
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    const error = project.getChildByName(["ServiceBusError", "MessageDecodeError"])
    if (error === undefined) throw new Error("ServiceBusError.MessageDecodeError is not in the reference")
    const conditional = ({ typeArguments: [given] }) =>
      new ConditionalType(
        new LiteralType("fail"),
        given,
        ReferenceType.createResolvedReference(error.name, error, project),
        new IntrinsicType("never")
      )
    const visitor = makeRecursiveVisitor({
      reference: (type) => {
        type.typeArguments = type.typeArguments?.map((argument) =>
          isFailure(argument) ? conditional(argument) : argument
        )
      }
    })
    for (const reflection of Object.values(project.reflections)) reflection.type?.visit(visitor)
  })
}
