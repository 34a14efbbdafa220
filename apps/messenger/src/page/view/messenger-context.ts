/**
 * How the views come by the page's state.
 * @module
 */
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { Messenger } from "../model/messenger.ts";

export const MessengerContext = createContext<Messenger | undefined>(undefined);

export function useMessenger(): Messenger {
  const messenger = useContext(MessengerContext);
  if (messenger === undefined) throw new TypeError("rendered outside of MessengerContext");
  return messenger;
}
