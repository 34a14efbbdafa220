import { nodeCrypto } from "@conclave/mls/node";
import { describe, expect, it } from "vitest";
import { suiteOf } from "../../src/crypto/suite.ts";
import {
  epochSecrets,
  joinerSecret,
  mlsExporter,
  wipeEpochSecrets,
} from "../../src/key/key-schedule.ts";
import { pskSecret } from "../../src/key/psk.ts";
import { hex, utf8 } from "../people.ts";

const suite = suiteOf(nodeCrypto, 3);
const secret = new Uint8Array(32).fill(5);

describe("§8.5 the exporter", () => {
  it("tells labels, contexts and lengths apart", () => {
    const given = new Set(
      [
        ["a", "x", 32],
        ["b", "x", 32],
        ["a", "y", 32],
        ["a", "x", 16],
      ].map(([label, context, length]) =>
        hex(mlsExporter(suite, secret, String(label), utf8(String(context)), Number(length))).slice(
          0,
          32,
        ),
      ),
    );
    expect(given.size).toBe(4);
  });

  it("gives as many bytes as HKDF can, and not one more", () => {
    expect(mlsExporter(suite, secret, "a", utf8(""), 255 * 32)).toHaveLength(8160);
    expect(() => mlsExporter(suite, secret, "a", utf8(""), 255 * 32 + 1)).toThrow(TypeError);
  });
});

describe("§8 the schedule", () => {
  it("depends on each of its inputs", () => {
    const other = new Uint8Array(32).fill(6);
    const joiners = [
      [secret, secret, secret],
      [other, secret, secret],
      [secret, other, secret],
      [secret, secret, other],
    ].map(([init, commit, context]) =>
      hex(joinerSecret(suite, init ?? secret, commit ?? secret, context ?? secret)),
    );
    expect(new Set(joiners).size).toBe(4);
    const psks = [secret, other].map((psk) => {
      const { secrets } = epochSecrets(suite, secret, psk, utf8("context"));
      return hex(secrets.epochAuthenticator);
    });
    expect(new Set(psks).size).toBe(2);
  });

  it("ends in secrets that are all different, and can be wiped", () => {
    const { secrets, ...roots } = epochSecrets(suite, secret, secret, utf8("context"));
    const all = [...Object.values(secrets), ...Object.values(roots)];
    expect(new Set(all.map(hex)).size).toBe(10);
    wipeEpochSecrets(secrets);
    for (const value of Object.values(secrets)) expect(hex(value)).toBe("00".repeat(32));
  });
});

describe("§8.4 PSKs", () => {
  const psk = (id: string, nonce: number) => ({
    id: {
      pskType: "external" as const,
      pskId: utf8(id),
      pskNonce: new Uint8Array(32).fill(nonce),
    },
    secret,
  });

  it("are zero where there are none", () => {
    expect(hex(pskSecret(suite, []))).toBe("00".repeat(32));
  });

  it("count in their order, with their nonces", () => {
    const [one, two, again] = [psk("one", 1), psk("two", 1), psk("one", 2)];
    const given = [[one], [two], [again], [one, two], [two, one]].map((list) =>
      hex(pskSecret(suite, list)),
    );
    expect(new Set(given).size).toBe(5);
    expect(hex(secret)).toBe("05".repeat(32));
  });
});
