import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { inviteHash, newInviteCode } from "../src/invites.ts";
import {
  type Answer,
  call,
  newPerson,
  type Person,
  proveSignIn,
  register,
  signList,
  startWorld,
  type World,
} from "./world.ts";

const HOUR = 60 * 60 * 1000;

async function ask(world: World, person: Person, invite?: string): Promise<Answer> {
  const proof = { deviceList: await signList(person), signIn: await proveSignIn(person) };
  const body = { ...proof, ...(invite !== undefined && { invite }) };
  return call(world, "POST", "/v1/accounts", { body });
}

async function aCode(world: World, expiresAt = Date.now() + HOUR): Promise<string> {
  const code = newInviteCode();
  const hash = inviteHash(code);
  if (hash === undefined) throw new Error("a new code is none");
  await world.store.addInvites([{ hash, madeAt: Date.now(), expiresAt }]);
  return code;
}

describe("invite codes", () => {
  it("are read in whatever case, with letters that look alike, and nothing else is", () => {
    const code = newInviteCode();
    expect(code).toMatch(/^([0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}$/);
    const hash = inviteHash(code);
    expect(hash).toHaveLength(32);
    for (const typed of [code.toLowerCase(), code.replaceAll("-", ""), ` ${code} `]) {
      expect(inviteHash(typed)).toEqual(hash);
    }
    expect(inviteHash("O0I1-L111-1111-1111")).toEqual(inviteHash("0011-1111-1111-1111"));
    for (const none of ["", "K7D2", `${code}-AAAA`, "UUUU-UUUU-UUUU-UUUU", "é".repeat(16)]) {
      expect(inviteHash(none)).toBeUndefined();
    }
  });
});

describe("a service that takes new accounts by code", () => {
  let world: World;
  beforeAll(async () => {
    world = await startWorld({ registration: "invite" });
  });
  afterAll(() => world.close());

  it("says when a code is needed, unknown, spent and expired", async () => {
    const person = await newPerson("Guest");
    const refused = async (invite?: string): Promise<readonly unknown[]> => {
      const { status, problem } = await ask(world, person, invite);
      return [status, problem.code];
    };
    expect(await refused()).toEqual([403, "invite-needed"]);
    expect(await refused("nonsense")).toEqual([403, "invite-unknown"]);
    expect(await refused(newInviteCode())).toEqual([403, "invite-unknown"]);
    expect(await refused(await aCode(world, world.clock.now))).toEqual([410, "invite-expired"]);
    const code = await aCode(world);
    expect((await ask(world, await newPerson("First guest"), code)).status).toBe(201);
    expect(await refused(code)).toEqual([410, "invite-spent"]);
    expect((await ask(world, person, await aCode(world))).status).toBe(201);
  });

  it("answers who asks again after a lost answer, with the code and without", async () => {
    const person = await newPerson("Again");
    const code = await aCode(world);
    const body = {
      deviceList: await signList(person),
      signIn: await proveSignIn(person),
      invite: code,
    };
    const post = () => call(world, "POST", "/v1/accounts", { body });
    expect((await post()).status).toBe(201);
    expect((await post()).status).toBe(201);
    expect((await ask(world, person, code)).problem.code).toBe("account-exists");
    expect((await ask(world, person)).problem.code).toBe("account-exists");
  });

  it("makes one account of a code, whoever else comes at once", async () => {
    const code = await aCode(world);
    const people = await Promise.all(
      Array.from({ length: 20 }, (_, i) => newPerson(`One of many ${i}`)),
    );
    const answers = await Promise.all(people.map((person) => ask(world, person, code)));
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(answers.filter(({ problem }) => problem.code === "invite-spent")).toHaveLength(19);
  });

  it("says nothing of a code to its log", async () => {
    const code = await aCode(world);
    await ask(world, await newPerson("Quiet"), code);
    expect(JSON.stringify(world.lines)).not.toContain(code);
  });
});

it("a closed service takes nobody, not by a code either, and answers those who are there", async () => {
  const world = await startWorld({ registration: "closed" });
  const open = await startWorld({ store: world.store, keepStore: true });
  const member = await newPerson("Member");
  await register(open, member);
  const stranger = await newPerson("Stranger");
  for (const code of [undefined, await aCode(world)]) {
    expect((await ask(world, stranger, code)).problem.code).toBe("registration-closed");
  }
  expect((await ask(world, member)).problem.code).toBe("account-exists");
  // An open one looks at no code.
  expect((await ask(open, stranger, "nonsense")).status).toBe(201);
  await open.close();
  await world.close();
});

it("an account that is disabled is told so by its own key alone, and signs in again when it is enabled", async () => {
  const world = await startWorld();
  const person = await newPerson("Ada");
  const token = await register(world, person);
  const signIn = async (proof = proveSignIn(person)): Promise<Answer> =>
    call(world, "POST", "/v1/sessions", { body: { signIn: await proof } });
  await world.store.setDisabled(person.accountId, world.clock.now);
  expect((await call(world, "GET", "/v1/groups", { token })).problem.code).toBe("not-signed-in");
  const refused = await signIn();
  expect([refused.status, refused.problem.code]).toEqual([403, "account-disabled"]);
  const { signInKey } = await newPerson("Eve");
  const forged = await signIn(proveSignIn(person, {}, signInKey));
  expect(forged.problem.code).toBe("invalid-signature");
  await world.store.setDisabled(person.accountId, undefined);
  expect((await signIn()).status).toBe(201);
  await world.close();
});
