/**
 * The page on the demo engine, in the scene that the address names: `/?home`.
 * @module
 */
import { showPage } from "../../../src/page/show-page.ts";
import { createDemoEngine, type DemoEngine } from "./demo-engine.ts";
import { type SceneName, scenes } from "./scenes.ts";

declare global {
  var demo: DemoEngine;
}

const name = location.search.slice(1);
const isScene = (text: string): text is SceneName => Object.hasOwn(scenes, text);
globalThis.demo = createDemoEngine(scenes[isScene(name) ? name : "home"]);
await showPage(globalThis.demo);
