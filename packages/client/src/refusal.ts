/**
 * Why a credential is refused, in the words that a person is shown. It is thrown inside
 * what MLS asks of an application, so it may come back as the cause of an `MlsError`.
 * @module
 */

import { CommitRefusal } from "@conclave/delivery/protocol";
import type { AccountId, WarningCode } from "./api.ts";

export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly code: WarningCode;
  readonly about: { readonly accountId?: AccountId; readonly subject?: string };

  constructor(
    code: WarningCode,
    message: string,
    about: { readonly accountId?: AccountId; readonly subject?: string } = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.code = code;
    this.about = about;
  }
}

/** Why a credential, commit or proposal was refused, if that is what went wrong. */
export function refusalOf(error: unknown): Pick<Refusal, "code" | "about" | "message"> | undefined {
  const commit = causeOf(error, CommitRefusal);
  if (commit) return { code: commit.code, message: commit.message, about: {} };
  return causeOf(error, Refusal);
}

/** The first error of this class among an error and its causes. */
export function causeOf<T extends Error>(
  error: unknown,
  kind: abstract new (...args: never[]) => T,
): T | undefined {
  for (let inner = error; inner instanceof Error; inner = inner.cause) {
    if (inner instanceof kind) return inner;
  }
  return undefined;
}
