/**
 * The operator's page: asks the server for what it counted, and shows it as text.
 * The token comes from a form or from the address's fragment, which no browser sends; it leaves in a header alone.
 */

const TOKEN = "operator-token";
const REFRESH = 5000;

const state = element("state");
const signIn = element("sign-in");
const report = element("report");
const input = element("token");

if (location.hash.length > 1) {
  sessionStorage.setItem(TOKEN, location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
}

signIn.addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, input.value.trim());
  input.value = "";
  void refresh();
});

element("clear").addEventListener("click", () => {
  void ask("DELETE", "/violations").then(refresh);
});

setInterval(() => void (document.visibilityState === "visible" && refresh()), REFRESH);
await refresh();

async function refresh() {
  const token = sessionStorage.getItem(TOKEN);
  if (token === null) return showSignIn("");
  let response;
  try {
    response = await ask("GET", "/status");
  } catch {
    state.textContent = "The server doesn't answer.";
    return;
  }
  if (response.status === 401) {
    sessionStorage.removeItem(TOKEN);
    return showSignIn("This token is not the one of the running server.");
  }
  if (!response.ok) {
    state.textContent = `The server answered ${response.status}.`;
    return;
  }
  show(await response.json());
}

function ask(method, path) {
  const token = sessionStorage.getItem(TOKEN) ?? "";
  return fetch(path, { method, headers: { authorization: `Bearer ${token}` } });
}

function showSignIn(message) {
  state.textContent = message;
  report.hidden = true;
  if (signIn.hidden) {
    signIn.hidden = false;
    input.focus();
  }
}

function show({ startedAt, counters, violations }) {
  state.textContent = `Running since ${time(startedAt)}`;
  signIn.hidden = true;
  report.hidden = false;

  element("counters").replaceChildren(
    ...counters.map(({ name, value }) => {
      const pair = document.createElement("div");
      pair.append(cell("dt", name), cell("dd", value.toLocaleString()));
      return pair;
    }),
  );

  element("none").hidden = violations.length > 0;
  element("violations").hidden = violations.length === 0;
  element("clear").hidden = violations.length === 0;
  element("rows").replaceChildren(
    ...violations.map((group) => {
      const row = document.createElement("tr");
      row.append(
        cell("td", group.blocked),
        cell("td", group.directive),
        cell("td", group.document),
        cell("td", group.count.toLocaleString(), "number"),
        cell("td", time(group.firstSeen)),
        cell("td", time(group.lastSeen)),
      );
      return row;
    }),
  );
}

function cell(name, text, className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
}

function time(at) {
  return new Date(at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

function element(id) {
  return document.getElementById(id);
}
