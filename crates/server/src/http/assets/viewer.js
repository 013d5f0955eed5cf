// The viewer of the API's description at /docs: reads openapi.json beside it and shows it.
//
// It knows no endpoint by name: what is shown stands in the description. Nothing is stored, and nothing is loaded from
// elsewhere.

import { endpointCard, schemaCard } from "./endpoint.js";
import { element, heading, prose } from "./pieces.js";
import { lookUpIn } from "./schemas.js";

// The description, once it is loaded.
let description = {};

// Every operation, by its id.
function endpointsOf(paths) {
  const endpoints = new Map();
  for (const [path, item] of Object.entries(paths || {})) {
    for (const method of ["get", "post", "put", "patch", "delete"]) {
      const operation = item[method];
      if (operation) {
        const id = operation.operationId || method + path;
        endpoints.set(id, { id, path, method, operation });
      }
    }
  }
  return endpoints;
}

// The groups of the description, each with its endpoints in the order that it names.
function groupsOf(endpoints) {
  return (description.tags || []).map((tag) => {
    const named = tag["x-operations"] || [];
    const found = named.map((id) => endpoints.get(id)).filter((endpoint) => endpoint !== undefined);
    return { name: tag.name, text: tag.description, endpoints: found };
  });
}

function indexGroup(title, links) {
  const items = links.map((link) => element("li", {}, link));
  return element("section", { class: "index-group" }, heading("h2", title), element("ul", {}, ...items));
}

function endpointLink(endpoint) {
  const method = element("span", { class: "index-method method-" + endpoint.method }, endpoint.method.toUpperCase());
  const text = element("span", {}, endpoint.operation.summary || endpoint.path);
  return element("a", { href: "#op-" + endpoint.id, title: endpoint.path }, method, text);
}

function groupView(title, text, cards) {
  const made = element("section", { class: "group" }, heading("h2", title));
  if (text) {
    made.append(prose(text));
  }
  made.append(...cards);
  return made;
}

function toolbar() {
  const open = element("button", { type: "button" }, "Open all");
  const close = element("button", { type: "button" }, "Close all");
  const cards = () => document.querySelectorAll("#content details.card:not([hidden])");
  open.addEventListener("click", () => cards().forEach((card) => card.openNow()));
  close.addEventListener("click", () => cards().forEach((card) => (card.open = false)));
  return element("div", { class: "toolbar" }, open, close);
}

function show() {
  const info = description.info || {};
  document.title = (info.title || "API") + " · reference";
  document.getElementById("title").textContent = info.title || "API";
  const tagline = [info.summary, info.version ? "version " + info.version : ""].filter((part) => part);
  document.getElementById("tagline").textContent = tagline.join(" · ");
  const content = document.getElementById("content");
  const index = document.getElementById("index");
  content.replaceChildren(element("div", { class: "introduction" }, prose(info.description), toolbar()));
  index.replaceChildren();
  // What the filter hides or shows together: the card, its entry at the side, and the text that is searched.
  const entries = [];
  const add = (title, text, pairs) => {
    content.append(groupView(title, text, pairs.map((pair) => pair.card)));
    index.append(indexGroup(title, pairs.map((pair) => pair.link)));
    entries.push(...pairs);
  };
  for (const group of groupsOf(endpointsOf(description.paths))) {
    const pairs = group.endpoints.map((endpoint) => ({
      card: endpointCard(endpoint),
      link: endpointLink(endpoint),
      text: [endpoint.method, endpoint.path, endpoint.operation.summary, endpoint.id, group.name].join(" "),
    }));
    add(group.name, group.text, pairs);
  }
  const schemas = Object.entries((description.components || {}).schemas || {});
  const pairs = schemas.map(([name, schema]) => ({
    card: schemaCard(name, schema),
    link: element("a", { href: "#schema-" + name, class: "plain" }, name),
    text: name + " schema " + (schema.description || ""),
  }));
  add("Schemas", "The forms of the bodies, as they are written. Fields that have no value are left out.", pairs);
  filterBy(entries);
  goToHash();
}

function filterBy(entries) {
  const input = document.getElementById("filter");
  const result = document.getElementById("filter-result");
  const apply = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter((word) => word !== "");
    let shown = 0;
    for (const entry of entries) {
      const text = entry.text.toLowerCase();
      const isWanted = words.every((word) => text.includes(word));
      entry.card.hidden = !isWanted;
      entry.link.parentElement.hidden = !isWanted;
      shown += isWanted ? 1 : 0;
    }
    for (const group of document.querySelectorAll(".group, .index-group")) {
      group.hidden = !group.querySelector("details.card:not([hidden]), li:not([hidden]) > a");
    }
    result.textContent = words.length > 0 ? shown + " of " + entries.length + " shown" : "";
  };
  input.addEventListener("input", apply);
  apply();
}

// Opens and shows what the address names, also where the filter hid it.
function goToHash() {
  const named = document.getElementById(location.hash.slice(1));
  if (!named || !named.openNow) {
    return;
  }
  if (named.hidden) {
    const filter = document.getElementById("filter");
    filter.value = "";
    filter.dispatchEvent(new Event("input"));
  }
  named.openNow();
  named.scrollIntoView();
  named.querySelector("summary").focus({ preventScroll: true });
}

async function start() {
  try {
    const answer = await fetch("openapi.json", { credentials: "omit" });
    if (!answer.ok) {
      throw new Error("the server answered " + answer.status);
    }
    description = await answer.json();
    lookUpIn(description);
  } catch (failure) {
    const status = document.getElementById("status");
    status.classList.add("failed");
    const reason = failure instanceof Error ? failure.message : String(failure);
    status.textContent = "The description could not be loaded: " + reason + ". Reload the page to try again.";
    return;
  }
  show();
  window.addEventListener("hashchange", goToHash);
}

start();
