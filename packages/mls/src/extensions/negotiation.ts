/**
 * Which components and media types a group needs and a member knows; additional data and application data in their frames.
 * draft-ietf-mls-extensions, "Negotiating Extensions and Components", "Safe Additional Authenticated Data", "Content
 * Advertisement".
 * @module
 */

import { bytesEqual, utf8Bytes } from "../bytes.ts";
import {
  type Bytes,
  type Codec,
  decode,
  encode,
  opaque,
  struct,
  uint16,
  vector,
} from "../codec.ts";
import { MlsError } from "../errors.ts";
import type { GroupRules } from "../group/group-rules.ts";
import type { Extension } from "../key/extension.ts";
import { byComponent, type ComponentData, componentData } from "./app-data.ts";

/** The components that the draft defines. */
export const COMPONENT = {
  appComponents: 1,
  safeAad: 2,
  contentMediaTypes: 3,
  lastResortKeyPackage: 4,
  appAck: 5,
} as const;

interface Listed<T> {
  readonly list: T;
}

const ComponentsList: Codec<Listed<readonly number[]>> = struct({ list: vector(uint16) });

/** The data of `app_components` or `safe_aad`: components that a leaf supports, or that a group requires. */
export function componentsList(componentIds: readonly number[]): Bytes {
  return encode(ComponentsList, { list: componentIds });
}

/** Those that a leaf or a group lists; undefined where the component is not there. Throws `MlsError`. */
function listedComponents(
  extensions: readonly Extension[],
  componentId: number,
): readonly number[] | undefined {
  const data = componentData(extensions, componentId);
  return data && decode(ComponentsList, data).list;
}

// Additional authenticated data.

/** Data of one component, signed along with a message. */
export type SafeAad = readonly ComponentData[];
const SafeAad: Codec<Listed<SafeAad>> = struct({
  list: byComponent(struct({ componentId: uint16, data: opaque })),
});

/** The `authenticatedData` of a message, of items in any order: for groups with `safe_aad`, where none is empty. */
export function safeAad(items: readonly ComponentData[]): Bytes {
  return encode(SafeAad, { list: items.toSorted((a, b) => a.componentId - b.componentId) });
}

/**
 * The items in a message's `authenticatedData`, in a group with these extensions; undefined in a group without `safe_aad`,
 * whose data are in no frame. Throws `MlsError` with `decode`.
 */
export function readSafeAad(
  extensions: readonly Extension[],
  authenticatedData: Bytes,
): SafeAad | undefined {
  if (!listedComponents(extensions, COMPONENT.safeAad)) return undefined;
  return decode(SafeAad, authenticatedData).list;
}

/** Refuses a message whose `authenticatedData` is in no frame where `safe_aad` is negotiated: for `rules.checkAuthenticatedData`. */
export const checkSafeAad: NonNullable<GroupRules["checkAuthenticatedData"]> = (
  extensions,
  authenticatedData,
) => {
  readSafeAad(extensions, authenticatedData);
};

// Application data of several kinds.

/** An IANA media type, with its parameters. */
export interface MediaType {
  readonly type: string;
  readonly parameters?: Readonly<Record<string, string>>;
}
interface WireMediaType {
  readonly type: Bytes;
  readonly parameters: readonly { readonly name: Bytes; readonly value: Bytes }[];
}
const WireMediaType: Codec<WireMediaType> = struct({
  type: opaque,
  parameters: vector(struct({ name: opaque, value: opaque })),
});
const MediaTypeList: Codec<Listed<readonly WireMediaType[]>> = struct({
  list: vector(WireMediaType),
});

function toWire({ type, parameters = {} }: MediaType): WireMediaType {
  const pairs = Object.entries(parameters);
  return {
    type: utf8Bytes(type),
    parameters: pairs.map(([name, value]) => ({ name: utf8Bytes(name), value: utf8Bytes(value) })),
  };
}

function fromWire({ type, parameters }: WireMediaType): MediaType {
  const text = (bytes: Bytes): string => new TextDecoder().decode(bytes);
  if (parameters.length === 0) return { type: text(type) };
  const pairs = parameters.map(({ name, value }) => [text(name), text(value)] as const);
  return { type: text(type), parameters: Object.fromEntries(pairs) };
}

/** The data of `content_media_types`: what a leaf can read, or what all in a group must. */
export function mediaTypes(types: readonly MediaType[]): Bytes {
  return encode(MediaTypeList, { list: types.map(toWire) });
}

function listedMediaTypes(extensions: readonly Extension[]): readonly WireMediaType[] | undefined {
  const data = componentData(extensions, COMPONENT.contentMediaTypes);
  if (!data) return undefined;
  const { list } = decode(MediaTypeList, data);
  if (list.length === 0) throw new MlsError("decode", "13.4", "an empty list of media types");
  return list;
}

/** What application data is framed as in a group with `content_media_types`. */
interface ApplicationFraming {
  readonly mediaType: WireMediaType;
  readonly content: Bytes;
}
const ApplicationFraming: Codec<ApplicationFraming> = struct({
  mediaType: WireMediaType,
  content: opaque,
});

/** Application data for a group with `content_media_types`. Without a type it is of the first that the group requires. */
export function frameContent(content: Bytes, mediaType: MediaType = { type: "" }): Bytes {
  return encode(ApplicationFraming, { mediaType: toWire(mediaType), content });
}

/**
 * Application data from a group with these extensions, and its media type; undefined in a group without
 * `content_media_types`, whose data are in no frame. Throws `MlsError` with `decode`.
 */
export function readContent(
  extensions: readonly Extension[],
  applicationData: Bytes,
): { readonly content: Bytes; readonly mediaType: MediaType } | undefined {
  const [first] = listedMediaTypes(extensions) ?? [];
  if (!first) return undefined;
  const { mediaType, content } = decode(ApplicationFraming, applicationData);
  return { content, mediaType: fromWire(mediaType.type.length > 0 ? mediaType : first) };
}

/** What a group requires of its members' leaves, in components and media types: for `rules.checkGroup`. Throws `MlsError`. */
export const checkComponents: NonNullable<GroupRules["checkGroup"]> = ({ extensions, members }) => {
  const lists = [COMPONENT.appComponents, COMPONENT.safeAad] as const;
  const required = lists.map((one) => [one, listedComponents(extensions, one) ?? []] as const);
  const types = (listedMediaTypes(extensions) ?? []).map((one) => encode(WireMediaType, one));
  if (required.every(([, list]) => list.length === 0) && types.length === 0) return;
  for (const { leafIndex, leafNode } of members()) {
    for (const [component, list] of required) {
      const known = new Set(listedComponents(leafNode.extensions, component));
      const missing = list.find((one) => !known.has(one));
      if (missing !== undefined) throw unsupported(leafIndex, `component ${missing}`);
    }
    const readable = (listedMediaTypes(leafNode.extensions) ?? []).map((one) =>
      encode(WireMediaType, one),
    );
    if (!types.every((type) => readable.some((one) => bytesEqual(one, type)))) {
      throw unsupported(leafIndex, "a media type");
    }
  }
};

function unsupported(leafIndex: number, what: string): MlsError {
  const why = `leaf ${leafIndex} does not know ${what} that the group requires`;
  return new MlsError("extension-unsupported", "13.4", why);
}
