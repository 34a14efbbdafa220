/**
 * Holds every answer that a test sees against the service's description of itself.
 * @module
 */

import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { openApiDocument } from "../../src/openapi.ts";

interface Operation {
  readonly responses: Readonly<Record<string, Described | { readonly $ref: string }>>;
}
interface Described {
  readonly content?: Readonly<Record<string, { readonly schema?: object }>>;
}
/** The parts of the document that are looked into; that it has them is tested in `openapi.test.ts`. */
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly responses: Readonly<Record<string, Described>> };
}

/** No member is answered that the description does not have, though clients would pass over it. */
function closed(_: string, value: unknown): unknown {
  const isObject = value !== null && typeof value === "object" && "properties" in value;
  if (!isObject || !("type" in value) || "additionalProperties" in value) return value;
  return { ...value, additionalProperties: false };
}

const document = JSON.parse(JSON.stringify(openApiDocument(), closed)) as Document;
const ajv = new Ajv2020({ strict: false, schemas: [{ $id: "service", ...document }] });
const validators = new Map<string, ValidateFunction>();

function operationOf(method: string, path: string): Operation | undefined {
  const segments = path.split("?")[0]?.split("/") ?? [];
  for (const [pattern, operations] of Object.entries(document.paths)) {
    const parts = pattern.split("/");
    const fits =
      parts.length === segments.length &&
      parts.every((part, i) => part.startsWith("{") || part === segments[i]);
    if (fits) return operations[method.toLowerCase()];
  }
  return undefined;
}

/** Throws where a route that is described answers what is not. */
export function checkDescribed(
  method: string,
  path: string,
  answer: { readonly status: number; readonly type: string | null; readonly body: unknown },
): void {
  const operation = operationOf(method, path);
  if (operation === undefined) return;
  const fail = (what: string): never => {
    // Said only where it is wanted: a blob is long.
    const body = answer.body instanceof Uint8Array ? "bytes" : JSON.stringify(answer.body);
    throw new Error(`${method} ${path} answered ${answer.status} ${body}: ${what}`);
  };
  const said = operation.responses[answer.status];
  if (said === undefined) return fail("the status is not described");
  const response = "$ref" in said ? responseAt(said.$ref) : said;
  const media = response?.content?.[answer.type ?? ""];
  if (media === undefined) {
    if (answer.type === null && response?.content === undefined) return;
    return fail(`the media type ${answer.type} is not described`);
  }
  if (media.schema === undefined) return;
  const text = JSON.stringify(media.schema).replaceAll('"#/', '"service#/');
  const validate = validators.get(text) ?? ajv.compile(JSON.parse(text) as object);
  validators.set(text, validate);
  if (!validate(answer.body)) fail(ajv.errorsText(validate.errors));
}

function responseAt(reference: string): Described | undefined {
  return document.components.responses[reference.split("/").at(-1) ?? ""];
}
