/**
 * Comparing the safety number: the one way to know that a name is the person, whatever the
 * service says.
 * @module
 */
import type { Member } from "@conclave/client";
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { Dialog } from "../controls/dialog.tsx";
import { TaskError } from "../controls/form.tsx";
import { useTask } from "../controls/task.ts";
import { useMessenger } from "../messenger-context.ts";
import "./safety-number.css";

export function SafetyNumber({ member }: { readonly member: Member }): JSX.Element {
  const messenger = useMessenger();
  const groups = useSignal<readonly string[]>([]);
  const task = useTask();
  useEffect(() => {
    task.run(async () => {
      const digits = await messenger.safetyNumber(member.accountId);
      groups.value = digits.replace(/\D/gu, "").match(/\d{5}/gu) ?? [];
    });
  }, [member.accountId]);

  return (
    <Dialog title="Safety number" onClose={() => messenger.closeOverlay()}>
      <p>
        <bdi>{member.name}</bdi> sees the same {groups.value.length * 5 || 60} digits beside your
        name. Compare them face to face or on the phone, not in this conversation.
      </p>
      <ol class="safety-number" aria-label="Safety number, in groups of five digits">
        {groups.value.map((group, i) => (
          <li key={i}>{group}</li>
        ))}
      </ol>
      <label class="check">
        <input
          type="checkbox"
          checked={member.verified}
          disabled={task.running.value || groups.value.length === 0}
          onChange={(event) => {
            const verified = event.currentTarget.checked;
            task.run(() => messenger.setVerified(member.accountId, verified));
          }}
        />
        We compared them: they match
      </label>
      <TaskError task={task} />
    </Dialog>
  );
}
