/**
 * The quotas of a message's properties (Service Bus quotas), and how they are counted.
 *
 * A file of its own because client and broker hold the same quotas: the client when it encodes a message, the broker when it
 * stores or changes one.
 */

/**
 * Bytes of the largest property: 32 KB. What counts is the value of one application property as it is encoded, without its
 * key and without the five bytes of constructor and length that every value so large begins with, so that a text of
 * exactly 32,768 bytes of UTF-8 is taken.
 */
export const maxPropertySize = 32 * 1024

/**
 * Bytes of all properties together: 64 KB. What counts is everything of the encoded message but its body and its footer:
 * header, annotations, properties and application properties, with their descriptors.
 */
export const maxPropertiesSize = 64 * 1024

/** Whether a property is over its quota, by the length of its encoded value. */
export const isPropertyTooLarge = (encodedLength: number): boolean => encodedLength - 5 > maxPropertySize

/** Whether the properties are over their quota, by the length of all sections but body and footer. */
export const arePropertiesTooLarge = (encodedLength: number): boolean => encodedLength > maxPropertiesSize
