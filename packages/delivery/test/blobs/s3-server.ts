/**
 * An S3-compatible server on this machine, which checks signatures by code of its own.
 * @module
 */

import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import S3rver from "@20minutes/s3rver";
import type { S3Options } from "@conclave/delivery";

export interface S3Server {
  readonly options: S3Options;
  /** So many of the next requests are answered with this status. */
  readonly failing: { count: number; status: number };
  /** The requests that came, each with its method and path. */
  readonly requests: readonly string[];
  readonly close: () => Promise<void>;
}

export async function startS3Server(): Promise<S3Server> {
  const folder = await mkdtemp(join(tmpdir(), "s3-"));
  const bucket = "attachments";
  const s3 = new S3rver({ silent: true, directory: folder, configureBuckets: [{ name: bucket }] });
  await s3.configureBuckets();
  const failing = { count: 0, status: 503 };
  const requests: string[] = [];
  const handle = s3.callback();
  const server = createServer((incoming, outgoing) => {
    requests.push(`${incoming.method} ${incoming.url}`);
    if (failing.count > 0) {
      failing.count -= 1;
      incoming.resume();
      outgoing.writeHead(failing.status).end("<Error/>");
      return;
    }
    handle(incoming, outgoing);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  // Of an IP server that listens, it is never a path or null.
  const { port } = server.address() as AddressInfo;
  return {
    options: {
      endpoint: `http://127.0.0.1:${port}`,
      bucket,
      region: "us-east-1",
      accessKeyId: "S3RVER",
      secretAccessKey: "S3RVER",
      prefix: "conclave/blobs/",
    },
    failing,
    requests,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(folder, { recursive: true });
    },
  };
}
