import { describe, expect, test } from "vitest";
import { createMessenger, type Messenger } from "../../../src/page/model/messenger.ts";
import { createNavigation } from "../../../src/page/model/place.ts";
import { createDemoEngine, type DemoEngine, type DemoState, PHRASE } from "../demo/demo-engine.ts";
import { jonas, scenes } from "../demo/scenes.ts";

function setUp(
  scene: DemoState,
  former?: string,
): {
  readonly engine: DemoEngine;
  readonly messenger: Messenger;
  readonly memory: { name: string | undefined; reloads: number };
} {
  const memory = { name: former, reloads: 0 };
  const engine = createDemoEngine(scene);
  const navigation = createNavigation({
    state: null,
    pushState() {},
    replaceState() {},
    back() {},
  });
  const messenger = createMessenger(engine, navigation, {
    newKey: () => "key",
    download: () => {},
    now: Date.now,
    reload: () => {
      memory.reloads += 1;
    },
    remembered: () => memory.name,
    remember: (name) => {
      memory.name = name;
    },
  });
  return { engine, messenger, memory };
}

/** Lets what the engine answers at once arrive. */
const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

describe("createMessenger", () => {
  test("from the start to a conversation of one's own", async () => {
    const { engine, messenger } = setUp(scenes.new);
    const screens: string[] = [];
    messenger.screen.subscribe((screen) => screens.push(screen));
    await messenger.start();
    await messenger.signUp("Alma");
    expect(messenger.recoveryPhrase.value).toBe(PHRASE);
    await messenger.confirmRecoveryPhrase();
    expect(messenger.recoveryPhrase.value).toBeUndefined();
    // Not one moment on another screen, though the account is there before the phrase.
    expect(screens).toEqual(["starting", "sign-up", "recovery-phrase", "home"]);
    await messenger.createConversation("Tea");
    expect(messenger.conversation.value?.title).toBe("Tea");
    await settle();
    expect(messenger.thread.value?.messages.value).toHaveLength(1);
    expect(engine.calls.map(([method]) => method)).toContain("confirmRecoveryPhrase");
  });

  test("a name that is taken leaves one at the sign-up", async () => {
    const { engine, messenger } = setUp(scenes.new);
    await messenger.start();
    engine.failNext("signUp", "name-taken");
    await expect(messenger.signUp("Alma")).rejects.toMatchObject({ code: "name-taken" });
    expect(messenger.screen.value).toBe("sign-up");
  });

  test("an invite code is asked for where the service does, kept with a wrong one, and gone with the account", async () => {
    const { engine, messenger } = setUp(scenes.new);
    await messenger.start();
    engine.failNext("signUp", "invite-needed");
    await expect(messenger.signUp("Alma")).rejects.toMatchObject({ code: "invite-needed" });
    expect(messenger.inviteCode.value).toBe("");
    messenger.enterInviteCode("K7D2");
    engine.failNext("signUp", "invite-unknown");
    await expect(messenger.signUp("Alma", "K7D2")).rejects.toMatchObject({
      code: "invite-unknown",
    });
    expect(messenger.inviteCode.value).toBe("K7D2");
    await messenger.signUp("Alma", "K7D2");
    expect(engine.calls.findLast(([method]) => method === "signUp")).toEqual([
      "signUp",
      "Alma",
      "K7D2",
    ]);
    expect(messenger.inviteCode.value).toBeUndefined();
    messenger.enterInviteCode("K7D2");
    expect(messenger.inviteCode.value).toBeUndefined();
  });

  test("an engine that doesn't start is told by its code", async () => {
    const { engine, messenger } = setUp(scenes.home);
    engine.failNext("snapshot", "storage");
    await messenger.start();
    expect(messenger.screen.value).toBe("failed");
    expect(messenger.failure.value).toBe("storage");
  });

  test.each([
    ["the engine says so", scenes.lost, undefined],
    ["only the page knows that there was one", scenes.new, "Alma Reyes"],
  ] as const)(
    "an account that was lost is told, and comes back by its phrase: %s",
    async (_, scene, former) => {
      const { engine, messenger, memory } = setUp(scene, former);
      await messenger.start();
      expect(messenger.screen.value).toBe("recover");
      expect(messenger.loss.value).toEqual({ name: former });
      engine.failNext("recover", "phrase-wrong");
      await expect(messenger.recover("words")).rejects.toMatchObject({ code: "phrase-wrong" });
      expect(messenger.screen.value).toBe("recover");
      await messenger.recover("words");
      expect(messenger.screen.value).toBe("home");
      expect(memory.name).toBe("Alma Reyes");
    },
  );

  test("an account that was lost can be given up for another", async () => {
    const { messenger, memory } = setUp(scenes.lost, "Alma Reyes");
    await messenger.start();
    messenger.beginAnew();
    expect([messenger.screen.value, memory.name]).toEqual(["sign-up", undefined]);
    await messenger.signUp("Other");
    await messenger.confirmRecoveryPhrase();
    expect([messenger.screen.value, memory.name]).toEqual(["home", "Other"]);
  });

  test("whoever has a phrase and nothing else may enter it, or go back", async () => {
    const { messenger } = setUp(scenes.new);
    await messenger.start();
    messenger.wantRecovery();
    expect([messenger.screen.value, messenger.loss.value]).toEqual(["recover", undefined]);
    messenger.beginAnew();
    expect(messenger.screen.value).toBe("sign-up");
  });

  test("a newer version of the page leaves nothing but to load again", async () => {
    const { engine, messenger, memory } = setUp(scenes.home);
    await messenger.start();
    engine.connect("outdated");
    expect(messenger.screen.value).toBe("outdated");
    messenger.reload();
    expect(memory.reloads).toBe(1);
    const late = setUp(scenes.home);
    late.engine.failNext("snapshot", "outdated");
    await late.messenger.start();
    expect(late.messenger.screen.value).toBe("outdated");
  });

  test("a copy that is in use elsewhere hides all, until it is taken over", async () => {
    const { engine, messenger } = setUp(scenes.home);
    await messenger.start();
    engine.connect("elsewhere");
    expect(messenger.screen.value).toBe("elsewhere");
    await messenger.takeOver();
    expect(messenger.screen.value).toBe("home");
  });

  test("an invitation waits for the sign-up, then asks, then leads into the conversation", async () => {
    const { engine, messenger } = setUp(scenes.new);
    messenger.openInvitation("secret");
    await messenger.start();
    expect(messenger.screen.value).toBe("sign-up");
    await messenger.signUp("Alma");
    await messenger.confirmRecoveryPhrase();
    expect(messenger.screen.value).toBe("join");
    expect((await messenger.previewInvitation()).title).toBe("Reading circle");
    engine.failNext("acceptInvitation", "link-closed");
    await expect(messenger.acceptInvitation()).rejects.toMatchObject({ code: "link-closed" });
    expect(messenger.screen.value).toBe("join");
    await messenger.acceptInvitation();
    expect(messenger.screen.value).toBe("home");
    expect(messenger.invitation.value).toBeUndefined();
    expect(messenger.conversation.value?.title).toBe("Reading circle");
    expect(engine.calls).toContainEqual(["acceptInvitation", "secret"]);
  });

  test("an invitation can be declined, and is forgotten", async () => {
    const { engine, messenger } = setUp(scenes.home);
    await messenger.start();
    messenger.show({ type: "new-conversation" });
    messenger.openInvitation("secret");
    expect(messenger.overlay.value).toBeUndefined();
    messenger.declineInvitation();
    expect(messenger.screen.value).toBe("home");
    expect(engine.calls.flat()).not.toContain("secret");
  });

  test("opening another conversation closes the thread of the first", async () => {
    const { engine, messenger } = setUp(scenes.home);
    await messenger.start();
    messenger.go({ conversation: "7c0000a1", members: false });
    const first = messenger.thread.value;
    await settle();
    messenger.go({ conversation: "2c0000a2", members: false });
    await settle();
    expect(messenger.thread.value?.id).toBe("2c0000a2");
    engine.receive("7c0000a1", jonas, "Are you there?");
    expect(first?.messages.value).toHaveLength(15);
    messenger.go({ members: false });
    expect(messenger.thread.value).toBeUndefined();
  });

  test("a place that no longer is one shows the list", async () => {
    const { messenger } = setUp(scenes.home);
    await messenger.start();
    messenger.go({ conversation: "99", members: true });
    expect(messenger.conversation.value).toBeUndefined();
    expect(messenger.thread.value).toBeUndefined();
  });

  test("what is received in the open conversation is announced", async () => {
    const { engine, messenger } = setUp(scenes.home);
    await messenger.start();
    messenger.go({ conversation: "2c0000a2", members: false });
    await settle();
    engine.receive("7c0000a1", jonas, "elsewhere");
    expect(messenger.announcement.value).toBe("");
    engine.receive("2c0000a2", jonas, "Ten o'clock?");
    expect(messenger.announcement.value).toBe("Jonas Lind: Ten o'clock?");
  });

  test("marks as read what is unread, and nothing else", async () => {
    const { engine, messenger } = setUp(scenes.home);
    await messenger.start();
    messenger.go({ conversation: "2c0000a2", members: false });
    await messenger.markRead();
    await messenger.markRead();
    expect(engine.calls.filter(([method]) => method === "markRead")).toEqual([
      ["markRead", "2c0000a2"],
    ]);
    expect(messenger.unread.value).toBe(0);
  });

  test("each conversation keeps its own draft", async () => {
    const { messenger } = setUp(scenes.home);
    await messenger.start();
    messenger.draft("2c0000a2").text.value = "half a";
    expect(messenger.draft("7c0000a1").text.value).toBe("");
    expect(messenger.draft("2c0000a2").text.value).toBe("half a");
  });
});
