/**
 * A person at the page: does and reads what a person can, by roles and names alone, in a browser profile of their own.
 */

import type { Browser, BrowserContext, Page } from "playwright-core";

import { begin, writeDown } from "../page/demo/views.ts";

/** A message as it stands in the timeline. */
export interface Shown {
  readonly sender: string;
  readonly text: string;
  readonly state: string;
}

export class Person {
  readonly name: string;
  readonly context: BrowserContext;
  page: Page;
  /** Exceptions and refusals by the policy, as the browser's console has them. */
  readonly troubles: string[] = [];

  private constructor(name: string, context: BrowserContext, page: Page) {
    this.name = name;
    this.context = context;
    this.page = page;
    context.on("weberror", (event) => this.troubles.push(String(event.error())));
    context.on("console", (message) => {
      if (/Content Security Policy|Trusted/.test(message.text()))
        this.troubles.push(message.text());
    });
  }

  /** Opens the page, at an invitation perhaps, and chooses the name. */
  static async signUp(browser: Browser, address: string, name: string): Promise<Person> {
    // Of a self-signed certificate a person would say: go on.
    const context = await browser.newContext({ ignoreHTTPSErrors: address.startsWith("https:") });
    return Person.signUpIn(context, address, name);
  }

  static async signUpIn(context: BrowserContext, address: string, name: string): Promise<Person> {
    const person = new Person(name, context, await context.newPage());
    const { page } = person;
    await page.goto(address);
    await page.getByLabel("Your name").fill(name);
    await begin(page);
    await page.getByRole("heading", { name: "Write these 12 words down" }).waitFor();
    const words = await page.getByRole("listitem").allTextContents();
    person.#phrase = words.join(" ");
    await writeDown(page, words);
    return person;
  }

  #phrase = "";
  get recoveryPhrase(): string {
    return this.#phrase;
  }

  async begin(title: string): Promise<void> {
    await this.page.getByRole("button", { name: "New conversation" }).click();
    await this.page.getByLabel("Title").fill(title);
    await this.page.getByRole("dialog").getByRole("button", { name: "Begin" }).click();
    await this.page.getByRole("heading", { name: title, level: 2 }).waitFor();
  }

  /** Makes an invitation to the open conversation. */
  async invite(): Promise<string> {
    await this.page.getByRole("button", { name: "Invite", exact: true }).click();
    const dialog = this.page.getByRole("dialog");
    await dialog.getByRole("button", { name: "Make a link" }).click();
    const link = await dialog.getByLabel("Invitation link").inputValue();
    await dialog.getByRole("button", { name: "Close", exact: true }).click();
    return link;
  }

  /** Joins by the invitation that the page was opened with. */
  async join(title: string): Promise<void> {
    await this.page.getByRole("heading", { name: title, level: 1 }).waitFor();
    await this.page.getByRole("button", { name: "Join" }).click();
    await this.page.getByRole("heading", { name: title, level: 2 }).waitFor();
    await this.page.getByRole("textbox", { name: "Message" }).waitFor();
  }

  /** Another tab of the same browser, at the same conversation. */
  async secondTab(title: string): Promise<Page> {
    const tab = await this.context.newPage();
    await tab.goto(new URL("/", this.page.url()).href);
    await tab.getByRole("navigation").getByRole("button", { name: title }).click();
    await tab.getByRole("textbox", { name: "Message" }).waitFor();
    return tab;
  }

  /** Closes the tab, and goes on in another. */
  async leaveFor(tab: Page): Promise<void> {
    await this.page.close();
    this.page = tab;
  }

  /** Writes and sends; done once the page has it in its timeline. */
  async write(text: string, tab: Page = this.page): Promise<void> {
    const field = tab.getByRole("textbox", { name: "Message" });
    await field.fill(text);
    await field.press("Enter");
    await tab.locator("li.message .message-text", { hasText: exactly(text) }).waitFor();
  }

  async remove(name: string): Promise<void> {
    await this.page.getByRole("button", { name: "Members", exact: true }).click();
    await this.page.getByRole("button", { name: `Remove ${name}` }).click();
    await this.page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
    await this.page.getByRole("dialog").waitFor({ state: "detached" });
    await this.page.getByRole("button", { name: "Close the members" }).click();
  }

  /** Every message of the open conversation, oldest first: scrolls up as long as more comes. */
  async messages(tab: Page = this.page): Promise<readonly Shown[]> {
    const timeline = tab.getByRole("region", { name: "Messages" });
    await timeline.evaluate((element) => {
      element.scrollTop = 0;
    });
    return tab.locator("li.message").evaluateAll((items) =>
      items.map((item) => ({
        sender: item.querySelector("bdi")?.textContent ?? "",
        text: item.querySelector(".message-text")?.textContent ?? "",
        state: item.getAttribute("data-state") ?? "",
      })),
    );
  }

  /** What happened to the group, in the page's words. */
  notices(): Promise<readonly string[]> {
    return this.page
      .locator("li.notice")
      .evaluateAll((items) => items.map((item) => item.firstChild?.textContent ?? ""));
  }
}

function exactly(text: string): RegExp {
  return new RegExp(`^${RegExp.escape(text)}$`);
}
