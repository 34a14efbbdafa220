import { readFile } from "node:fs/promises";
import { ROUTES, type Route } from "@conclave/delivery/protocol";
import { Validator } from "@seriousme/openapi-schema-validator";
import { expect, it } from "vitest";
import { openApiDocument } from "../src/openapi.ts";
import { checkDescribed } from "./openapi/described.ts";
import { DOCUMENT_FILE, documentText } from "./openapi/document.ts";
import { call, startWorld } from "./world.ts";

it("the description in docs is the one that the table of routes gives", async () => {
  expect(await readFile(DOCUMENT_FILE, "utf8")).toBe(documentText());
});

it("the description is valid OpenAPI 3.1, and everything that it refers to is there", async () => {
  const validator = new Validator();
  const { errors, valid } = await validator.validate({ ...openApiDocument() });
  expect(errors).toBeUndefined();
  expect(valid).toBe(true);
  expect(validator.version).toBe("3.1");
  expect(() => validator.resolveRefs()).not.toThrow();
});

it("the description has each route, and the service hands it out", async () => {
  const world = await startWorld();
  const { body } = await call(world, "GET", "/v1/openapi.json");
  expect(body).toEqual(JSON.parse(documentText()));
  for (const [name, { method, path }] of Object.entries<Route>(ROUTES)) {
    expect(body.paths[path][method.toLowerCase()].operationId).toBe(name);
  }
  await world.close();
});

it("an answer that is not described is noticed, whatever test sees it", () => {
  const type = "application/json";
  const ask = (status: number, body: unknown, media: string | null = type) => {
    checkDescribed("GET", "/v1/inbox?after=1", { status, type: media, body });
  };
  ask(200, { entries: [] });
  expect(() => ask(200, { entries: [], more: 1 })).toThrow("additional properties");
  expect(() => ask(200, { entries: [{ seq: 1 }] })).toThrow("groupId");
  expect(() => ask(201, { entries: [] })).toThrow("status");
  expect(() => ask(200, "text", "text/plain")).toThrow("media type");
  const problem = { type: "t", title: "t", status: 400 };
  const problemType = "application/problem+json";
  ask(400, { ...problem, code: "bad-request" }, problemType);
  expect(() => ask(400, { ...problem, code: "name-taken" }, problemType)).toThrow("code");
});
