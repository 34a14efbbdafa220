/**
 * Warnings in words, each told once however often it came, until the person puts them away.
 * @module
 */
import type { Warning } from "@conclave/client";
import type { JSX } from "preact";
import { dayAndTimeOf } from "../../model/calendar.ts";
import { warningWords } from "../../model/sentences.ts";
import { TaskError } from "../controls/form.tsx";
import { Icon } from "../controls/icon.tsx";
import { useTask } from "../controls/task.ts";
import "./warnings.css";

export function Warnings({
  warnings,
  onDismiss,
}: {
  readonly warnings: readonly Warning[];
  readonly onDismiss: () => Promise<void>;
}): JSX.Element {
  const task = useTask();
  const groups = Map.groupBy(warnings, (w) => `${w.code} ${w.accountId} ${w.subject}`);
  return (
    <div class="warnings" role="status">
      {groups.size > 0 && (
        <>
          <ul>
            {[...groups].map(([key, alike]) => (
              <WarningItem key={key} alike={alike} />
            ))}
          </ul>
          <button
            type="button"
            class="button small"
            disabled={task.running.value}
            onClick={() => task.run(onDismiss)}
          >
            Understood
          </button>
          <TaskError task={task} />
        </>
      )}
    </div>
  );
}

function WarningItem({ alike }: { readonly alike: readonly Warning[] }): JSX.Element | null {
  const latest = alike.at(-1);
  if (latest === undefined) return null;
  const { title, text, grave } = warningWords(latest);
  const times = alike.length > 1 ? `${alike.length} times, last ` : "";
  return (
    <li class={grave ? "warning warning-grave" : "warning"}>
      <Icon name={grave ? "warning" : "failed"} />
      <div>
        <strong>{title}</strong>
        <p>
          {text}{" "}
          <span class="warning-time">
            {times}
            {dayAndTimeOf(latest.at, Date.now())}
          </span>
        </p>
      </div>
    </li>
  );
}
