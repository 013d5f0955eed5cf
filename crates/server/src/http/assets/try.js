// Trying an endpoint: a form for what only reads, a command for what changes something.
//
// Nothing is sent before the visitor asks for it, nothing is kept, and a token is never shown.

import { codeBox, drawer, element, section } from "./pieces.js";
import { resolved } from "./schemas.js";

// The longest text that is shown of one answer, in characters: the brands of a large country have a million.
const MOST_SHOWN = 200000;

// The address of a call, below the folder of this page. The example stands in for a part of the path that is empty yet.
function addressOf(path, values) {
  let filled = path;
  const query = new URLSearchParams();
  for (const { parameter, value } of values) {
    if (parameter.in === "path") {
      const text = value !== "" ? value : String(parameter.example || "");
      filled = filled.split("{" + parameter.name + "}").join(encodeURIComponent(text));
    } else if (parameter.in === "query" && value !== "") {
      query.append(parameter.name, value);
    }
  }
  const address = new URL(filled.replace(/^\//, ""), new URL(".", document.baseURI));
  address.search = query.toString();
  return address;
}

function shellQuoted(text) {
  return "'" + text.replace(/'/g, "'\\''") + "'";
}

// The same call for a terminal. A token is named and not shown.
function commandOf(endpoint, values, body) {
  const parts = ["curl " + shellQuoted(addressOf(endpoint.path, values).href)];
  if (endpoint.operation.responses["200"] && hasEvents(endpoint.operation)) {
    parts[0] = parts[0].replace("curl ", "curl -N ");
  }
  for (const { parameter, value } of values) {
    if (parameter.in === "header" && value !== "") {
      parts.push("-H " + shellQuoted(parameter.name + ": " + value));
    } else if (parameter.in === "bearer" && value !== "") {
      parts.push('-H "Authorization: Bearer $TOKEN"');
    }
  }
  if (body !== null) {
    parts.push("-H 'Content-Type: application/json'", "-d " + shellQuoted(body));
  }
  return parts.join(" \\\n  ");
}

// Whether nothing is answered without an API key: an empty requirement is the anonymous call.
export function needsKey(operation) {
  return Boolean(operation.security) && operation.security.every((scheme) => Object.keys(scheme).length > 0);
}

function hasEvents(operation) {
  const answer = resolved(operation.responses["200"]) || {};
  return Boolean(answer.content && answer.content["text/event-stream"]);
}

// What a field of the form starts with. Ids are left to the visitor, and so is who he is.
function firstValue(parameter) {
  const isId = parameter.schema && parameter.schema.format === "uuid";
  return parameter.example !== undefined && !isId && parameter.in !== "header" ? String(parameter.example) : "";
}

function formField(endpoint, parameter) {
  const id = "try-" + endpoint.id + "-" + parameter.in + "-" + parameter.name;
  const label = element("label", { for: id }, element("code", {}, parameter.name), " ");
  label.append(element("span", { class: "optional" }, parameter.in === "bearer" ? parameter.description : parameter.in));
  if (parameter.required) {
    label.append(" ", element("span", { class: "required" }, "required"));
  }
  const input = element("input", {
    id,
    type: parameter.in === "bearer" ? "password" : "text",
    autocomplete: "off",
    spellcheck: "false",
    pattern: (parameter.schema && parameter.schema.pattern) || null,
    placeholder: parameter.example !== undefined ? String(parameter.example) : null,
  });
  input.required = Boolean(parameter.required);
  input.value = firstValue(parameter);
  return { parameter, input, node: element("div", { class: "field" }, label, input) };
}

// A call that changes something is shown as a command and not made from here.
export function commandOnly(endpoint, parameters) {
  const values = parameters
    .filter((parameter) => parameter.in === "path" || parameter.name === "Idempotency-Key")
    .map((parameter) => ({ parameter, value: String(parameter.example || "") }));
  const body = resolved(endpoint.operation.requestBody || {});
  const form = (body.content || {})["application/json"];
  const text = form && form.example !== undefined ? JSON.stringify(form.example) : null;
  return section("As a command", codeBox(commandOf(endpoint, values, text), "Command"));
}

export function tryForm(endpoint, parameters) {
  const asked = [...parameters];
  if (endpoint.operation.security) {
    const required = needsKey(endpoint.operation);
    const description = required ? "KEY.SECRET" : "customer's token";
    asked.push({ name: "Authorization", in: "bearer", required, description });
  }
  const fields = asked.map((parameter) => formField(endpoint, parameter));
  const values = () => fields.map(({ parameter, input }) => ({ parameter, value: input.value.trim() }));
  const send = element("button", { type: "submit", class: "primary" }, "Send");
  const stop = element("button", { type: "button" }, "Stop");
  stop.disabled = true;
  const command = codeBox("", "The call as a command");
  const showCommand = () => {
    command.textContent = commandOf(endpoint, values(), null);
  };
  const state = element("p", { role: "status" });
  const output = element("div", { class: "result" });
  const form = element(
    "form",
    { class: "try" },
    element("div", { class: "form-fields" }, ...fields.map((field) => field.node)),
    element("div", { class: "form-actions" }, send, stop),
    command,
    element("div", { class: "result" }, state, output)
  );
  form.addEventListener("input", showCommand);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run(endpoint, values(), { send, stop, state, output });
  });
  showCommand();
  return section("Try it", form);
}

async function run(endpoint, values, view) {
  const stopper = new AbortController();
  const onStop = () => stopper.abort();
  view.stop.addEventListener("click", onStop);
  view.send.disabled = true;
  view.stop.disabled = false;
  view.state.textContent = "Waiting for the answer …";
  view.output.replaceChildren();
  try {
    await call(endpoint, values, view, stopper.signal);
  } catch (failure) {
    const reason = failure && failure.message ? failure.message : String(failure);
    view.state.textContent = stopper.signal.aborted
      ? "Stopped."
      : "No answer: " + reason + ". Is the server still running?";
  } finally {
    view.stop.removeEventListener("click", onStop);
    view.send.disabled = false;
    view.stop.disabled = true;
  }
}

async function call(endpoint, values, view, signal) {
  const address = addressOf(endpoint.path, values);
  const headers = new Headers();
  for (const { parameter, value } of values) {
    if (parameter.in === "header" && value !== "") {
      headers.set(parameter.name, value);
    } else if (parameter.in === "bearer" && value !== "") {
      headers.set("Authorization", "Bearer " + value);
    }
  }
  const started = performance.now();
  const answer = await fetch(address, { headers, signal, credentials: "omit", redirect: "error", cache: "no-store" });
  const took = Math.round(performance.now() - started);
  const mediaType = (answer.headers.get("content-type") || "").split(";")[0].trim();
  const isGood = answer.ok || answer.status === 304;
  const status = (answer.status + " " + answer.statusText).trim();
  view.state.replaceChildren(
    element("span", { class: "status status-" + (isGood ? "good" : "bad") }, status),
    " " + [mediaType, took + " ms"].filter((part) => part !== "").join(" · ")
  );
  view.output.append(headerView(answer));
  if (mediaType === "text/event-stream") {
    await showStream(answer, view);
  } else if (mediaType.startsWith("image/")) {
    const alt = endpoint.operation.summary;
    view.output.append(element("img", { class: "output-picture", src: address.href, alt }));
  } else {
    showText(await answer.text(), view);
  }
}

function headerView(answer) {
  return drawer("nested", element("summary", {}, "Headers"), () => {
    const lines = [...answer.headers].map(([name, value]) => name + ": " + value);
    return [codeBox(lines.join("\n"), "Headers of the answer")];
  });
}

function showText(text, view) {
  if (text === "") {
    view.output.append(element("p", {}, "Without a body."));
    return;
  }
  const shown = indented(text);
  view.output.append(codeBox(shown.slice(0, MOST_SHOWN), "Body of the answer"));
  if (shown.length > MOST_SHOWN) {
    const note = "The first " + MOST_SHOWN.toLocaleString("en") + " of " + shown.length.toLocaleString("en");
    view.output.append(element("p", { class: "optional" }, note + " characters."));
  }
}

// The messages of a stream as they come, the newest last.
async function showStream(answer, view) {
  const box = codeBox("", "Messages of the stream");
  view.output.append(box);
  const reader = answer.body.getReader();
  const decoder = new TextDecoder();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) {
      view.state.append(" · the server closed the stream");
      return;
    }
    box.textContent = (box.textContent + decoder.decode(value, { stream: true })).slice(-MOST_SHOWN);
    box.scrollTop = box.scrollHeight;
  }
}

// JSON with line breaks. It works on the text: a number read and written again would lose its zeros.
function indented(text) {
  try {
    JSON.parse(text);
  } catch {
    return text;
  }
  const made = [];
  let depth = 0;
  let previous = "";
  for (const piece of text.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/g) || []) {
    const isOpening = piece === "{" || piece === "[";
    const isClosing = piece === "}" || piece === "]";
    const followsOpening = previous === "{" || previous === "[";
    depth -= isClosing ? 1 : 0;
    // An empty object or array stays on its line.
    if (isClosing !== followsOpening) {
      made.push(lineBreak(depth));
    }
    made.push(piece, piece === ":" ? " " : piece === "," ? lineBreak(depth) : "");
    depth += isOpening ? 1 : 0;
    previous = piece;
  }
  return made.join("");
}

function lineBreak(depth) {
  return "\n" + "  ".repeat(depth);
}
