/**
 * Why a credential or a commit is refused, in the words that a person is shown. It is thrown inside
 * what MLS asks of an application, so it may come back as the cause of an `MlsError`.
 * @module
 */

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
