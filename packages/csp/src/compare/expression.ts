/**
 * Expressions by what they say, however they are written.
 * @module
 */
import type { AncestorSource, SourceExpression } from "../policy/source-list.ts";

/** What makes two expressions the same one. */
export function keyOf(source: SourceExpression | AncestorSource): string {
  switch (source.type) {
    case "scheme-source":
      return `${source.schemePart}:`;
    case "host-source": {
      const { schemePart, hostPart, portPart, pathPart, text } = source;
      return text === "*" ? text : `${schemePart ?? ""}://${hostPart}:${portPart ?? ""}${pathPart}`;
    }
    case "nonce-source":
      return `'nonce-${source.base64Value}'`;
    case "hash-source":
      return `'${source.hashAlgorithm}-${source.base64Value}'`;
    case "keyword-source":
      return source.keyword;
    case "none":
      return "'none'";
    case "invalid":
      return source.text;
  }
}
