import { describe, expect, test } from "vitest";
import { createNavigation, HOME, type PlaceHistory } from "../../../src/page/model/place.ts";

/** A browser's history of one tab. */
function createHistory(state: unknown = null): PlaceHistory & { readonly length: number } {
  let entries = [state];
  let at = 0;
  return {
    get state() {
      return entries[at];
    },
    get length() {
      return entries.length;
    },
    pushState(next) {
      entries = [...entries.slice(0, ++at), structuredClone(next)];
    },
    replaceState(next) {
      entries[at] = structuredClone(next);
    },
    back() {
      at = Math.max(0, at - 1);
    },
  };
}

describe("createNavigation", () => {
  test("back leads to where one came from", () => {
    const history = createHistory();
    const navigation = createNavigation(history);
    navigation.go({ conversation: "a", members: false });
    navigation.go({ conversation: "a", members: true });
    history.back();
    navigation.popped();
    expect(navigation.place.value).toEqual({ conversation: "a", members: false });
    history.back();
    navigation.popped();
    expect(navigation.place.value).toEqual(HOME);
  });

  test("up goes back where that is the same, and leaves no trail", () => {
    const history = createHistory();
    const navigation = createNavigation(history);
    navigation.go({ conversation: "a", members: false });
    navigation.up();
    navigation.popped();
    expect(navigation.place.value).toEqual(HOME);
    navigation.go({ conversation: "b", members: false });
    expect(history.length).toBe(2);
  });

  test("up leads to the list also from a conversation that was entered from another", () => {
    const history = createHistory();
    const navigation = createNavigation(history);
    navigation.go({ conversation: "a", members: false });
    navigation.go({ conversation: "b", members: false });
    navigation.up();
    expect(navigation.place.value).toEqual(HOME);
    expect(history.state).toEqual({ place: HOME });
  });

  test("going where one is changes nothing", () => {
    const history = createHistory();
    const navigation = createNavigation(history);
    navigation.go({ conversation: "a", members: false });
    navigation.go({ conversation: "a", members: false });
    expect(history.length).toBe(2);
  });

  test("a reload finds the place again", () => {
    const history = createHistory();
    createNavigation(history).go({ conversation: "a", members: true });
    expect(createNavigation(history).place.value).toEqual({ conversation: "a", members: true });
  });

  test.each([null, 5, "x", {}, { place: null }, { place: { conversation: 7 } }, { place: [] }])(
    "a history of something else, %j, leads home",
    (state) => {
      expect(createNavigation(createHistory(state)).place.value).toEqual(HOME);
    },
  );
});
