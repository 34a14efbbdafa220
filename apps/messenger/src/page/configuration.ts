/**
 * What the page must know about where it was installed: a static file beside it, so that the
 * bundle is the same everywhere.
 * @module
 */
export interface Configuration {
  /** Where the delivery service is: scheme, host and port. */
  readonly serviceOrigin: string;
}

/** Throws what `fetch` throws, and `TypeError` for a file that isn't a configuration. */
export async function fetchConfiguration(): Promise<Configuration> {
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
