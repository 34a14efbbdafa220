/**
 * A secret for a component of the application, given out once. draft-ietf-mls-extensions, "Exported Secrets".
 * @module
 */

import type { Bytes } from "../codec.ts";
import { MlsError } from "../errors.ts";
import type { And, LiveGroup } from "./live-group.ts";
import { encodeSecrets } from "./stored-group.ts";

/** `SafeExportSecret`: that it was given out is stored before it is. */
export async function safeExportSecret(
  group: LiveGroup,
  componentId: number,
  and: And<Bytes> | undefined,
): Promise<Bytes> {
  group.checkNotGone();
  const { secrets, exporter } = group.live;
  if (!exporter) {
    const why =
      "an older version stored this epoch, without an exporter tree: the next one has one";
    throw new MlsError("storage", "8", why);
  }
  const taken = exporter.take(componentId);
  const record = encodeSecrets(secrets, taken.left);
  const batch = { put: new Map([[group.keys.secrets, record]]) };
  await group.change([batch], () => and?.(taken.secret), taken);
  return taken.secret;
}
