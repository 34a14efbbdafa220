/**
 * What an opened invitation link leads to: who invites to what, and the question whether to join.
 * @module
 */
import type { InvitationPreview } from "@conclave/client";
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { counted } from "../../model/sentences.ts";
import { Avatar } from "../controls/avatar.tsx";
import { useFocusAtFirst } from "../controls/focus.ts";
import { TaskError } from "../controls/form.tsx";
import { Icon } from "../controls/icon.tsx";
import { useTask } from "../controls/task.ts";
import { useMessenger } from "../messenger-context.ts";
import "./join.css";

export function Join(): JSX.Element {
  const messenger = useMessenger();
  const preview = useSignal<InvitationPreview>();
  const looking = useTask();
  const joining = useTask();
  const look = (): void =>
    looking.run(async () => {
      preview.value = await messenger.previewInvitation();
    });
  useEffect(look, []);

  return (
    <main class="gate">
      <section class="card join">
        <p class="join-kicker">Invitation</p>
        {preview.value === undefined ? (
          <h1 class="card-title">
            {looking.running.value
              ? "Looking at your invitation…"
              : "This invitation can't be used"}
          </h1>
        ) : (
          <Preview preview={preview.value} />
        )}
        <TaskError task={looking} />
        <TaskError task={joining} />
        <div class="actions">
          <button type="button" class="button" onClick={() => messenger.declineInvitation()}>
            Not now
          </button>
          {looking.error.value !== undefined && (
            <button type="button" class="button primary" onClick={look}>
              Try again
            </button>
          )}
          {preview.value?.inviterConfirmed === true && (
            <button
              type="button"
              class="button primary"
              disabled={joining.running.value}
              onClick={() => joining.run(() => messenger.acceptInvitation())}
            >
              {joining.running.value ? "Joining…" : "Join"}
            </button>
          )}
        </div>
      </section>
    </main>
  );
}

function Preview({ preview }: { readonly preview: InvitationPreview }): JSX.Element {
  const heading = useFocusAtFirst<HTMLHeadingElement>();
  const { title, inviterName, inviterConfirmed, members } = preview;
  return (
    <>
      <Avatar id="" name={title} shape="square" />
      <h1 class="card-title" dir="auto" tabIndex={-1} ref={heading}>
        {title}
      </h1>
      <p class="join-inviter">
        <bdi>{inviterName}</bdi> invites you. {counted(members, "member", "members")} so far.
      </p>
      {inviterConfirmed ? (
        <p class="join-proof">
          <Icon name="verified" />
          <span>
            Checked: the <bdi>{inviterName}</bdi> who made this link is the one in the conversation.
          </span>
        </p>
      ) : (
        <p class="join-proof join-proof-failed">
          <Icon name="warning" />
          <span>
            The <bdi>{inviterName}</bdi> in the conversation isn't the one who made this link.
            Somebody may be pretending: ask <bdi>{inviterName}</bdi> for a new link, by phone or
            face to face.
          </span>
        </p>
      )}
      {inviterConfirmed && (
        <p class="join-note">
          You will read what is written after you have joined, and nothing from before.
        </p>
      )}
    </>
  );
}
