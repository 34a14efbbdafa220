import { openPostgresStore } from "@conclave/delivery";
import { afterAll, beforeAll } from "vitest";
import { type PostgresServer, startPostgres } from "../postgres.ts";
import { storeContract } from "./contract.ts";

let server: PostgresServer;
let url: string;
beforeAll(async () => {
  server = await startPostgres();
  url = await server.database();
});
afterAll(() => server.stop());

storeContract("PostgreSQL", async () => {
  await server.clear(url);
  return openPostgresStore(url);
});
