import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ConfigurationError, loadConfiguration, settings, withoutSecrets } from "../src/config.ts";
import { DEFAULT_LIMITS } from "../src/limits.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "config-"));
});
afterAll(() => rm(folder, { recursive: true }));

const ORIGIN = { CONCLAVE_PUBLIC_ORIGIN: "https://delivery.example" };

let count = 0;
async function aFile(content: string): Promise<string> {
  const file = join(folder, `${++count}.toml`);
  await writeFile(file, content);
  return file;
}

/** The lines of what is wrong. */
async function wrong(
  environment: Readonly<Record<string, string>>,
  file?: string,
): Promise<readonly string[]> {
  const error: unknown = await loadConfiguration(environment, { file }).catch((e: unknown) => e);
  if (!(error instanceof ConfigurationError)) throw error;
  return error.message.split("\n");
}

describe("the configuration", () => {
  it("needs the public origin alone; everything else does no harm by default", async () => {
    expect(await loadConfiguration(ORIGIN)).toEqual({
      publicOrigin: "https://delivery.example",
      allowedOrigins: [],
      listen: { host: "127.0.0.1", port: 8441 },
      trustedProxies: 0,
      contact: "ask",
      registration: "open",
      data: "conclave-data",
      tls: undefined,
      database: { url: "sqlite:conclave-data/conclave.sqlite" },
      blobs: undefined,
      metrics: undefined,
      log: { level: "request", format: "json" },
      shutdown: { delay: 0, spread: 2, grace: 10 },
      retention: { interval: 10 },
      limits: DEFAULT_LIMITS,
      warnings: [expect.stringMatching(/^trustedProxies is 0, and without tls/)],
    });
    expect(await wrong({})).toEqual([
      "publicOrigin (CONCLAVE_PUBLIC_ORIGIN) is needed: an origin, such as https://delivery.example.org",
    ]);
  });

  it("comes from a file, and from variables, which win", async () => {
    const file = await aFile(`
      publicOrigin = "https://delivery.example"
      allowedOrigins = ["https://a.example", "https://b.example"]
      listen = "[::1]:9000"
      [retention]
      days = 30
      [limits]
      inbox = 5
      address = { burst = 7 }
    `);
    const configuration = await loadConfiguration(
      { CONCLAVE_CONFIG: file, CONCLAVE_RETENTION_DAYS: "7", CONCLAVE_LIMITS_SIGN_IN_BURST: "3" },
      {},
    );
    expect(configuration).toMatchObject({
      allowedOrigins: ["https://a.example", "https://b.example"],
      listen: { host: "::1", port: 9000 },
      retention: { days: 7 },
      limits: {
        inbox: 5,
        address: { burst: 7, perSecond: DEFAULT_LIMITS.address.perSecond },
        signIn: { burst: 3, perSecond: DEFAULT_LIMITS.signIn.perSecond },
      },
    });
    const both = { ...ORIGIN, CONCLAVE_ALLOWED_ORIGINS: "https://a.example, https://b.example" };
    expect((await loadConfiguration(both)).allowedOrigins).toHaveLength(2);
    expect((await loadConfiguration({ ...both, CONCLAVE_LISTEN: "" })).listen).toMatchObject({
      port: 8441,
    });
  });

  it("says of everything that is wrong which setting it is and what it has to be", async () => {
    const file = await aFile(`
      publicOrigin = "https://delivery.example/path"
      trustedProxys = 1
      tls = "yes"
      [log]
      level = "loud"
      [limits]
      "inbox" = -1
      signIn = { burst = 0 }
      [limits.address]
      perSecond = 0
      [limts]
    `);
    const lines = await wrong(
      { CONCLAVE_LISTEN: "8441", CONCLAVE_RETENTION_DAYS: "many", CONCLAVE_DATABASE_ULR: "x" },
      file,
    );
    expect(lines.map((line) => line.replace(file, "FILE")).toSorted()).toEqual([
      "CONCLAVE_DATABASE_ULR is no setting; did you mean CONCLAVE_DATABASE_URL?",
      "FILE:11: limits.address.perSecond has to be a number above 0",
      "FILE:12: limts is no setting; did you mean limits?",
      "FILE:2: publicOrigin has to be an origin, such as https://delivery.example.org",
      "FILE:3: trustedProxys is no setting; did you mean trustedProxies?",
      "FILE:4: tls has to be a section",
      "FILE:6: log.level has to be request, event or error",
      "FILE:8: limits.inbox has to be a whole number, 1 or more",
      "FILE:9: limits.signIn.burst has to be a whole number, 1 or more",
      "listen (CONCLAVE_LISTEN) has to be HOST:PORT, such as 127.0.0.1:8441 or [::1]:8441, or unix:/PATH",
      "retention.days (CONCLAVE_RETENTION_DAYS) has to be a number of days, 1 or more",
    ]);
  });

  it("names the line of the file also for what doesn't go together, unless a variable says it", async () => {
    const file = await aFile(`publicOrigin = "https://delivery.example"
listen = "127.0.0.1:1"
[metrics]
listen = "127.0.0.1:1"
[database]
url = "mysql://very-secret"
urlFile = "/none"
[tls]
keyFile = "key.pem"
[blobs]
bucket = "b"`);
    const first = async (environment: Readonly<Record<string, string>>) =>
      (await wrong(environment, file)).map((line) => line.replace(file, "FILE"));
    const both = { CONCLAVE_TLS_CERT_FILE: "cert.pem" };
    const apart = { ...both, CONCLAVE_METRICS_LISTEN: "127.0.0.1:2" };
    expect(await first({})).toEqual([
      "FILE:8: tls.certFile and tls.keyFile belong together: one is missing",
    ]);
    expect(await first(both)).toEqual([
      "FILE:4: listen and metrics.listen are one address: each needs its own",
    ]);
    expect(await first(apart)).toEqual([
      "FILE:7: database.url and database.urlFile are both given: one of them is enough",
    ]);
    const url = await aFile("mysql://very-secret");
    const named = { ...apart, CONCLAVE_DATABASE_URL_FILE: url };
    expect(await first(named)).toEqual([
      "FILE:6: database.url and database.urlFile are both given: one of them is enough",
    ]);
    expect(await wrong({ ...ORIGIN, CONCLAVE_CONFIG: join(folder, "none") })).toEqual([
      expect.stringMatching(
        /^CONCLAVE_CONFIG names \S+none, which can't be read: there is nothing/,
      ),
    ]);
    expect(await wrong(ORIGIN, join(folder, "none"))).toEqual([
      expect.stringMatching(/^--config names \S+none, which can't be read: there is nothing/),
    ]);
  });

  it("takes secrets from files, and shows none in an error", async () => {
    const secret = "postgres://conclave:very-secret@db.example/conclave?sslpassword=also";
    const urlFile = await aFile(`${secret}\n`);
    const held = await loadConfiguration({ ...ORIGIN, CONCLAVE_DATABASE_URL_FILE: urlFile });
    expect(held.database.url).toBe(secret);
    expect(withoutSecrets(secret)).toBe("postgres://conclave@db.example/conclave");
    const complaints = [
      await wrong({
        ...ORIGIN,
        CONCLAVE_DATABASE_URL: secret,
        CONCLAVE_DATABASE_URL_FILE: urlFile,
      }),
      await wrong({ ...ORIGIN, CONCLAVE_DATABASE_URL: "mysql://u:very-secret@db.example/x" }),
      await wrong({
        ...ORIGIN,
        CONCLAVE_METRICS_LISTEN: "127.0.0.1:1",
        CONCLAVE_METRICS_TOKEN: "very-secret",
      }),
      await wrong(ORIGIN, await aFile(`database = { url = "very-secret" oops }`)),
      await wrong({ ...ORIGIN, CONCLAVE_DATABASE_URL_FILE: join(folder, "none") }),
      await wrong({ ...ORIGIN, CONCLAVE_DATABASE_URL_FILE: await aFile("\n") }),
    ];
    expect(complaints.flat().join("\n")).not.toContain("secret");
    expect(complaints.map(([line]) => line?.replaceAll(folder, ""))).toEqual([
      "database.url and database.urlFile are both given: one of them is enough",
      "database.url (CONCLAVE_DATABASE_URL) has to be sqlite:PATH or postgres://…",
      "metrics.token (CONCLAVE_METRICS_TOKEN) has to be a token of 16 characters or more",
      expect.stringMatching(/^\/\d+\.toml:1:\d+: Invalid TOML document: /),
      expect.stringMatching(
        /^database\.urlFile names \/none, which can't be read: there is nothing by that name/,
      ),
      expect.stringMatching(/^database\.urlFile names \/\d+\.toml, which is empty$/),
    ]);
  });

  it("reminds of the quotes where a text has none", async () => {
    expect(await wrong({}, await aFile("publicOrigin = https://a.example"))).toEqual([
      expect.stringMatching(/:1:16: Invalid TOML document: invalid value: texts stand in quotes$/),
    ]);
  });

  it("refuses what doesn't go together", async () => {
    expect(await wrong({ ...ORIGIN, CONCLAVE_TLS_CERT_FILE: "cert.pem" })).toEqual([
      "tls.certFile and tls.keyFile belong together: one is missing",
    ]);
    const bucket = { CONCLAVE_BLOBS_ENDPOINT: "https://s3.example", CONCLAVE_BLOBS_BUCKET: "b" };
    expect(await wrong({ ...ORIGIN, ...bucket })).toEqual([
      "blobs.accessKeyId is missing: an S3-compatible store needs it",
    ]);
    const keys = { CONCLAVE_BLOBS_ACCESS_KEY_ID: "id", CONCLAVE_BLOBS_SECRET_ACCESS_KEY: "key" };
    expect((await loadConfiguration({ ...ORIGIN, ...bucket, ...keys })).blobs).toEqual({
      endpoint: "https://s3.example",
      bucket: "b",
      region: "us-east-1",
      accessKeyId: "id",
      secretAccessKey: "key",
    });
    const socket = { ...ORIGIN, CONCLAVE_LISTEN: "unix:/run/conclave/delivery.sock" };
    expect(await wrong(socket)).toEqual([
      "listen is a unix socket, so a proxy stands before it: trustedProxies has to be 1 or more",
    ]);
    const proxied = { ...socket, CONCLAVE_TRUSTED_PROXIES: "1" };
    expect(await loadConfiguration(proxied)).toMatchObject({
      listen: { path: "/run/conclave/delivery.sock" },
    });
  });

  it("warns of what is allowed and most likely not meant", async () => {
    const warned = async (environment: Readonly<Record<string, string>>) =>
      (
        await loadConfiguration({ ...ORIGIN, CONCLAVE_TRUSTED_PROXIES: "1", ...environment })
      ).warnings.map((line) => line.split(" ")[0]);
    const token = { CONCLAVE_METRICS_TOKEN: "a-token-of-some-length" };
    expect(await warned({ CONCLAVE_PUBLIC_ORIGIN: "http://delivery.example" })).toEqual([
      "publicOrigin",
    ]);
    for (const host of ["localhost", "chat.localhost", "127.0.0.1", "[::1]"]) {
      expect(await warned({ CONCLAVE_PUBLIC_ORIGIN: `http://${host}:8441` })).toEqual([]);
    }
    expect(await warned(token)).toEqual(["metrics.token"]);
    for (const all of ["0.0.0.0:1", "[::]:1"]) {
      expect(await warned({ CONCLAVE_METRICS_LISTEN: all })).toEqual(["metrics.listen"]);
      expect(await warned({ CONCLAVE_METRICS_LISTEN: all, ...token })).toEqual(["metrics.listen"]);
    }
    expect(await warned({ CONCLAVE_METRICS_LISTEN: "127.0.0.1:1", ...token })).toEqual([]);
    const direct = { CONCLAVE_TRUSTED_PROXIES: "0" };
    expect(await warned(direct)).toEqual(["trustedProxies"]);
    const tls = { CONCLAVE_TLS_CERT_FILE: "cert.pem", CONCLAVE_TLS_KEY_FILE: "key.pem" };
    expect(await warned({ ...direct, ...tls })).toEqual([]);
    const local = { CONCLAVE_PUBLIC_ORIGIN: "http://localhost:8441" };
    expect(await warned({ ...direct, ...local })).toEqual([]);
    for (const [origins, expected] of [
      ["https://chat.example http://localhost:8440", []],
      ["https://chat.example http://chat.example", ["allowedOrigins"]],
    ] as const) {
      expect(await warned({ CONCLAVE_ALLOWED_ORIGINS: origins })).toEqual(expected);
    }
    expect(await warned({ CONCLAVE_LISTEN: "0.0.0.0:8441" })).toEqual(["listen"]);
    expect(await warned({ CONCLAVE_LISTEN: "0.0.0.0:8441", ...direct, ...tls })).toEqual([]);
    expect(await warned({ CONCLAVE_LISTEN: "127.0.0.1:8441" })).toEqual([]);
    const [quota, devices] = ["CONCLAVE_LIMITS_BLOB_QUOTA", "CONCLAVE_LIMITS_WAITING_PER_DEVICE"];
    expect(await warned({ [quota]: String(DEFAULT_LIMITS.blobSize) })).toEqual([]);
    expect(await warned({ [quota]: "1000000", [devices]: "129" })).toEqual([
      "limits.waitingPerDevice",
      "limits.blobSize",
    ]);
  });

  it("refuses what can't be: times that no timer takes, a database that isn't kept or has no name, no URL", async () => {
    for (const [variable, value, complaint] of [
      ["CONCLAVE_LIMITS_HEARTBEAT", "2147483648", "has to be a whole number, from 1 to 2147483647"],
      ["CONCLAVE_LIMITS_LONG_POLL", "3601", "has to be a whole number, from 1 to 3600"],
      ["CONCLAVE_LIMITS_DEVICE_BURST", "0", "has to be a whole number, 1 or more"],
      ["CONCLAVE_SHUTDOWN_GRACE", "3601", "has to be a number of seconds, from 0 to 3600"],
      ["CONCLAVE_RETENTION_INTERVAL", "10081", "has to be a number of minutes, from 1 to 10080"],
      ["CONCLAVE_DATABASE_URL", "sqlite::memory:", "has to be the path of a file"],
      ["CONCLAVE_DATABASE_URL", "postgres://conclave@db.example", "names no database"],
      ["CONCLAVE_DATABASE_URL", "postgres://conclave@db.example:99999/x", "a port is a number"],
      ["CONCLAVE_ALLOWED_ORIGINS", "https://chat.example/page", "has to be an origin"],
      ["CONCLAVE_BLOBS_PREFIX", "some/", "blobs.endpoint is missing"],
    ] as const) {
      const lines = await wrong({ ...ORIGIN, [variable]: value });
      expect(lines).toEqual([expect.stringContaining(complaint)]);
    }
    const bucket = {
      CONCLAVE_BLOBS_ENDPOINT: "s3.example",
      CONCLAVE_BLOBS_BUCKET: "blobs",
      CONCLAVE_BLOBS_ACCESS_KEY_ID: "id",
      CONCLAVE_BLOBS_SECRET_ACCESS_KEY: "secret",
    };
    expect(await wrong({ ...ORIGIN, ...bucket })).toEqual([
      expect.stringMatching(/^blobs\.endpoint .*has to be a URL/),
    ]);
  });

  it("has a variable of its own for each setting", () => {
    const variables = settings().map(({ variable }) => variable);
    expect(new Set(variables).size).toBe(variables.length);
    expect(variables).toContain("CONCLAVE_LIMITS_KEY_PACKAGE_LIFETIME");
    const secrets = settings().filter((setting) => setting.secret);
    expect(secrets.map(({ key }) => key)).toEqual([
      "database.url",
      "blobs.secretAccessKey",
      "metrics.token",
    ]);
  });
});

it("shows of a database's URL its hosts, and nothing of what can't be told apart from a password", () => {
  const shown = new Map([
    ["postgres://u:hunter2@a:5432,b:5432/db?password=hunter2", "postgres://u@a:5432,b:5432/db"],
    ["postgres://u:hun@ter2,x@a,b/db", "postgres://u@a,b/db"],
    ["postgres://u:hun%23ter2@a/db", "postgres://u@a/db"],
    ["postgres://u:hun#ter2@a/db", "postgres://…"],
    ["postgres://u:hun/ter2@a,b/db", "postgres://…"],
    ["postgres://u:12/hunter2@a/db", "postgres://…"],
    ["postgres://u:12#hunter2@a/db", "postgres://…"],
    ["postgres://u:12?hunter2@a/db", "postgres://…"],
    ["postgres://u:hunter2%@a/db", "postgres://…"],
    ["sqlite:hunter.sqlite", "sqlite:hunter.sqlite"],
  ]);
  for (const [url, expected] of shown) expect(withoutSecrets(url)).toBe(expected);
});

it("refuses a database's URL that can't be read, without a word of it", async () => {
  for (const password of ["hun#ter2", "hun/ter2", "12/ter2", "12#ter2", "12?ter2", "hunter2%"]) {
    const url = `postgres://u:${password}@a:5432,b:5432/db`;
    expect(await wrong({ ...ORIGIN, CONCLAVE_DATABASE_URL: url })).toEqual([
      expect.stringMatching(/^database\.url \(CONCLAVE_DATABASE_URL\) can't be read: [^0-9]*$/),
    ]);
  }
  const multiple = "postgres://u:hunter2@a:5432,b:5432/db";
  const { database } = await loadConfiguration({ ...ORIGIN, CONCLAVE_DATABASE_URL: multiple });
  expect(database.url).toBe(multiple);
});
