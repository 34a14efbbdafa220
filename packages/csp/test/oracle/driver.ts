/**
 * What runs inside of Chromium: it makes things happen and notes what came of them. `driver` is turned into text and
 * put into every document before the document's own scripts, so it can use nothing from outside of itself.
 */

/** Something for the page to do. */
export interface Step {
  readonly id: string;
  readonly op: string;
  /** One after the other, because its violations can't be told apart by what they say. */
  readonly serial?: boolean;
  readonly url?: string;
  readonly text?: string;
  readonly name?: string;
  readonly nonce?: string;
  readonly integrity?: string;
  readonly crossorigin?: boolean;
}

/** A `securitypolicyviolation` event, and what tells whose it is. */
export interface SeenEvent {
  readonly probe: string | null;
  readonly blockedURI: string;
  readonly effectiveDirective: string;
  readonly disposition: string;
  readonly sample: string;
  readonly originalPolicy: string;
}

/** What a page saw. `done` has the probes whose script ran, or that loaded. */
export interface Seen {
  readonly events: readonly SeenEvent[];
  readonly done: readonly string[];
}

export function driver(): void {
  interface Hooks {
    ran: (id: string) => void;
    oracleImport?: (url: string, options?: object) => Promise<void>;
    oracleRun?: (steps: readonly Step[]) => Promise<Seen>;
  }
  const hooks = globalThis as unknown as Hooks;
  const events: SeenEvent[] = [];
  const done = new Set<string>();
  /** Who waits for the end of a probe. */
  const waiting = new Map<string, () => void>();
  let current: string | null = null;
  /** Whose a URL is that has no room for an id. */
  const ownerOf = new Map<string, string>();
  const idIn = (text: string): string | null => {
    const pattern = text.startsWith("data:") ? /%3Fp%3D(\w+)/ : /[?&]p=(\w+)/;
    return pattern.exec(text)?.[1] ?? null;
  };

  const note = (event: SeenEvent): void => {
    if (event.blockedURI.endsWith("/favicon.ico")) return;
    events.push({ ...event, probe: event.probe ?? current });
    if (event.disposition === "enforce") waiting.get(event.probe ?? current ?? "")?.();
  };
  const isTop = window === top;
  const send = (message: object): void => {
    if (isTop) receive(message);
    else top?.postMessage({ oracle: message }, "*");
  };
  const receive = (message: { event?: SeenEvent; ran?: string; alive?: string }): void => {
    if (message.event) note(message.event);
    if (message.ran) {
      done.add(message.ran);
      waiting.get(message.ran)?.();
    }
    const alive = message.alive && (idIn(message.alive) ?? ownerOf.get(message.alive));
    if (alive) done.add(alive);
  };
  hooks.ran = (id) => send({ ran: id });
  addEventListener(
    "securitypolicyviolation",
    (event) => {
      const target = event.target instanceof Element ? event.target : null;
      const { blockedURI, effectiveDirective, disposition, sample, originalPolicy } = event;
      const probe = idIn(blockedURI) ?? target?.getAttribute("data-probe") ?? null;
      send({
        event: { probe, blockedURI, effectiveDirective, disposition, sample, originalPolicy },
      });
    },
    true,
  );
  if (!isTop) send({ alive: location.href });
  if (!isTop) return;
  addEventListener("message", ({ data }) => {
    if (data?.oracle) receive(data.oracle);
  });

  const pause = (milliseconds: number): Promise<void> =>
    new Promise((resolve) => setTimeout(resolve, milliseconds));
  const find = <E extends Element = HTMLElement>({ id }: Step): E =>
    document.querySelector(`[data-probe="${id}"]`) as E;
  const set = (element: Element, { id, nonce, integrity, crossorigin }: Step): void => {
    element.setAttribute("data-probe", id);
    if (nonce) element.setAttribute("nonce", nonce);
    if (integrity) element.setAttribute("integrity", integrity);
    if (crossorigin) element.setAttribute("crossorigin", "");
  };
  const add = <E extends Element>(element: E, to: Element = document.body): E => {
    to.append(element);
    return element;
  };
  /** Whether the element loaded, not failed. */
  const settled = (element: EventTarget, good = "load"): Promise<boolean> =>
    new Promise((resolve) => {
      element.addEventListener(good, () => resolve(true));
      element.addEventListener("error", () => resolve(false));
    });
  const insert = <E extends Element>(name: string, step: Step, properties: object): E => {
    const element = document.createElement(name);
    set(element, step);
    Object.assign(element, properties);
    return element as unknown as E;
  };
  const link = (step: Step, properties: object): Promise<boolean> => {
    const element = insert("link", step, properties);
    const result = settled(element);
    add(element, document.head);
    return result;
  };
  const urlOf = (step: Step): string => {
    const { url = "", text } = step;
    if (url !== "blob:") return url;
    const type = step.name ?? "text/plain";
    const made = URL.createObjectURL(new Blob([text ?? ""], { type }));
    ownerOf.set(made, step.id);
    return made;
  };
  const frame = async (step: Step, properties: object): Promise<boolean> => {
    const element = insert<HTMLIFrameElement>("iframe", step, properties);
    const result = settled(element);
    add(element);
    await result;
    return done.has(step.id);
  };
  const fromWorker = (worker: Worker | MessagePort, target: EventTarget): Promise<boolean> =>
    new Promise((resolve) => {
      worker.onmessage = ({ data }) => {
        if (data?.event || data?.ran) receive(data);
        else resolve(data !== "end");
      };
      target.addEventListener("error", (event) => {
        event.preventDefault();
        resolve(false);
      });
    });
  const operations: Record<string, (step: Step) => unknown> = {
    none: () => undefined,
    script: (step) => {
      const element = insert("script", step, { src: urlOf(step) });
      const result = settled(element);
      add(element);
      return result.then(() => undefined);
    },
    module: (step) => {
      const element = insert("script", step, { type: "module", src: urlOf(step) });
      const result = settled(element);
      add(element);
      return result.then(() => undefined);
    },
    "dynamic-import": (step) => hooks.oracleImport?.(urlOf(step)),
    "json-import": async (step) => {
      await hooks.oracleImport?.(urlOf(step), { with: { type: "json" } });
    },
    style: (step) => link(step, { rel: "stylesheet", href: urlOf(step) }),
    image: (step) => {
      const element = insert("img", step, { src: urlOf(step) });
      return settled(add(element));
    },
    poster: async (step) => {
      add(insert("video", step, { poster: urlOf(step) }));
      await pause(60);
    },
    "svg-image": (step) => {
      const svg = add(document.createElementNS("http://www.w3.org/2000/svg", "svg"));
      const element = document.createElementNS("http://www.w3.org/2000/svg", "image");
      set(element, step);
      element.setAttribute("href", urlOf(step));
      const result = settled(element);
      add(element, svg);
      return result;
    },
    background: async (step) => {
      add(insert<HTMLElement>("b", step, {})).style.backgroundImage = `url("${urlOf(step)}")`;
      await pause(60);
    },
    font: (step) => new FontFace("probe", `url("${urlOf(step)}")`).load(),
    audio: (step) => {
      const element = insert("audio", step, { preload: "auto", src: urlOf(step) });
      const result = settled(element, "loadedmetadata");
      add(element);
      return result;
    },
    video: (step) => {
      const element = insert("video", step, { preload: "auto", src: urlOf(step) });
      const result = settled(element, "loadedmetadata");
      add(element);
      return result;
    },
    track: (step) => {
      const video = add(document.createElement("video"));
      if (step.crossorigin !== false) video.crossOrigin = "anonymous";
      const element = insert<HTMLTrackElement>("track", step, { kind: "subtitles" });
      const result = settled(element);
      add(element, video);
      element.track.mode = "showing";
      element.src = urlOf(step);
      return result;
    },
    object: (step) => {
      const element = insert("object", step, { data: urlOf(step) });
      const result = settled(element);
      add(element);
      return result;
    },
    embed: (step) => {
      const element = insert("embed", step, { src: urlOf(step) });
      const result = settled(element);
      add(element);
      return result;
    },
    frame: async (step) => {
      await frame(step, { src: urlOf(step) });
      await pause(60);
    },
    blank: async (step) => {
      const element = add(insert<HTMLIFrameElement>("iframe", step, {}));
      const { body } = element.contentDocument as Document;
      body.innerHTML = step.text ?? "";
      await pause(100);
    },
    iframe: (step) => frame(step, { src: urlOf(step) }),
    srcdoc: (step) => frame(step, { srcdoc: step.text }),
    fetch: async (step) => {
      await fetch(urlOf(step));
      return true;
    },
    xhr: (step) => {
      const request = new XMLHttpRequest();
      const result = settled(request);
      request.open("GET", urlOf(step));
      request.send();
      return result;
    },
    beacon: async (step) => {
      navigator.sendBeacon(urlOf(step));
      await pause(60);
    },
    ping: async (step) => {
      const element = insert<HTMLElement>("a", step, { href: "#ping", ping: urlOf(step) });
      add(element).click();
      await pause(60);
    },
    eventsource: (step) => {
      const source = new EventSource(urlOf(step));
      return settled(source, "open").then((opened) => {
        source.close();
        return opened;
      });
    },
    websocket: (step) => {
      const socket = new WebSocket(urlOf(step));
      return settled(socket, "open");
    },
    worker: (step) => {
      const worker = new Worker(urlOf(step));
      return fromWorker(worker, worker);
    },
    "module-worker": (step) => {
      const worker = new Worker(urlOf(step), { type: "module" });
      return fromWorker(worker, worker);
    },
    sharedworker: (step) => {
      const worker = new SharedWorker(urlOf(step));
      return fromWorker(worker.port, worker);
    },
    serviceworker: async (step) => {
      const registration = await navigator.serviceWorker.register(urlOf(step));
      await registration.unregister();
      return true;
    },
    audioworklet: async (step) => {
      await new OfflineAudioContext(1, 1, 44100).audioWorklet.addModule(urlOf(step));
      return true;
    },
    paintworklet: async (step) => {
      const css = CSS as unknown as { paintWorklet: { addModule: (url: string) => Promise<void> } };
      await css.paintWorklet.addModule(urlOf(step));
      return true;
    },
    prefetch: (step) => link(step, { rel: "prefetch", href: urlOf(step) }),
    modulepreload: (step) => link(step, { rel: "modulepreload", href: urlOf(step) }),
    preload: (step) => {
      const properties = { rel: "preload", as: step.name, href: urlOf(step) };
      return link(step, step.name === "font" ? { ...properties, crossOrigin: "" } : properties);
    },
    "inline-script": (step) => {
      const element = insert("script", step, {});
      element.append(step.text ?? "");
      add(element);
    },
    "inline-style": async (step) => {
      const element = insert<HTMLStyleElement>("style", step, {});
      element.append(step.text ?? "");
      add(element);
      return (element.sheet?.cssRules.length ?? 0) > 0;
    },
    "parsed-style": (step) => (find<HTMLStyleElement>(step).sheet?.cssRules.length ?? 0) > 0,
    "set-handler": (step) => {
      const element = add(insert<HTMLElement>("b", step, {}));
      element.setAttribute("onclick", step.text ?? "");
      element.click();
    },
    click: (step) => find(step).click(),
    "set-style": (step) => {
      const element = add(insert<HTMLElement>("b", step, {}));
      element.setAttribute("style", step.text ?? "");
      return element.style.length > 0;
    },
    "has-style": (step) => find(step).style.length > 0,
    "css-text": (step) => {
      const element = add(insert<HTMLElement>("b", step, {}));
      element.style.cssText = step.text ?? "";
      return element.style.length > 0;
    },
    "javascript-link": async (step) => {
      add(insert<HTMLElement>("a", step, { href: step.url })).click();
      await pause(120);
    },
    "javascript-frame": async (step) => {
      add(insert("iframe", step, { src: step.url }));
      await pause(120);
    },
    eval: ({ text = "" }) => {
      // oxlint-disable-next-line no-eval -- what is asked about
      eval(text);
    },
    "indirect-eval": ({ text = "" }) => {
      // oxlint-disable-next-line no-eval -- what is asked about
      (0, eval)(text);
    },
    function: ({ text = "" }) => {
      // oxlint-disable-next-line typescript/no-implied-eval -- what is asked about
      new Function(text)();
    },
    timer: async ({ text = "" }) => {
      // oxlint-disable-next-line typescript/no-implied-eval -- what is asked about
      setTimeout(text, 0);
      await pause(5);
    },
    wasm: () => {
      new WebAssembly.Module(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
      return true;
    },
    "wasm-compile": async () => {
      await WebAssembly.compile(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
      return true;
    },
    base: (step) => {
      // One element for all, since only the first of a document counts.
      const element =
        document.querySelector("base") ?? add(document.createElement("base"), document.head);
      element.setAttribute("href", step.url ?? "");
      return document.baseURI === step.url;
    },
    form: async (step) => {
      const target = `target-${step.id}`;
      const element = add(
        insert<HTMLIFrameElement>("iframe", { id: "", op: "" }, { name: target }),
      );
      const form = insert<HTMLFormElement>("form", step, { target, method: "post" });
      form.action = step.url ?? "";
      add(form);
      await pause(0);
      const result = settled(element);
      form.submit();
      await result;
    },
  };

  const sinks: Record<string, (text: string) => unknown> = {
    innerHTML: (text) => (document.createElement("b").innerHTML = text),
    outerHTML: (text) => (add(document.createElement("b")).outerHTML = text),
    insertAdjacentHTML: (text) => document.createElement("b").insertAdjacentHTML("beforeend", text),
    setHTMLUnsafe: (text) => document.createElement("b").setHTMLUnsafe(text),
    "shadow innerHTML": (text) =>
      (document.createElement("div").attachShadow({ mode: "open" }).innerHTML = text),
    "contextual fragment": (text) => document.createRange().createContextualFragment(text),
    DOMParser: (text) => new DOMParser().parseFromString(text, "text/html"),
    parseHTMLUnsafe: (text) => Document.parseHTMLUnsafe(text),
    "srcdoc property": (text) => (document.createElement("iframe").srcdoc = text),
    "srcdoc attribute": (text) => document.createElement("iframe").setAttribute("srcdoc", text),
    "script src": (text) => (document.createElement("script").src = text),
    "script src attribute": (text) => document.createElement("script").setAttribute("src", text),
    "svg script href": (text) =>
      document.createElementNS("http://www.w3.org/2000/svg", "script").setAttribute("href", text),
    "script text": (text) => (document.createElement("script").text = text),
    "script textContent": (text) => (document.createElement("script").textContent = text),
    "script innerText": (text) => (document.createElement("script").innerText = text),
    "handler attribute": (text) => document.createElement("b").setAttribute("onclick", text),
    execCommand: (text) => document.execCommand("insertHTML", false, text),
    "Worker sink": (text) => new Worker(text).terminate(),
    "SharedWorker sink": (text) => new SharedWorker(text),
  };
  for (const [name, sink] of Object.entries(sinks)) {
    operations[name] = ({ text = "" }) => {
      sink(text);
      return true;
    };
  }
  const create = (name: string): void => {
    const { trustedTypes } = globalThis as unknown as {
      trustedTypes: { createPolicy: (name: string, rules: object) => void };
    };
    trustedTypes.createPolicy(name, {});
  };
  operations["create"] = ({ name = "" }) => {
    create(name);
    return true;
  };
  operations["create twice"] = ({ name = "" }) => {
    create(name);
    create(name);
    return true;
  };

  const run = async (step: Step): Promise<void> => {
    const ended = new Promise<void>((resolve) => waiting.set(step.id, resolve));
    const work = (async () => {
      const operation = operations[step.op];
      if (!operation) throw new Error(`no operation ${step.op}`);
      if (await operation(step)) done.add(step.id);
    })().catch(() => undefined);
    await Promise.race([work, ended, pause(2_500)]);
    // More events may be on their way.
    if (step.serial) await pause(["iframe", "object", "embed", "form"].includes(step.op) ? 40 : 10);
  };

  hooks.oracleRun = async (steps) => {
    await Promise.all(steps.filter(({ serial }) => !serial).map(run));
    await pause(20);
    for (const step of steps) {
      if (!step.serial) continue;
      current = step.id;
      await run(step);
      current = null;
    }
    await pause(30);
    return { events, done: [...done] };
  };
}
