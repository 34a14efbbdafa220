/**
 * Application data in the group: the `app_data_dictionary`, its updates, and data that belongs to one commit.
 * draft-ietf-mls-extensions, "Attaching Application Data to MLS Messages", "Updating Application Data in the GroupContext",
 * "Attaching Application Data to a Commit".
 * @module
 */

import { bytesEqual } from "../bytes.ts";
import {
  type Bytes,
  type Codec,
  decode,
  encode,
  mapped,
  opaque,
  struct,
  uint16,
  vector,
} from "../codec.ts";
import { MlsError } from "../errors.ts";
import type { Proposal } from "../framing/proposal.ts";
import type { ProposalRules } from "../group/group-rules.ts";
import type { ListedProposal } from "../group/proposal-list.ts";
import { type Extension, findExtension, requiredCapabilitiesOf } from "../key/extension.ts";
import { DRAFT_PROPOSAL } from "../registry.ts";

/** The suggested number of the `app_data_dictionary` extension. */
export const APP_DATA_DICTIONARY = 6;

/** A component's data, as an entry of a dictionary or an item of Safe AAD. */
export interface ComponentData {
  readonly componentId: number;
  readonly data: Bytes;
}
const ComponentData: Codec<ComponentData> = struct({ componentId: uint16, data: opaque });

/** A list that a draft wants in increasing order of its component ids, each once. Reading throws `MlsError` with `decode`. */
export function byComponent<T extends { readonly componentId: number }>(
  item: Codec<T>,
): Codec<readonly T[]> {
  const check = (items: readonly T[]): readonly T[] => {
    for (const [i, { componentId }] of items.entries()) {
      const before = items[i - 1];
      if (before && before.componentId >= componentId) {
        throw new MlsError("decode", "13.4", "component ids that do not increase");
      }
    }
    return items;
  };
  return mapped(vector(item), check, check);
}

/** The content of the extension: entries in increasing order of their components, one for each. */
export type AppDataDictionary = readonly ComponentData[];
/** How a dictionary stands on the wire. */
export const AppDataDictionary: Codec<AppDataDictionary> = byComponent(ComponentData);

/** The dictionary among some extensions, of a group, a leaf, a key package or a GroupInfo; empty where there is none. Throws `MlsError`. */
export function dictionaryOf(extensions: readonly Extension[]): AppDataDictionary {
  const found = findExtension(extensions, APP_DATA_DICTIONARY);
  return found ? decode(struct({ entries: AppDataDictionary }), found).entries : [];
}

/** A component's data among some extensions. Throws `MlsError`. */
export function componentData(
  extensions: readonly Extension[],
  componentId: number,
): Bytes | undefined {
  return dictionaryOf(extensions).find((entry) => entry.componentId === componentId)?.data;
}

/** The extension, of entries in any order. */
export function dictionaryExtension(entries: readonly ComponentData[]): Extension {
  const sorted = entries.toSorted((a, b) => a.componentId - b.componentId);
  const extensionData = encode(struct({ entries: AppDataDictionary }), { entries: sorted });
  return { extensionType: APP_DATA_DICTIONARY, extensionData };
}

/** What the application knows of a component. */
export interface Component {
  /** A component's data in the GroupContext, after updates in their order. Throws to refuse. Absent: it takes no update. */
  readonly update?: (data: Bytes | undefined, updates: readonly Bytes[]) => Bytes;
  /** Whether data may go along with a commit: throws to refuse. Absent: it takes none. */
  readonly ephemeral?: (data: Bytes) => void;
}

/** What a component throws, as a rule that was broken. */
function byComponentLogic<T>(logic: () => T): T {
  try {
    return logic();
  } catch (cause) {
    if (cause instanceof MlsError) throw cause;
    throw new MlsError("proposal-invalid", "12.1", "a component refuses its data", { cause });
  }
}

/** Where both proposals of components may stand. */
const ANYWHERE = {
  senders: ["member", "external", "new_member_commit"],
  listed: "either",
  external: true,
  path: false,
} as const;

