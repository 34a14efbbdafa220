/**
 * Where in the page a person is. Kept in the browser's history, never in the address: what
 * someone reads is nobody's business, not even that of the list of visited pages.
 * @module
 */
import type { ConversationId } from "@conclave/client";
import { type ReadonlySignal, signal } from "@preact/signals";

export interface Place {
  readonly conversation?: ConversationId;
  /** The members' panel is open beside it, or, where there is no room, instead of it. */
  readonly members: boolean;
}

export const HOME: Place = { members: false };

/** The part of `window.history` that is needed. */
export interface PlaceHistory {
  readonly state: unknown;
  pushState(state: unknown, unused: string): void;
  replaceState(state: unknown, unused: string): void;
  back(): void;
}

export interface Navigation {
  readonly place: ReadonlySignal<Place>;
  readonly go: (place: Place) => void;
  /** From the members to the conversation, from there to the list. */
  readonly up: () => void;
  /** To be called when the browser went back or forward. */
  readonly popped: () => void;
}

interface Entry {
  readonly place: Place;
  /** The place from which this one was entered. */
  readonly from?: Place;
}

export function createNavigation(history: PlaceHistory): Navigation {
  const place = signal(entryOf(history.state).place);
  return {
    place,

    go(next) {
      if (isSame(next, place.value)) return;
      const entry: Entry = { place: next, from: place.value };
      history.pushState(entry, "");
      place.value = next;
    },

    up() {
      const above = placeAbove(place.value);
      const { from } = entryOf(history.state);
      if (from !== undefined && isSame(from, above)) {
        history.back();
      } else {
        history.replaceState({ place: above } satisfies Entry, "");
        place.value = above;
      }
    },

    popped() {
      place.value = entryOf(history.state).place;
    },
  };
}

function placeAbove(place: Place): Place {
  return place.members && place.conversation !== undefined
    ? { conversation: place.conversation, members: false }
    : HOME;
}

function isSame(a: Place, b: Place): boolean {
  return a.conversation === b.conversation && a.members === b.members;
}

/** History survives a new version of the page, so its entries are read as from a stranger. */
function entryOf(state: unknown): Entry {
  const place = placeOf(field(state, "place"));
  const from = field(state, "from");
  return from === undefined ? { place } : { place, from: placeOf(from) };
}

function placeOf(value: unknown): Place {
  const conversation = field(value, "conversation");
  return typeof conversation === "string"
    ? { conversation, members: field(value, "members") === true }
    : HOME;
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}
