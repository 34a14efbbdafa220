/**
 * What the page asks of the engine: the client's interface and its events, wherever it runs.
 * @module
 */
import type { ClientApi, ClientEvent } from "@conclave/client";

export interface Engine extends ClientApi {
  /** Answers a function that ends the subscription. */
  subscribe(listener: (event: ClientEvent) => void): () => void;
}
