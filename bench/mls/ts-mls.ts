/**
 * `ts-mls`, by its public interface: WebCrypto throughout, states as values. Messages pass as bytes, the tree is handed over as it is.
 * @module
 */

import * as ts from "ts-mls";
import { DATA, MESSAGES, perMessage, type Subject, timed } from "./subject.ts";

const SUITE = 1;

interface Package {
  readonly publicPackage: ts.KeyPackage;
  readonly privatePackage: ts.PrivateKeyPackage;
}

async function messageOf(bytes: Uint8Array): Promise<ts.MlsFramedMessage> {
  const decoded = ts.decode(ts.mlsMessageDecoder, bytes);
  if (
    decoded?.wireformat !== ts.wireformats.mls_public_message &&
    decoded?.wireformat !== ts.wireformats.mls_private_message
  ) {
    throw new Error("no message of a group");
  }
  return decoded;
}

export async function subject(): Promise<Subject> {
  const cipherSuite = await ts.getCiphersuiteImpl("MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519");
  const context: ts.MlsContext = {
    cipherSuite,
    authService: ts.unsafeTestingAuthenticationService,
  };
  let founder: Package;
  let people: Package[] = [];
  let groups = 0;
  let group: ts.ClientState;
  let welcome: ts.Welcome;
  let joined: ts.ClientState[] = [];
  let enlisted: ts.ClientState[] = [];
  let commit: Uint8Array;
  let committed: ts.ClientState;
  let processed = 0;
  let messages: Uint8Array[] = [];

  const newPackage = (name: string): Promise<Package> =>
    ts.generateKeyPackage({
      credential: {
        credentialType: ts.defaultCredentialTypes.basic,
        identity: new TextEncoder().encode(name),
      },
      cipherSuite,
    });

  const enter = async (place: number): Promise<ts.ClientState> => {
    const who = people[place - 1];
    if (!who) throw new Error(`nobody at ${place}`);
    return ts.joinGroup({
      context,
      welcome,
      keyPackage: who.publicPackage,
      privateKeys: who.privatePackage,
      ratchetTree: group.ratchetTree,
    });
  };

  const makeCommit = async (
    state: ts.ClientState,
  ): Promise<{ bytes: Uint8Array; next: ts.ClientState }> => {
    const made = await ts.createCommit({ context, state, wireAsPublicMessage: true });
    return { bytes: ts.encode(ts.mlsMessageEncoder, made.commit), next: made.newState };
  };

  const receive = async (state: ts.ClientState, bytes: Uint8Array): Promise<ts.ClientState> => {
    const message = await messageOf(bytes);
    return (await ts.processMessage({ context, state, message })).newState;
  };

  return {
    suite: SUITE,
    setup: async (n) => {
      founder = await newPackage("member 0");
      people = [];
      for (let i = 1; i < n; i++) people.push(await newPackage(`member ${i}`));
    },
    addAll: async () => {
      const groupId = new Uint8Array(16).fill(groups++);
      const { ms, cpuMs, value } = await timed(async () => {
        const created = await ts.createGroup({
          context,
          groupId,
          keyPackage: founder.publicPackage,
          privateKeyPackage: founder.privatePackage,
        });
        const made = await ts.createCommit({
          context,
          state: created,
          wireAsPublicMessage: true,
          extraProposals: people.map(({ publicPackage }) => ({
            proposalType: ts.defaultProposalTypes.add,
            add: { keyPackage: publicPackage },
          })),
        });
        const commitBytes = ts.encode(ts.mlsMessageEncoder, made.commit);
        const welcomeBytes = made.welcome && ts.encode(ts.mlsMessageEncoder, made.welcome);
        return { made, commitBytes, welcomeBytes };
      });
      if (!value.made.welcome || !value.welcomeBytes) throw new Error("no Welcome");
      group = value.made.newState;
      welcome = value.made.welcome.welcome;
      joined = [];
      enlisted = [];
      return { ms, cpuMs, bytes: value.commitBytes.length + value.welcomeBytes.length };
    },
    join: async () => {
      const { ms, cpuMs, value } = await timed(() => enter(people.length - joined.length));
      joined.push(value);
      return { ms, cpuMs };
    },
    enlist: async (places) => {
      // Those who joined already stand at the last places; they need not enter twice.
      const last = people.length - joined.length;
      for (const place of places) if (place <= last) enlisted.push(await enter(place));
    },
    commit: async () => {
      const { ms, cpuMs, value } = await timed(() => makeCommit(group));
      commit = value.bytes;
      committed = value.next;
      processed = 0;
      return { ms, cpuMs, bytes: commit.length };
    },
    process: async () => {
      const at = processed++;
      const state = joined[at];
      if (!state) throw new Error("all have processed this commit");
      const { ms, cpuMs, value } = await timed(() => receive(state, commit));
      joined[at] = value;
      if (processed === joined.length) {
        group = committed;
        enlisted = await Promise.all(enlisted.map((one) => receive(one, commit)));
      }
      return { ms, cpuMs };
    },
    populate: async () => {
      for (const [at, state] of enlisted.entries()) {
        const { bytes, next } = await makeCommit(state);
        enlisted[at] = next;
        group = await receive(group, bytes);
        for (const [i, other] of joined.entries()) joined[i] = await receive(other, bytes);
        for (const [i, other] of enlisted.entries()) {
          if (i !== at) enlisted[i] = await receive(other, bytes);
        }
      }
    },
    send: async () => {
      const sent: Uint8Array[] = [];
      const { ms, cpuMs } = await timed(async () => {
        for (let i = 0; i < MESSAGES; i++) {
          const made = await ts.createApplicationMessage({ context, state: group, message: DATA });
          group = made.newState;
          sent.push(ts.encode(ts.mlsMessageEncoder, made.message));
        }
      });
      messages = sent;
      return perMessage({ ms, cpuMs }, messages[0]?.length ?? 0);
    },
    receive: async () => {
      let [state] = joined;
      if (!state) throw new Error("nobody joined");
      const { ms, cpuMs, value } = await timed(async () => {
        for (const message of messages) state = await receive(state as ts.ClientState, message);
        return state as ts.ClientState;
      });
      joined[0] = value;
      return perMessage({ ms, cpuMs }, messages[0]?.length ?? 0);
    },
  };
}
