/**
 * The page on the demo engine, in the scene that the address names: `/?home`.
 * @module
 */
import type { Member } from "@conclave/client";
import { showPage } from "../../../src/page/show-page.ts";
import { createDemoEngine, type DemoEngine } from "./demo-engine.ts";
import { jonas, type SceneName, scenes, tomasz } from "./scenes.ts";

declare global {
  var demo: DemoEngine;
  /** Two of those in the scenes. */
  var people: readonly Member[];
}

const name = location.search.slice(1);
const isScene = (text: string): text is SceneName => Object.hasOwn(scenes, text);
globalThis.demo = createDemoEngine(scenes[isScene(name) ? name : "home"]);
globalThis.people = [jonas, tomasz];
await showPage(globalThis.demo);
