/**
 * Whom one asked to be let add them, and what came of it.
 * @module
 */
import type { AskedContact } from "@conclave/client";
import type { JSX } from "preact";
import { dayAndTimeOf } from "../../model/calendar.ts";
import { TaskError } from "../controls/form.tsx";
import { useTask } from "../controls/task.ts";
import { useMessenger } from "../messenger-context.ts";
import "./contacts.css";

export function Asked({
  onAdd,
}: {
  /** Where there is something to add them to. */
  readonly onAdd?: (name: string) => Promise<void>;
}): JSX.Element {
  const asked = useMessenger().asked.value;
  return (
    <div role="status">
      {asked.length > 0 && (
        <ul class="contacts" aria-label="Whom you asked">
          {asked.map((one) => (
            <AskedEntry key={one.name} asked={one} {...(onAdd && { onAdd })} />
          ))}
        </ul>
      )}
    </div>
  );
}

function AskedEntry({
  asked: { name, at, allowed },
  onAdd,
}: {
  readonly asked: AskedContact;
  readonly onAdd?: (name: string) => Promise<void>;
}): JSX.Element {
  const messenger = useMessenger();
  const task = useTask();
  return (
    <li class="contact">
      <p class="contact-name">
        <bdi>{name}</bdi>
        <span>{allowed ? "Lets you add them" : `Asked ${dayAndTimeOf(at, Date.now())}`}</span>
      </p>
      {allowed && onAdd !== undefined && (
        <button
          type="button"
          class="text-button"
          disabled={task.running.value}
          onClick={() => task.run(() => onAdd(name))}
        >
          Add<span class="visually-hidden"> {name}</span>
        </button>
      )}
      <button
        type="button"
        class="text-button"
        disabled={task.running.value}
        onClick={() => task.run(() => messenger.withdrawContact(name))}
      >
        {allowed ? "Dismiss" : "Take back"}
        <span class="visually-hidden"> {allowed ? name : `the request to ${name}`}</span>
      </button>
      <TaskError task={task} />
    </li>
  );
}
