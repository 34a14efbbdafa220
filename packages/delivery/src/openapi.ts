/**
 * The service described in OpenAPI 3.1, made from the table of routes and the schemas it names.
 * @module
 */

import { z } from "zod";
import * as protocol from "./protocol/index.ts";
import {
  type OpenApiDocument,
  PROBLEMS,
  type ProblemCode,
  problemsOf,
  ROUTES,
  type Route,
  type RouteAnswer,
  segmentsOf,
} from "./protocol/index.ts";

const DESCRIPTION = [
  "Bytes are base64url without padding; times are milliseconds since the Unix epoch; numbers that may pass 2^53 are decimal strings.",
  "Members that a client does not know are to be passed over.",
  "A refusal is a problem (RFC 9457), told apart by its `code`; newer services may know more of them.",
].join(" ");

const FRAMES = [
  "Over the WebSocket come texts with JSON.",
  "The device's first one signs it in; those of the service are doorbells:",
  "they may be lost or come twice, and what they tell of is read from the log and the inbox.",
  "Those of groups carry entries that are small, if the hello asks for that: who has read up to the one before them takes them from there.",
].join(" ");

type Json = Readonly<Record<string, unknown>>;

/** The document. It is the same each time. */
export function openApiDocument(): OpenApiDocument {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const [name, route] of Object.entries<Route>(ROUTES)) {
    paths[route.path] = {
      ...paths[route.path],
      [route.method.toLowerCase()]: operation(name, route),
    };
  }
  return {
    openapi: "3.1.1",
    info: { title: "Conclave delivery service", version: "1", description: DESCRIPTION },
    servers: [{ url: "/" }],
    paths,
    components: {
      schemas,
      responses: problemResponses(),
      securitySchemes: {
        token: { type: "http", scheme: "bearer", description: "The token that `signIn` answers." },
      },
    },
  };
}

/** What the protocol exports as a schema has its name here too, in the order of names. */
const named = z.registry<{ readonly id: string }>();
for (const [id, value] of Object.entries<unknown>(protocol).toSorted(([a], [b]) =>
  a < b ? -1 : 1,
)) {
  if (value instanceof z.ZodType) named.add(value, { id });
}

const schemas: Json = withoutNoise(
  z.toJSONSchema(named, { io: "input", uri: (id) => `#/components/schemas/${id}` }).schemas,
);

/** Without what says nothing in this place. */
function withoutNoise<T>(value: T): T {
  // A replacer is called with whatever JSON holds: the form stays, members go.
  return JSON.parse(
    JSON.stringify(value, (key: string, inner: unknown) => {
      if (key === "$schema" || key === "$id") return undefined;
      return inner === Number.MIN_SAFE_INTEGER || inner === Number.MAX_SAFE_INTEGER
        ? undefined
        : inner;
    }),
  ) as T;
}

function schemaOf(schema: z.ZodType): Json {
  const id = named.get(schema)?.id;
  if (id !== undefined) return { $ref: `#/components/schemas/${id}` };
  return withoutNoise(z.toJSONSchema(schema, { io: "input" }));
}

function operation(operationId: string, route: Route): Json {
  const { summary, signIn, query = {}, headers = {}, body, answer, frames } = route;
  const parameters = [
    ...segmentsOf(route.path).map((name) => ({
      name,
      in: "path",
      required: true,
      schema: { type: "string", contentEncoding: "base64url", minLength: 2, maxLength: 86 },
    })),
    ...Object.entries(query).map(([name, schema]) => ({
      name,
      in: "query",
      required: !schema.safeParse(undefined).success,
      schema: schemaOf(schema instanceof z.ZodOptional ? (schema.unwrap() as z.ZodType) : schema),
    })),
    ...Object.entries(headers.request ?? {}).map(([name, says]) => ({
      name,
      in: "header",
      description: says,
      schema: { type: "string" },
    })),
  ];
  const done = { ...response(answer), ...answerHeaders(headers.answer) };
  const description = [
    body && `The body has at most ${body.limit} bytes.`,
    frames && FRAMES,
  ].filter((text) => text !== undefined);
  return {
    operationId,
    summary,
    ...(description.length > 0 && { description: description.join(" ") }),
    ...(signIn && { security: [{ token: [] }] }),
    ...(parameters.length > 0 && { parameters }),
    ...(body && {
      requestBody: {
        required: true,
        content:
          "schema" in body
            ? { "application/json": { schema: schemaOf(body.schema) } }
            : { [body.type]: {} },
      },
    }),
    responses: {
      [answer.status]: done,
      ...("ranges" in answer && { 206: { ...done, description: "These bytes." } }),
      ...problems(problemsOf(route)),
    },
    ...(frames && {
      "x-frames": {
        fromDevice: frames.fromDevice.map(schemaOf),
        fromService: frames.fromService.map(schemaOf),
      },
    }),
  };
}

function answerHeaders(headers: Readonly<Record<string, string>> | undefined): Json {
  if (headers === undefined) return {};
  const described = Object.entries(headers).map(([name, says]) => [
    name,
    { description: says, schema: { type: "string" } },
  ]);
  return { headers: Object.fromEntries(described) as unknown };
}

function response(answer: RouteAnswer): Json {
  if ("schema" in answer) {
    return {
      description: "Done.",
      content: { "application/json": { schema: schemaOf(answer.schema) } },
    };
  }
  if ("type" in answer) return { description: "Done.", content: { [answer.type]: {} } };
  return { description: answer.status === 101 ? "The WebSocket." : "Done." };
}

/** One response a status: which codes of that status there may be. */
function problems(codes: readonly ProblemCode[]): Json {
  return Object.fromEntries(
    [...byStatus(codes)].map(([status, known]) => [
      status,
      { $ref: `#/components/responses/${known.join(".")}` },
    ]),
  );
}

function byStatus(codes: readonly ProblemCode[]): Map<number, ProblemCode[]> {
  return Map.groupBy(codes.toSorted(), (code) => PROBLEMS[code][0]);
}

/** The responses that `problems` refers to. */
function problemResponses(): Json {
  const responses: Record<string, Json> = {};
  for (const route of Object.values<Route>(ROUTES)) {
    for (const known of byStatus(problemsOf(route)).values()) {
      responses[known.join(".")] = {
        description: known.map((code) => `\`${code}\`: ${PROBLEMS[code][1]}`).join(" "),
        ...(known.some((code) => code === "too-many-requests" || code === "unavailable") && {
          headers: { "Retry-After": { description: "Seconds.", schema: { type: "integer" } } },
        }),
        content: {
          "application/problem+json": {
            schema: {
              allOf: [
                { $ref: "#/components/schemas/Problem" },
                { properties: { code: { enum: known } } },
              ],
            },
          },
        },
      };
    }
  }
  return responses;
}
