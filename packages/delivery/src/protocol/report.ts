/**
 * What a member says that can't follow a commit: which one, and the key package by which it may be added again. It speaks for its own leaf
 * alone, so nobody is put out of a group by it; members act on its signature. A proof that the commit was at fault
 * (`reportCommit` of `@conclave/mls`) goes beside it, to the service and no further, since it reveals a key.
 * @module
 */

import {
  type Bytes,
  type Codec,
  decode,
  encode,
  fixed,
  opaque,
  struct,
  utf8,
} from "@conclave/mls/codec";
import { type SigningKey, verifyEd25519 } from "./ed25519.ts";

const LABEL = "Conclave 1 report";

export interface Report {
  readonly groupId: Bytes;
  /** SHA-256 of the commit, an MLSMessage. */
  readonly commitHash: Bytes;
  /** Of the leaf that is to be replaced: a report is over when it has been. */
  readonly encryptionKey: Bytes;
  /** An MLSMessage. Its leaf is of the device whose leaf is to be replaced. */
  readonly keyPackage: Bytes;
}
interface SignedReport extends Report {
  readonly label: string;
  readonly signature: Bytes;
}
const CONTENT = {
  label: utf8,
  groupId: opaque,
  commitHash: fixed(32),
  encryptionKey: opaque,
  keyPackage: opaque,
} as const;
const ReportTBS: Codec<Omit<SignedReport, "signature">> = struct(CONTENT);
const SignedReport: Codec<SignedReport> = struct({ ...CONTENT, signature: fixed(64) });

/** `leafKey`: the signature key of the leaf. */
export async function signReport(report: Report, leafKey: SigningKey): Promise<Bytes> {
  const content = { label: LABEL, ...report };
  const signature = await leafKey.sign(encode(ReportTBS, content));
  return encode(SignedReport, { ...content, signature });
}

/** The key package in a report that nobody has verified yet: its leaf says whose report it claims to be. Undefined for what is no report. */
export function reportedKeyPackage(bytes: Bytes): Bytes | undefined {
  try {
    return decode(SignedReport, bytes).keyPackage;
  } catch {
    return undefined;
  }
}

/** What is reported, unless it is no report that this leaf's key signed. */
export async function openReport(bytes: Bytes, leafKey: Bytes): Promise<Report | undefined> {
  let signed: SignedReport;
  try {
    signed = decode(SignedReport, bytes);
  } catch {
    return undefined;
  }
  const { signature, ...content } = signed;
  const valid =
    content.label === LABEL &&
    (await verifyEd25519(leafKey, encode(ReportTBS, content), signature));
  if (!valid) return undefined;
  const { label: _, ...report } = content;
  return report;
}
