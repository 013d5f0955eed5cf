// Schemas of the description as something to read: types in words, fields, allowed words.
//
// A schema is shown where it is used and opened step by step, so that one which holds itself ends somewhere.

import { drawer, element, prose, withCode } from "./pieces.js";

// The description, once it is loaded.
let description = {};

// Takes the description in which references are looked up.
export function lookUpIn(loaded) {
  description = loaded;
}

// What a `$ref` names, else the value itself.
export function resolved(value) {
  if (!value || typeof value !== "object" || typeof value.$ref !== "string") {
    return value;
  }
  const steps = value.$ref.replace(/^#\//, "").split("/");
  const unescaped = steps.map((step) => step.replace(/~1/g, "/").replace(/~0/g, "~"));
  return unescaped.reduce((found, step) => (found ? found[step] : undefined), description);
}

function nameOf(reference) {
  return reference.slice(reference.lastIndexOf("/") + 1);
}

// The type of a schema in words, with links to the schemas it names.
export function typeOf(schema) {
  if (!schema || typeof schema !== "object") {
    return ["anything"];
  }
  if (schema.$ref) {
    const name = nameOf(schema.$ref);
    return [element("a", { href: "#schema-" + name }, name)];
  }
  const alternatives = schema.anyOf || schema.oneOf;
  if (alternatives && wordsOf(schema).length === 0) {
    return alternatives.flatMap((alternative, index) => [...(index > 0 ? [" or "] : []), ...typeOf(alternative)]);
  }
  const types = [].concat(schema.type || (wordsOf(schema).length > 0 ? "string" : []));
  if (types.length === 0) {
    return ["anything"];
  }
  return types.flatMap((type, index) => {
    const joint = index > 0 ? [" or "] : [];
    if (type === "array") {
      return [...joint, "array of ", ...typeOf(schema.items)];
    }
    return [...joint, schema.format && type !== "null" ? type + " (" + schema.format + ")" : type];
  });
}

// The words that a schema allows, each with what it means where that is said.
function wordsOf(schema) {
  if (!schema || typeof schema !== "object") {
    return [];
  }
  if (Array.isArray(schema.enum)) {
    return schema.enum.map((word) => ({ word: String(word), meaning: "" }));
  }
  if (schema.const !== undefined) {
    return [{ word: String(schema.const), meaning: schema.description || "" }];
  }
  const alternatives = schema.oneOf || [];
  const words = alternatives.map(wordsOf);
  return words.every((found) => found.length > 0) ? words.flat() : [];
}

// What there is to see inside of a schema, behind references and arrays: fields, words or nothing.
export function insideOf(schema) {
  let inner = resolved(schema);
  let name = schema && schema.$ref ? nameOf(schema.$ref) : "";
  for (let depth = 0; inner && inner.items && depth < 8; depth += 1) {
    name = inner.items.$ref ? nameOf(inner.items.$ref) : name;
    inner = resolved(inner.items);
  }
  if (inner && inner.properties) {
    return { title: name ? "Fields of " + name : "Fields", nodes: () => [fieldsOf(inner)] };
  }
  const words = wordsOf(inner);
  if (words.length > 0) {
    return { title: words.length === 1 ? "1 word" : words.length + " words", nodes: () => [wordList(words)] };
  }
  return null;
}

function wordList(words) {
  const areDescribed = words.some((found) => found.meaning !== "");
  const items = words.map((found) => {
    const code = element("code", {}, found.word);
    return element("li", {}, code, ...(found.meaning ? [" ", ...withCode(found.meaning)] : []));
  });
  return element("ul", { class: areDescribed ? "words described" : "words" }, ...items);
}

function fieldsOf(schema) {
  const required = new Set(schema.required || []);
  // What is always there first, else as written.
  const names = Object.keys(schema.properties);
  const ordered = [...names.filter((name) => required.has(name)), ...names.filter((name) => !required.has(name))];
  const items = ordered.map((name) => fieldItem(name, schema.properties[name], required.has(name)));
  return element("ul", { class: "fields" }, ...items);
}

function fieldItem(name, schema, isRequired) {
  const word = isRequired ? "required" : "optional";
  const need = element("span", { class: word }, word);
  const head = element(
    "div",
    { class: "field-head" },
    element("span", { class: "field-name" }, name),
    element("span", { class: "type" }, ...typeOf(schema)),
    need
  );
  const item = element("li", {}, head);
  if (schema && schema.description) {
    item.append(prose(schema.description, "field-text"));
  }
  const inside = insideOf(schema);
  if (inside) {
    item.append(drawer("nested", element("summary", {}, inside.title), inside.nodes));
  }
  return item;
}

// A schema that stands alone: its type, and what is inside.
export function schemaView(schema) {
  const nodes = [element("p", { class: "type" }, ...typeOf(schema))];
  const inside = insideOf(schema);
  if (inside) {
    nodes.push(drawer("nested", element("summary", {}, inside.title), inside.nodes));
  }
  return nodes;
}
