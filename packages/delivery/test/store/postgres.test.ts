import { openPostgresStore } from "@conclave/delivery";
import { afterAll, beforeAll } from "vitest";
import { type PostgresServer, startPostgres } from "../postgres.ts";
import { storeContract } from "./contract.ts";
import { upkeepContract } from "./contract-upkeep.ts";

let server: PostgresServer;
let url: string;
beforeAll(async () => {
  server = await startPostgres();
  url = await server.database();
});
afterAll(() => server.stop());

const open = async () => {
  await server.clear(url);
  return openPostgresStore(url);
};
storeContract("PostgreSQL", open);
upkeepContract("PostgreSQL", open);
