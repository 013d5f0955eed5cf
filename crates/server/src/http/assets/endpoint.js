// One endpoint, and one schema, as a card that opens: what it is for, what it takes, what it answers.
//
// It knows no endpoint by name, and calls none; that is what try.js is for.

import { codeBox, drawer, element, heading, prose, section, withCode } from "./pieces.js";
import { insideOf, resolved, schemaView, typeOf } from "./schemas.js";
import { commandOnly, needsKey, tryForm } from "./try.js";

function parameterTable(parameters) {
  const rows = parameters.map((parameter) => {
    const need = parameter.required ? "required" : "optional";
    const text = prose(parameter.description, "cell-text");
    if (parameter.schema && parameter.schema.pattern) {
      text.append(element("p", { class: "optional" }, "Pattern: ", element("code", {}, parameter.schema.pattern)));
    }
    return element(
      "tr",
      {},
      element("th", { scope: "row" }, element("span", { class: "field-name" }, parameter.name)),
      element("td", {}, parameter.in),
      element("td", {}, element("span", { class: "type" }, ...typeOf(parameter.schema))),
      element("td", {}, element("span", { class: need }, need)),
      element("td", {}, text)
    );
  });
  const titles = ["Name", "In", "Type", "Needed", "Meaning"];
  const head = element("tr", {}, ...titles.map((title) => element("th", { scope: "col" }, title)));
  const table = element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows));
  return element("div", { class: "table-frame", tabindex: "0", role: "region", "aria-label": "Parameters" }, table);
}

// The forms of a body: media type, schema, example.
function contentView(content) {
  const nodes = [];
  for (const [mediaType, form] of Object.entries(content || {})) {
    nodes.push(element("p", { class: "small-heading" }, mediaType));
    if (form.schema) {
      nodes.push(...schemaView(form.schema));
    }
    if (form.example !== undefined) {
      const text = typeof form.example === "string" ? form.example : JSON.stringify(form.example, null, 2);
      const box = () => [codeBox(text, "Example, " + mediaType)];
      nodes.push(drawer("nested", element("summary", {}, "Example"), box));
    }
  }
  return nodes;
}

function answerView(status, answer) {
  const shown = resolved(answer) || {};
  const kind = status < "400" ? "good" : status === "429" || status === "503" ? "wait" : "bad";
  const summary = element(
    "summary",
    {},
    element("span", { class: "status status-" + kind }, status),
    ...withCode((shown.description || "").replace(/\s+/g, " "))
  );
  return drawer("answer", summary, () => {
    const nodes = contentView(shown.content);
    const headers = Object.entries(shown.headers || {});
    if (headers.length > 0) {
      const items = headers.map(([name, header]) =>
        element("li", {}, element("code", {}, name), " ", ...withCode(header.description || ""))
      );
      nodes.push(element("p", { class: "small-heading" }, "Headers"));
      nodes.push(element("ul", { class: "words described" }, ...items));
    }
    return nodes.length > 0 ? nodes : [element("p", {}, "Without a body.")];
  });
}

function endpointInside(endpoint) {
  const operation = endpoint.operation;
  const nodes = [prose(operation.description)];
  const parameters = (operation.parameters || []).map(resolved);
  if (needsKey(operation)) {
    nodes.push(prose("Needs an API key and its secret: `Authorization: Bearer KEY.SECRET`."));
  } else if (operation.security) {
    nodes.push(prose("Takes the token of a customer in `Authorization: Bearer`, and works without."));
  }
  if (parameters.length > 0) {
    nodes.push(section("Parameters", parameterTable(parameters)));
  }
  if (operation.requestBody) {
    const body = resolved(operation.requestBody);
    nodes.push(section("Body", prose(body.description), ...contentView(body.content)));
  }
  const answers = Object.entries(operation.responses || {}).map(([status, answer]) => answerView(status, answer));
  nodes.push(section("Answers", element("div", { class: "answers" }, ...answers)));
  nodes.push(endpoint.method === "get" ? tryForm(endpoint, parameters) : commandOnly(endpoint, parameters));
  return [element("div", { class: "card-body" }, ...nodes)];
}

export function endpointCard(endpoint) {
  const summary = element(
    "summary",
    {},
    element("span", { class: "badge badge-" + endpoint.method }, endpoint.method.toUpperCase()),
    heading("h3", endpoint.path),
    element("span", { class: "summary-text" }, endpoint.operation.summary || "")
  );
  const card = drawer("card", summary, () => endpointInside(endpoint));
  card.id = "op-" + endpoint.id;
  return card;
}

export function schemaCard(name, schema) {
  const [first, ...more] = (schema.description || "").split(/\n{2,}/);
  const text = element("span", { class: "summary-text" }, ...withCode(first));
  const summary = element("summary", { class: "schema-summary" }, heading("h3", name), text);
  const card = drawer("card", summary, () => {
    const inside = insideOf(schema);
    const nodes = inside ? inside.nodes() : [element("p", {}, ...typeOf(schema))];
    if (more.length > 0) {
      nodes.unshift(prose(more.join("\n\n")));
    }
    return [element("div", { class: "card-body" }, ...nodes)];
  });
  card.id = "schema-" + name;
  return card;
}
