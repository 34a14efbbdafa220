/**
 * What the page must know about where it was installed: a static file beside it, so that the
 * bundle is the same everywhere.
 * @module
 */
import { pauseAfter } from "./pause.ts";

export interface Configuration {
  /** Where the delivery service is: scheme, host and port. */
  readonly serviceOrigin: string;
}

/** Tries until it is there; `onError` is called each time that it isn't. */
export async function loadConfiguration(onError: () => void): Promise<Configuration> {
  let pause: number | undefined;
  for (;;) {
    try {
      return await fetchConfiguration();
    } catch {
      onError();
    }
    pause = pauseAfter(pause);
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** Throws what `fetch` throws, and `TypeError` for a file that isn't a configuration. */
async function fetchConfiguration(): Promise<Configuration> {
  const response = await fetch("/config.json", { cache: "no-store", credentials: "omit" });
  if (!response.ok) throw new TypeError(`/config.json answered ${response.status}`);
  return configurationOf(await response.json());
}

export function configurationOf(value: unknown): Configuration {
  const serviceOrigin: unknown =
    typeof value === "object" && value !== null ? Reflect.get(value, "serviceOrigin") : undefined;
  if (typeof serviceOrigin !== "string" || URL.parse(serviceOrigin)?.origin !== serviceOrigin) {
    throw new TypeError("serviceOrigin must be an origin, such as https://chat.example");
  }
  return { serviceOrigin };
}
