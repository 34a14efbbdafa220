/**
 * The outermost form of everything that travels. RFC 9420 §6.
 * @module
 */

import { copyOf } from "../bytes.ts";
import { type Bytes, type Codec, decode, encode, select, struct, uint16 } from "../codec.ts";
import { MlsError } from "../errors.ts";
import { GroupInfo, Welcome } from "../key/group-info.ts";
import { KeyPackage } from "../key/key-package.ts";
import { MLS10 } from "../registry.ts";
import type { WireFormat } from "./content.ts";
import { PrivateMessage } from "./private-message.ts";
import { PublicMessage } from "./public-message.ts";

/** §6 `MLSMessage`, without its version, which is always `mls10`. */
export type MLSMessage =
  | { readonly wireFormat: "mls_public_message"; readonly publicMessage: PublicMessage }
  | { readonly wireFormat: "mls_private_message"; readonly privateMessage: PrivateMessage }
  | { readonly wireFormat: "mls_welcome"; readonly welcome: Welcome }
  | { readonly wireFormat: "mls_group_info"; readonly groupInfo: GroupInfo }
  | { readonly wireFormat: "mls_key_package"; readonly keyPackage: KeyPackage };
const Body: Codec<MLSMessage> = select<"wireFormat", MLSMessage>("wireFormat", uint16, {
  mls_public_message: [1, struct({ publicMessage: PublicMessage })],
  mls_private_message: [2, struct({ privateMessage: PrivateMessage })],
  mls_welcome: [3, struct({ welcome: Welcome })],
  mls_group_info: [4, struct({ groupInfo: GroupInfo })],
  mls_key_package: [5, struct({ keyPackage: KeyPackage })],
});
const MLSMessage: Codec<MLSMessage> = {
  write: (w, message) => {
    w.uint(MLS10, 2);
    Body.write(w, message);
  },
  read: (r) => {
    const version = r.uint(2);
    if (version !== MLS10) throw new MlsError("unsupported-version", "6", `MLS version ${version}`);
    return Body.read(r);
  },
};

export function encodeMessage(message: MLSMessage): Bytes {
  return encode(MLSMessage, message);
}

/** Throws `MlsError` with `decode` or `unsupported-version`. */
export function decodeMessage(bytes: Bytes): MLSMessage {
  // A copy that nobody changes: of a large commit, most is signed and authenticated where it stands.
  return decode(MLSMessage, copyOf(bytes), "passing");
}

/** A message that must be of one wire format. Throws `MlsError` with `wrong-wire-format` too. */
export function decodeMessageOf<F extends WireFormat>(
  bytes: Bytes,
  wireFormat: F,
): Extract<MLSMessage, { wireFormat: F }> {
  const message = decodeMessage(bytes);
  if (message.wireFormat !== wireFormat) {
    throw new MlsError(
      "wrong-wire-format",
      "6",
      `${message.wireFormat} where ${wireFormat} is due`,
    );
  }
  return message as Extract<MLSMessage, { wireFormat: F }>;
}
