// What the other files of the viewer are built from: elements, text, and drawers.
//
// Everything is written with textContent or as a text node, never as markup: what the server says stays text.

// An element. `attributes` whose value is null are left out; children are nodes or texts.
export function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes || {})) {
    if (value !== null && value !== undefined) {
      made.setAttribute(attribute, value);
    }
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

// Text whose words in backticks become code.
export function withCode(text) {
  return text.split("`").map((piece, index) => (index % 2 === 1 ? element("code", {}, piece) : piece));
}

// The paragraphs of a text.
export function prose(text, className = "prose") {
  const paragraphs = (text || "").split(/\n{2,}/).filter((paragraph) => paragraph.trim() !== "");
  const made = paragraphs.map((paragraph) => element("p", {}, ...withCode(paragraph.replace(/\s+/g, " "))));
  return element("div", { class: className }, ...made);
}

export function heading(level, text) {
  return element(level, {}, text);
}

// A box of code that the keyboard can scroll.
export function codeBox(text, label) {
  const box = element("pre", { tabindex: "0", role: "region", "aria-label": label });
  box.textContent = text;
  return box;
}

// A <details> whose inside is made when it is first opened.
export function drawer(className, summary, fill) {
  const inside = element("div", {});
  const made = element("details", { class: className }, summary, inside);
  let isFilled = false;
  const fillOnce = () => {
    if (!isFilled) {
      isFilled = true;
      inside.append(...fill());
    }
  };
  made.addEventListener("toggle", () => {
    if (made.open) {
      fillOnce();
    }
  });
  made.openNow = () => {
    fillOnce();
    made.open = true;
  };
  return made;
}

// A part of an endpoint, under its own heading.
export function section(title, ...nodes) {
  return element("section", {}, heading("h4", title), ...nodes);
}