/** AppEphemeral: its data changes nothing, and is for the component that it names. */
export function appEphemeralRules(components: ReadonlyMap<number, Component>): ProposalRules {
  return {
    ...ANYWHERE,
    validate: (_, proposal) => {
      if (proposal.proposalType !== "app_ephemeral") return;
      const check = logicOf(components, proposal.componentId, "ephemeral");
      byComponentLogic(() => check(proposal.data));
    },
  };
}

/** AppDataUpdate: for each component one removal, or updates in their order. */
export function appDataUpdateRules(components: ReadonlyMap<number, Component>): ProposalRules {
  return {
    ...ANYWHERE,
    validate: (_, proposal) => {
      if (proposal.proposalType !== "app_data_update") return;
      logicOf(components, proposal.componentId, "update");
    },
    checkList: ({ groupContext }, list) => {
      checkUntouched(groupContext.extensions, list);
      checkOperations(list);
    },
    apply: (extensions, proposals) => updated(components, extensions, proposals),
  };
}

/** What a component does with data of this kind; where it takes none, or is not known, that is refused. */
function logicOf<K extends keyof Component>(
  components: ReadonlyMap<number, Component>,
  componentId: number,
  kind: K,
): NonNullable<Component[K]> {
  const logic = components.get(componentId)?.[kind];
  if (logic) return logic;
  throw new MlsError("proposal-invalid", "12.1", `component ${componentId} takes no ${kind}`);
}

/** Where members must support AppDataUpdate, the dictionary is left to it. */
function checkUntouched(before: readonly Extension[], list: readonly ListedProposal[]): void {
  const { proposalTypes } = requiredCapabilitiesOf(before);
  if (!proposalTypes.includes(DRAFT_PROPOSAL.appDataUpdate)) return;
  const was = findExtension(before, APP_DATA_DICTIONARY);
  for (const { proposal } of list) {
    if (proposal.proposalType !== "group_context_extensions") continue;
    const is = findExtension(proposal.extensions, APP_DATA_DICTIONARY);
    if (was && is ? bytesEqual(was, is) : was === is) continue;
    throw new MlsError("proposal-list", "12.1.7", "GroupContextExtensions change the dictionary");
  }
}

function checkOperations(list: readonly ListedProposal[]): void {
  const removed = new Set<number>();
  const known = new Set<number>();
  for (const { proposal } of list) {
    if (proposal.proposalType !== "app_data_update") continue;
    const { componentId, operation } = proposal;
    const alone = operation.op === "remove" ? known : removed;
    if (alone.has(componentId)) {
      throw new MlsError("proposal-list", "12.2", "a component removed beside another operation");
    }
    known.add(componentId);
    if (operation.op === "remove") removed.add(componentId);
  }
}

/** The extensions after all AppDataUpdates of a commit. */
function updated(
  components: ReadonlyMap<number, Component>,
  extensions: readonly Extension[],
  proposals: readonly Proposal[],
): readonly Extension[] {
  const entries = new Map(dictionaryOf(extensions).map((one) => [one.componentId, one.data]));
  const updates = new Map<number, Bytes[]>();
  for (const proposal of proposals) {
    if (proposal.proposalType !== "app_data_update") continue;
    const { componentId, operation } = proposal;
    if (operation.op === "remove") {
      if (!entries.delete(componentId)) {
        const why = `component ${componentId} has no data to remove`;
        throw new MlsError("proposal-invalid", "12.1", why);
      }
    } else {
      updates.set(componentId, [...(updates.get(componentId) ?? []), operation.update]);
    }
  }
  for (const [componentId, all] of updates) {
    const update = logicOf(components, componentId, "update");
    entries.set(
      componentId,
      byComponentLogic(() => update(entries.get(componentId), all)),
    );
  }
  const made = dictionaryExtension(
    Array.from(entries, ([componentId, data]) => ({ componentId, data })),
  );
  const has = extensions.some(({ extensionType }) => extensionType === APP_DATA_DICTIONARY);
  if (!has) return [...extensions, made];
  return extensions.map((one) => (one.extensionType === APP_DATA_DICTIONARY ? made : one));
}
